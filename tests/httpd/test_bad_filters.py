"""Bad input: filters that fail, are used wrongly, or are kept too long."""

import pytest

from plugins.config import dedent
from plugins.process import wait_for

LIB = "PythonPath \"sys.path + ['${root}/lib']\"\n"
ECHO = """
    from mod_python import apache

    def handler(req):
        req.write(req.read(), 0)
        return apache.OK
    """


def serve(httpd, code, direction, directives=""):
    """A site whose handler echoes a body, behind or before a filter."""
    config = f"Python{direction.title()}Filter spam SPAM\n" + directives
    server = httpd(LIB + config, {"lib/spam.py": dedent(code).replace("DIRECTION", direction)})
    return server.site(
        f"SetHandler python-program\nPythonHandler echo\nSet{direction.title()}Filter SPAM",
        {"echo.py": ECHO, "page.txt": "page"},
    )


RAISE = """
    def DIRECTIONfilter(filter):
        filter.read()
        raise RuntimeError("spam & <eggs>")
    """


@pytest.mark.parametrize("direction", ["output", "input"])
def test_exception(httpd, direction):
    """Before the first byte it is a 500, one log record that names the filter, and nothing
    of it for the client."""
    site = serve(httpd, RAISE, direction)
    answer = site.post("x", content=b"spam")
    assert answer.status_code == 500
    assert "eggs" not in answer.text and "Internal Server Error" in answer.text
    message = site.expect_log("KK0112").message
    assert "filter SPAM" in message and "spam & <eggs>" in message and "spam.py" in message


@pytest.mark.parametrize("direction", ["output", "input"])
def test_exception_with_debug(httpd, direction):
    """With PythonDebug On the 500 shows the traceback, as text."""
    site = serve(httpd, RAISE, direction, "PythonDebug On")
    answer = site.post("x", content=b"spam")
    assert answer.status_code == 500
    assert "Traceback" in answer.text and "spam & <eggs>" in answer.text
    assert answer.headers["Content-Type"].startswith("text/plain")
    site.expect_log("KK0112")


@pytest.mark.parametrize("direction", ["output", "input"])
@pytest.mark.parametrize("size", [0, 1, 100000, 1000000])
def test_exception_and_sizes(httpd, direction, size):
    """The same whatever the size of the body; the server goes on."""
    site = serve(httpd, RAISE, direction)
    for _ in range(2):
        assert site.post("x", content=b"x" * size).status_code == 500
        site.expect_log("KK0112")


@pytest.mark.parametrize("debug", ["On", "Off"])
def test_exception_after_the_first_byte(httpd, debug):
    """After it the connection is closed short, so that the client can tell; no garbage."""
    code = """
        def outputfilter(filter):
            filter.write("begun ")
            filter.flush()
            raise RuntimeError("eggs")
        """
    site = serve(httpd, code, "output", f"PythonDebug {debug}")
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}page.txt HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        data = connection.read_all()
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"HTTP/1.1 200 OK" in head and b"chunked" in head
    assert body == b"6\r\nbegun \r\n"
    site.expect_log("KK0112")


def test_exception_in_the_middle_of_a_big_response(httpd):
    """The same amid much data, with a handler that goes on writing."""
    code = """
        def outputfilter(filter):
            filter.count = getattr(filter, "count", 0)
            while data := filter.read():
                filter.count += len(data)
                filter.write(data)
                if filter.count > 1000000:
                    raise RuntimeError("eggs")
        """
    site = serve(httpd, code, "output")
    site.write(
        "echo.py",
        "def handler(req):\n    for _ in range(100):\n        req.write('x' * 50000)\n    return 0\n",
    )
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}x HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        data = connection.read_all()
    assert data.startswith(b"HTTP/1.1 200 OK") and not data.endswith(b"0\r\n\r\n")
    assert b"eggs" not in data and data.count(b"x" * 8000) > 10
    site.expect_log("KK0112")


def test_exception_and_error_document(httpd):
    """The 500 may have a document of the server's, even one that the filter fails on too."""
    site = serve(httpd, RAISE, "output", "ErrorDocument 500 /errors/500.html\n")
    site.server.write("htdocs/errors/500.html", "<p>sorry")
    answer = site.get("page.txt")
    assert (answer.status_code, answer.text) == (500, "<p>sorry")
    site.expect_log("KK0112")
    site.server.write("htdocs/errors/.htaccess", "SetOutputFilter SPAM")
    answer = site.get("page.txt")
    assert answer.status_code == 500 and "Internal Server Error" in answer.text
    site.expect_log("KK0112", 2)


def test_exception_with_content_length(httpd):
    """A response that has a length, which its filter has set, ends before it."""
    code = """
        def outputfilter(filter):
            filter.req.headers_out["Content-Length"] = "1000"
            filter.write("begun ")
            filter.flush()
            raise RuntimeError("eggs")
        """
    site = serve(httpd, code, "output")
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}page.txt HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head, _, body = connection.read_all().partition(b"\r\n\r\n")
    assert b"Content-Length: 1000" in head and body == b"begun "
    site.expect_log("KK0112")


def test_exception_for_head(httpd):
    """A HEAD request is answered too."""
    site = serve(httpd, RAISE, "output")
    assert site.head("x").status_code == 500
    site.expect_log("KK0112")


def test_exception_in_a_chain(httpd):
    """A filter in the middle of a chain that fails is a 500 as well; the others are not
    blamed."""
    code = """
        def outputfilter(filter):
            filter.read()
            raise RuntimeError("eggs")

        def passes(filter):
            while data := filter.read():
                filter.write(data)
            if data is None:
                filter.close()
        """
    config = "PythonOutputFilter spam SPAM\nPythonOutputFilter spam::passes PASSES\n"
    site = httpd(LIB + config, {"lib/spam.py": code}).site(
        "SetOutputFilter PASSES;SPAM;PASSES", {"page.txt": "spam"}
    )
    for _ in range(3):
        assert site.get("page.txt").status_code == 500
        site.expect_log("KK0112: filter SPAM")


def test_exception_in_an_included_page(httpd):
    """In a subrequest of mod_include it is that directive's error, in the page."""
    config = LIB + "PythonOutputFilter spam SPAM\nAddType text/html .shtml\n"
    code = RAISE.replace("DIRECTION", "output")
    server = httpd(config, {"lib/spam.py": code}, modules=("include",))
    site = server.site(
        "AddOutputFilter INCLUDES .shtml\nAddOutputFilter SPAM .txt",
        {"page.shtml": 'a <!--#include virtual="part.txt" --> b', "part.txt": "part"},
    )
    assert site.get("page.shtml").text == "a [an error occurred while processing this directive] b"
    site.expect_log("KK0112")
    site.expect_log("unable to include")


def test_input_exception_keeps_the_handler_out(httpd):
    """A handler whose body's filter fails may catch the OSError; the answer stays 500."""
    site = serve(httpd, RAISE, "input")
    site.write(
        "echo.py",
        """
        def handler(req):
            try:
                req.read()
            except OSError:
                req.write("never mind")
            return 0
        """,
    )
    with site.connect() as connection:
        connection.send(f"POST {site.prefix}x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nspam".encode())
        data = connection.read_all()
    assert data.startswith(b"HTTP/1.1 500") and data.count(b"HTTP/1.1") == 1
    site.expect_log("KK0112")


@pytest.mark.parametrize("then", ["pass", "req.write('the end')", "raise"])
def test_input_exception_after_the_first_byte(httpd, then):
    """It breaks the response off as an output filter's does, whatever the handler makes of it."""
    site = serve(httpd, RAISE, "input")
    site.write(
        "echo.py",
        f"""
        def handler(req):
            req.write("begun")
            req.flush()
            try:
                req.read()
            except OSError:
                {then}
            return 0
        """,
    )
    with site.connect() as connection:
        connection.send(f"POST {site.prefix}x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nspam".encode())
        head, _, body = connection.read_all().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200") and body == b"5\r\nbegun\r\n"
    site.expect_log("KK0112")


@pytest.mark.parametrize("direction", ["output", "input"])
@pytest.mark.parametrize(
    ("handler", "code"), [("nowhere", "KK0104"), ("spam::nothing", "KK0103"), ("broken", "KK0104")]
)
def test_missing_handler(httpd, direction, handler, code):
    """A filter whose module or object is missing, or does not compile: 500, logged."""
    server = httpd(
        LIB + f"Python{direction}Filter {handler} SPAM",
        {"lib/spam.py": "", "lib/broken.py": "def broken(:\n"},
    )
    site = server.site(
        f"SetHandler python-program\nPythonHandler echo\nSet{direction}Filter SPAM", {"echo.py": ECHO}
    )
    assert site.post("x", content=b"spam").status_code == 500
    assert "filter SPAM" in site.expect_log(code).message


@pytest.mark.parametrize("direction", ["output", "input"])
@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("import sys; sys.exit(1)", "SystemExit"),
        ("spam(filter)", "RecursionError"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("filter.write(5)", "TypeError"),
        ("filter.close(); filter.read()", "ValueError"),
        ("raise OSError(5, 'its own')", "OSError"),
    ],
)
def test_kinds_of_exceptions(httpd, direction, statement, kind):
    """Whatever leaves the handler is logged, and the next request served."""
    code = f"def spam(filter):\n    filter.read()\n    {statement}\n\n{direction}filter = spam\n"
    site = serve(httpd, code, direction)
    status = site.post("x", content=b"spam").status_code
    assert status == 500 or "close()" in statement
    assert kind in site.expect_log("KK0112").message
    assert site.server.get("").status_code in (403, 404, 200)


@pytest.mark.parametrize("direction", ["output", "input"])
def test_server_return(httpd, direction):
    """SERVER_RETURN has no meaning in a filter: it is an exception like any other."""
    code = """
        from mod_python import apache

        def DIRECTIONfilter(filter):
            filter.read()
            raise apache.SERVER_RETURN(apache.HTTP_FORBIDDEN)
        """
    site = serve(httpd, code, direction)
    assert site.post("x", content=b"spam").status_code == 500
    assert "SERVER_RETURN" in site.expect_log("KK0112").message


USES = ["read()", "readline()", "write(b'x')", "flush()", "close()", "pass_on()", "disable()"]


@pytest.mark.parametrize("use", [*USES, "name", "req", "is_input", "handler", "connection"])
@pytest.mark.parametrize("direction", ["output", "input"])
def test_use_after_the_request(httpd, use, direction):
    """A filter that is kept raises when it is used after its request."""
    code = f"""
        kept = []

        def {direction}filter(filter):
            if not kept:
                kept.append(filter)
                filter.pass_on()
                return
            try:
                kept[0].{use}
                text = "no error"
            except Exception as error:
                text = type(error).__name__
            filter.read()
            if not filter.closed:
                filter.write(text)
                filter.close()
        """
    site = serve(httpd, code, direction)
    assert site.post("x", content=b"first").text == "first"
    # The client may have the response before the server is done with the request.
    wait_for(lambda: site.post("x", content=b"x").text != "no error", "the request to end")
    assert site.post("x", content=b"x").text in ("ReferenceError", "RuntimeError")


def test_closed_after_the_request(httpd):
    """closed is True then."""
    code = """
        kept = []

        def outputfilter(filter):
            if not kept:
                kept.append(filter)
                filter.pass_on()
            elif not filter.closed:
                filter.write(f"{kept[0].closed} {len(repr(kept[0])) > 0}")
                filter.close()
        """
    site = serve(httpd, code, "output")
    site.post("x", content=b"first")
    wait_for(lambda: site.post("x", content=b"x").text == "True True", "the request to end")


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("direction", ["output", "input"])
def test_use_outside_its_handler(httpd, use, direction):
    """A filter is used in its handler only: not later in the same request."""
    code = """
        def DIRECTIONfilter(filter):
            filter.req.kept = filter
            filter.pass_on()
        """
    handler = f"""
        def handler(req):
            req.read()
            req.write("begun ")
            req.flush()
            try:
                req.kept.{use}
            except RuntimeError as error:
                req.write(str("handler" in str(error)))
            return 0
        """
    site = serve(httpd, code, direction)
    site.write("echo.py", handler)
    assert site.post("x", content=b"spam").text == "begun True"


def test_req_write_in_a_filter(httpd):
    """req.write() in an output filter goes through the filter again: no endless recursion
    kills the server."""
    code = """
        def outputfilter(filter):
            if not hasattr(filter, "wrote"):
                filter.wrote = True
                try:
                    filter.req.write("through the request ")
                except Exception:
                    pass
            filter.pass_on()
        """
    site = serve(httpd, code, "output")
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        connection.read_all()
    assert site.server.get("nowhere").status_code == 404
    for record in site.server.error_log.find("KK0"):
        site.server.error_log._expected.append(record)


def test_client_leaves(httpd):
    """The client's leaving is no error of the filter's: nothing of it in the log but the
    handler's own."""
    code = """
        def outputfilter(filter):
            while data := filter.read():
                filter.write(data)
                filter.flush()
            if data is None:
                filter.close()
        """
    site = serve(httpd, code, "output")
    site.write("big.txt", "x" * 20000000)
    site.write(".htaccess", "SetOutputFilter SPAM")
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}big.txt HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        connection.socket.recv(100)
        connection.reset()
    assert site.get("page.txt").text == "page"


def test_client_cuts_its_body_off(httpd):
    """A body that breaks off is an OSError in the input filter, and a 400 if it leaves it."""
    code = """
        def inputfilter(filter):
            while data := filter.read():
                filter.write(data)
            if data is None:
                filter.close()
        """
    site = serve(httpd, code, "input")
    with site.connect() as connection:
        connection.send(
            f"POST {site.prefix}x HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n\r\nspam".encode()
        )
        connection.end_of_input()
        data = connection.read_all()
    assert data == b"" or data.startswith(b"HTTP/1.1 4")
    site.expect_log("KK0108|KK0111")


@pytest.mark.parametrize("direction", ["Input", "Output"])
def test_connection_filter_that_fails(httpd, direction):
    """An exception in a connection's filter closes the connection, and is logged."""
    code = f"""
        def connection(filter):
            data = filter.read()
            if data and b"spam" in data:
                raise RuntimeError("eggs")
            if data:
                filter.write(data)

        def {direction.lower()}filter(filter):
            connection(filter)
        """
    server = httpd.unstarted(LIB + f"PythonConnection{direction}Filter spam SPAM", {"lib/spam.py": code})
    server.start()
    site = server.site("", {"page.txt": "spam", "other.txt": "other"})
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}page.txt?spam HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert b"spam" not in connection.read_all()
    server.expect_log("KK0112: filter SPAM")
    assert site.get("other.txt").text == "other"
