"""Filters amid HTTP and Apache's own filters: compression, proxying, error pages, HEAD,
ranges, HTTP/2, includes, keep-alive, chunks."""

import gzip
import os
import threading

import pytest

LIB = "PythonPath \"sys.path + ['${root}/lib']\"\n"

FILTERS = """
    def upper(filter):
        while data := filter.read():
            filter.write(data.upper())
        if data is None:
            filter.close()

    def passes(filter):
        filter.pass_on()

    def banner(filter):
        while data := filter.read():
            filter.write(data)
        if data is None:
            filter.write(" (the end)")
            filter.close()

    def lines(filter):
        while line := filter.readline():
            filter.write(b"<" + line.rstrip(b"\\n") + b">\\n")
        if line is None:
            filter.close()
    """

REGISTER = LIB + "".join(
    f"PythonOutputFilter filters::{name} {name.upper()}\nPythonInputFilter filters::{name} {name.upper()}\n"
    for name in ("upper", "passes", "banner", "lines")
)

ECHO = """
    from mod_python import apache

    def handler(req):
        req.content_type = "text/plain"
        body = req.read()
        if req.args == "flush":
            for n in range(len(body)):
                req.write(body[n : n + 1])
                req.flush()
        else:
            req.write(body)
        return apache.OK
    """

PYTHON = "SetHandler python-program\nPythonHandler echo\n"


def serve(httpd, directives="", files=None, **options):
    """A server with the filters above."""
    return httpd(REGISTER + directives, {"lib/filters.py": FILTERS, **(files or {})}, **options)


# Chains


def test_chain(httpd):
    """Several Python filters work one behind the other, in the order given."""
    site = serve(httpd).site("SetOutputFilter UPPER;BANNER;PASSES;LINES", {"page.txt": "spam\neggs"})
    assert site.get("page.txt").text == "<SPAM>\n<EGGS (the end)>\n"
    site.write(".htaccess", "SetOutputFilter BANNER;UPPER")
    assert site.get("page.txt").text == "SPAM\nEGGS (THE END)"


def test_input_and_output_chains(httpd):
    """Filters on the way in and on the way out of one request."""
    site = serve(httpd).site(
        PYTHON + "SetInputFilter PASSES;UPPER;LINES\nSetOutputFilter PASSES;BANNER", {"echo.py": ECHO}
    )
    assert site.post("x", content=b"spam\n" * 3).text == "<SPAM>\n" * 3 + " (the end)"


@pytest.mark.parametrize("size", [0, 1, 8000, 8191, 8192, 8193, 65535, 65536, 65537, 1000000])
def test_sizes(httpd, size):
    """Nothing is lost around the sizes of buffers."""
    body = bytes(range(97, 123)) * (size // 26 + 1)
    body = body[:size]
    site = serve(httpd).site(
        PYTHON + "SetInputFilter UPPER;PASSES\nSetOutputFilter BANNER;PASSES", {"echo.py": ECHO}
    )
    assert site.post("x", content=body).content == body.upper() + b" (the end)"


# Apache's own filters


def test_below_deflate(httpd):
    """What a Python filter writes is compressed behind it."""
    server = serve(httpd, modules=("filter", "deflate"))
    site = server.site("SetOutputFilter UPPER;DEFLATE", {"page.txt": "spam " * 20000})
    answer = site.get("page.txt", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.text == "SPAM " * 20000


def test_inflated_request(httpd):
    """A compressed body is inflated before the Python input filter."""
    server = serve(httpd, modules=("filter", "deflate"))
    site = server.site(PYTHON + "SetInputFilter DEFLATE;UPPER", {"echo.py": ECHO})
    text = os.urandom(50000).hex()
    body = gzip.compress(text.encode())
    answer = site.post("x", content=body, headers={"Content-Encoding": "gzip"})
    assert answer.text == text.upper()


def test_includes(httpd):
    """mod_include's output goes through the filter behind it."""
    server = serve(httpd, modules=("include",))
    site = server.site(
        'AddOutputFilter INCLUDES;UPPER .shtml\nAddType "text/html; charset=utf-8" .shtml',
        {"page.shtml": 'page <!--#include virtual="part.txt" --> end', "part.txt": "part" * 50000},
    )
    assert site.get("page.shtml").text == "PAGE " + "PART" * 50000 + " END"


def test_above_proxy(httpd):
    """A proxied response goes through the filter, and the request's body too."""
    config = """
        ProxyPass /front/ http://127.0.0.1:${port}/
        <Location /front>
            SetOutputFilter BANNER
            SetInputFilter UPPER
        </Location>
        """
    server = serve(httpd, config, modules=("proxy", "proxy_http"), workers=4)
    site = server.site(PYTHON, {"echo.py": ECHO})
    for content in (b"spam", b"spam" * 100000, iter([b"spam", b"eggs" * 100000])):
        expected = b"spam" if isinstance(content, bytes) else b"spam" + b"eggs" * 100000
        if isinstance(content, bytes):
            expected = content
        answer = server.post(f"front{site.prefix}x", content=content)
        assert answer.content == expected.upper() + b" (the end)"


def test_above_proxy_with_compression(httpd):
    """A proxied page is filtered and then compressed."""
    config = """
        ProxyPass /front/ http://127.0.0.1:${port}/
        <Location /front>
            SetOutputFilter UPPER;DEFLATE
        </Location>
        """
    server = serve(httpd, config, modules=("proxy", "proxy_http", "filter", "deflate"), workers=4)
    site = server.site(files={"page.txt": "spam " * 20000})
    answer = server.get(f"front{site.prefix}page.txt", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.text == "SPAM " * 20000


def test_above_a_slow_program(httpd):
    """What a CGI script writes goes through the filter as it comes, not when it ends."""
    script = """\
        #!/bin/sh
        printf 'Content-Type: text/plain\\n\\nspam'
        until [ -e "$0.go" ]; do sleep 0.05; done
        echo end
        """
    config = """
        ScriptAlias /cgi "${root}/cgi"
        <Location "/cgi">
            SetOutputFilter UPPER;BANNER
        </Location>
        """
    modules = ("cgid" if httpd.mpm == "event" else "cgi",)
    server = serve(httpd, config, {"cgi": script}, modules=modules)
    (server.root / "cgi").chmod(0o755)
    with server.connect() as connection:
        connection.send(b"GET /cgi HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.read_until(b"SPAM").endswith(b"SPAM")
        server.write("cgi.go", "")
        rest = connection.read_until(b"0\r\n\r\n")
        assert b"END\n" in rest and b" (the end)" in rest
    assert server.get("cgi").text == "SPAMEND\n (the end)"


# Responses of all kinds


def test_error_document(httpd):
    """An error page that is a document of the server's goes through its filters."""
    server = serve(httpd, "ErrorDocument 404 /errors/404.html\n")
    server.write("htdocs/errors/404.html", "<p>not here")
    server.write("htdocs/errors/.htaccess", "SetOutputFilter UPPER")
    answer = server.get("nowhere")
    assert (answer.status_code, answer.text) == (404, "<P>NOT HERE")


def test_apaches_error_page(httpd):
    """Apache's own error pages come as they are, whatever filters are set."""
    site = serve(httpd).site("SetOutputFilter UPPER", {"page.txt": ""})
    answer = site.get("nowhere")
    assert answer.status_code == 404
    assert "Not Found" in answer.text


def test_error_status_of_a_handler(httpd):
    """A handler's own page with an error status is filtered as any other."""
    code = """
        def handler(req):
            req.status = 404
            req.write("not here")
            return 0
        """
    site = serve(httpd).site(PYTHON + "SetOutputFilter UPPER", {"echo.py": code})
    answer = site.get("x")
    assert (answer.status_code, answer.text) == (404, "NOT HERE")


@pytest.mark.parametrize("page", ["page.txt", "x"])
def test_head(httpd, page):
    """HEAD has no body, and no Content-Length of the unfiltered page."""
    config = '<Files "x">\nSetHandler python-program\nPythonHandler echo\n</Files>\nSetOutputFilter BANNER'
    code = "def handler(req):\n    req.set_content_length(4)\n    req.write('spam')\n    return 0\n"
    site = serve(httpd).site(config, {"echo.py": code, "page.txt": "spam"})
    with site.connect() as connection:
        for _ in range(2):
            connection.send(f"HEAD {site.prefix}{page} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            answer = connection.response("HEAD")
            assert answer.status == 200
            assert answer.headers["Content-Length"] in (None, str(len("spam (the end)")))
            connection.send(f"GET {site.prefix}{page} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert connection.response().body == b"spam (the end)"


def test_no_wrong_content_length(httpd):
    """A length that a handler has set is that of the unfiltered response: it goes."""
    code = "def handler(req):\n    req.set_content_length(4)\n    req.write('spam')\n    return 0\n"
    site = serve(httpd).site(PYTHON + "SetOutputFilter BANNER", {"echo.py": code})
    assert site.get("x").text == "spam (the end)"


@pytest.mark.parametrize("size", [1000, 500000])
def test_ranges(httpd, size):
    """A range is one of the filtered response, or the whole of that is sent."""
    text = "".join(f"line {n} " for n in range(size // 5))[:size]
    site = serve(httpd).site("SetOutputFilter UPPER", {"page.txt": text})
    for first, last in ((0, 9), (10, 500), (900, 999)):
        answer = site.get("page.txt", headers={"Range": f"bytes={first}-{last}"})
        if answer.status_code == 206:
            assert answer.text == text.upper()[first : last + 1]
            assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
        else:
            assert (answer.status_code, answer.text) == (200, text.upper())
    if size == 1000:
        assert answer.status_code == 206


def test_not_modified(httpd):
    """A 304 has no body to be filtered."""
    site = serve(httpd).site("SetOutputFilter BANNER", {"page.txt": "spam"})
    modified = site.get("page.txt").headers["Last-Modified"]
    answer = site.get("page.txt", headers={"If-Modified-Since": modified})
    assert (answer.status_code, answer.content) == (304, b"")


def test_redirect(httpd):
    """An internal redirect filters the page once."""
    code = "def handler(req):\n    req.internal_redirect(req.uri.replace('/x', '/page.txt'))\n    return 0\n"
    site = serve(httpd).site(
        'SetOutputFilter BANNER\n<Files "x">\nSetHandler python-program\nPythonHandler echo\n</Files>',
        {"echo.py": code, "page.txt": "spam"},
    )
    assert site.get("x").text == "spam (the end)"


# Connections


def test_keep_alive(httpd):
    """Filtered responses of any length keep the connection open."""
    site = serve(httpd).site(PYTHON + "SetOutputFilter BANNER\nSetInputFilter UPPER", {"echo.py": ECHO})
    with site.connect() as connection:
        for size in (0, 1, 10000, 3, 200000, 5):
            body = b"x" * size
            head = f"POST {site.prefix}x HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
            connection.send(head.encode() + body)
            assert connection.response().body == body.upper() + b" (the end)"


def test_unread_body(httpd):
    """A body that the handler does not read is done with, filter or not."""
    code = "def handler(req):\n    req.write('spam')\n    return 0\n"
    site = serve(httpd).site(PYTHON + "SetInputFilter UPPER", {"echo.py": code})
    with site.connect() as connection:
        for size in (5, 100000):
            head = f"POST {site.prefix}x HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
            connection.send(head.encode() + b"x" * size)
            assert connection.response().body == b"spam"


def test_chunked_in_tiny_pieces(httpd):
    """A chunked body that comes byte by byte goes through a filter, and so does a response
    that is flushed byte by byte."""
    site = serve(httpd).site(PYTHON + "SetInputFilter UPPER\nSetOutputFilter LINES", {"echo.py": ECHO})
    head = f"POST {site.prefix}x?flush HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"".join(b"1\r\n%c\r\n" % byte for byte in b"spam\neggs\n" * 5) + b"0\r\n\r\n"
    with site.connect() as connection:
        for byte in head.encode() + body:
            connection.send(bytes([byte]))
        assert connection.response().body == b"<SPAM>\n<EGGS>\n" * 5


def test_readline_of_a_request(httpd):
    """req.readline() and read(n) read through an input filter."""
    code = """
        def handler(req):
            req.write(repr([req.readline(), req.read(3), req.readline(), req.readlines(), req.read()]))
            return 0
        """
    site = serve(httpd).site(PYTHON + "SetInputFilter UPPER", {"echo.py": code})
    answer = site.post("x", content=b"spam\nand eggs\nham\nend")
    assert answer.text == r"[b'SPAM\n', b'AND', b' EGGS\n', [b'HAM\n', b'END'], b'']"


def test_expect_continue(httpd):
    """100 Continue is asked for when the handler reads through the filter."""
    site = serve(httpd).site(PYTHON + "SetInputFilter UPPER", {"echo.py": ECHO})
    with site.connect() as connection:
        connection.send(
            f"POST {site.prefix}x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
            "Expect: 100-continue\r\n\r\n".encode()
        )
        assert connection.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        connection.send(b"spam")
        assert connection.response().body == b"SPAM"


def test_http10(httpd):
    """HTTP/1.0 clients get an end by close."""
    site = serve(httpd).site("SetOutputFilter BANNER", {"page.txt": "spam" * 100000})
    answer = site.raw(f"GET {site.prefix}page.txt HTTP/1.0\r\n\r\n".encode())
    assert answer.body == b"spam" * 100000 + b" (the end)"


@pytest.mark.only_mpm("event")
def test_http2(httpd):
    """HTTP/2 streams are filtered, with and without body."""
    server = serve(httpd, "Protocols h2c http/1.1\n", modules=("http2",))
    site = server.site(PYTHON + "SetOutputFilter BANNER\nSetInputFilter UPPER", {"echo.py": ECHO})
    for size in (0, 4, 300000):
        answer = site.http2("POST", "x", content=b"x" * size)
        assert (answer.http_version, answer.content) == ("HTTP/2", b"X" * size + b" (the end)")
    assert site.http2("GET", "x").text == " (the end)"
    site = server.site("SetOutputFilter BANNER", {"page.txt": "spam"})
    assert site.http2("HEAD", "page.txt").content == b""


@pytest.mark.only_mpm("event")
def test_parallel_requests(httpd):
    """Filters of requests in other threads do not mix."""
    site = serve(httpd).site(
        PYTHON + "SetInputFilter UPPER;PASSES\nSetOutputFilter LINES;BANNER", {"echo.py": ECHO}
    )
    failures = []

    def work(name):
        for n in range(15):
            text = f"thread {name} request {n}\n" * 500
            expected = "".join(f"<{line}>\n" for line in text.upper().splitlines()) + " (the end)"
            if site.post("x", content=text.encode()).text != expected:
                failures.append((name, n))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.only_mpm("event")
def test_slow_client_leaves_the_interpreter(httpd):
    """A filter whose client does not read lets other requests run, and so does one that
    waits for a body."""
    site = serve(httpd).site(
        PYTHON + "SetInputFilter UPPER", {"echo.py": ECHO, "big.txt": "spam\n" * 5000000}
    )
    site.write(
        ".htaccess",
        PYTHON + 'SetInputFilter UPPER\n<Files "big.txt">\nSetHandler None\nSetOutputFilter UPPER\n</Files>',
    )
    with site.connect() as slow, site.connect() as waiting:
        slow.send(f"GET {site.prefix}big.txt HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert slow.socket.recv(1) == b"H"
        waiting.send(f"POST {site.prefix}x HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nspam".encode())
        for _ in range(5):
            assert site.post("x", content=b"served").content == b"SERVED"
        waiting.send(b"eggs")
        assert waiting.response().body == b"SPAMEGGS"
        slow.reset()
    answer = site.post("x", content=b"served")
    assert answer.content == b"SERVED"
