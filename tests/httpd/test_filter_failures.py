"""What a client gets of a filter that fails amid Apache's own: compression, proxies, CGI,
HTTP/1.0, HTTP/2."""

import ssl

import httpx
import pytest

from plugins.client import http_client
from plugins.tls import TLS, TLSConnection, certificate

LIB = "PythonPath \"sys.path + ['${root}/lib']\"\n"

RAISE = """
    def inputfilter(filter):
        filter.read()
        raise RuntimeError("eggs")
    """


def test_exception_below_deflate(httpd):
    """A compressed response is not ended as if it were whole."""
    code = """
        def outputfilter(filter):
            filter.count = getattr(filter, "count", 0)
            while data := filter.read():
                filter.count += len(data)
                filter.write(data)
                filter.flush()
                if filter.count > 100000:
                    raise RuntimeError("eggs")
        """
    config = "PythonOutputFilter spam SPAM\n"
    server = httpd(LIB + config, {"lib/spam.py": code}, modules=("filter", "deflate"))
    site = server.site("SetOutputFilter SPAM;DEFLATE", {"page.txt": "spam " * 100000})
    with site.connect() as connection:
        connection.send(
            f"GET {site.prefix}page.txt HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n".encode()
        )
        data = connection.read_all()
    assert data.startswith(b"HTTP/1.1 200 OK") and not data.endswith(b"0\r\n\r\n")
    site.expect_log("KK0112")


@pytest.mark.parametrize("behind", ["DEFLATE", "KEEPS"])
def test_debug_page_behind_what_was_written(httpd, behind):
    """What the filter has written, and another one behind it holds back, is not in front of
    the traceback, and not compressed without saying so."""
    code = """
        def outputfilter(filter):
            filter.write("begun" * 2000)
            raise RuntimeError("eggs")

        def keeps(filter):
            filter.kept = getattr(filter, "kept", b"")
            while data := filter.read():
                filter.kept += data
            if data is None:
                filter.write(filter.kept)
                filter.close()
        """
    config = LIB + "PythonDebug On\nPythonOutputFilter spam SPAM\nPythonOutputFilter spam::keeps KEEPS\n"
    server = httpd(config, {"lib/spam.py": code}, modules=("filter", "deflate"))
    site = server.site(f"SetOutputFilter SPAM;{behind}", {"page.txt": "spam"})
    answer = site.get("page.txt", headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 500
    assert answer.text.startswith("KK0112: filter SPAM") and answer.text.endswith("RuntimeError: eggs\n")
    site.expect_log("KK0112")


@pytest.mark.parametrize("size", [6, 100000])
@pytest.mark.parametrize("is_tls", [False, True])
def test_exception_and_http10(httpd, is_tls, size):
    """A response of HTTP/1.0 ends where the connection does: a reset tells that this is no end."""
    code = f"""
        def outputfilter(filter):
            filter.write("begun" * {size // 5})
            filter.flush()
            if filter.req.args:
                raise RuntimeError("eggs")
        """
    config = LIB + "PythonOutputFilter spam SPAM\n" + (TLS if is_tls else "")
    modules = ("ssl",) if is_tls else ()
    server = httpd(config, {"lib/spam.py": code, **certificate()}, modules=modules)
    site = server.site("SetOutputFilter SPAM", {"page.txt": "page"})
    for query in ("", "?fail"):
        with TLSConnection(server.port) if is_tls else server.connect() as connection:
            request = f"GET {site.prefix}page.txt{query} HTTP/1.0\r\nHost: www.example.com\r\n\r\n"
            connection.send(request.encode())
            if is_tls:
                connection.socket.suppress_ragged_eofs = False
            assert connection.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
            if query:
                with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
                    connection.read_all()
            else:
                assert connection.read_all() == b"begun" * (size // 5) + b"page"
    site.expect_log("KK0112")


@pytest.mark.only_mpm("event")
@pytest.mark.parametrize("debug", ["On", "Off"])
def test_exception_and_http2(httpd, debug):
    """A stream of HTTP/2 gets 500, or is reset; the connection goes on."""
    code = """
        def outputfilter(filter):
            if filter.req.args == "begin":
                filter.write("begun")
                filter.flush()
            if filter.req.args:
                raise RuntimeError("eggs")
        """
    config = f"Protocols h2c http/1.1\nPythonOutputFilter spam SPAM\nPythonDebug {debug}\n"
    server = httpd(LIB + config, {"lib/spam.py": code}, modules=("http2",))
    site = server.site("SetOutputFilter SPAM", {"page.txt": "page"})
    with http_client(2) as client:
        answer = client.get(site.url + "page.txt?fail")
        assert answer.status_code == 500 and ("eggs" in answer.text) == (debug == "On")
        site.expect_log("KK0112")
        with pytest.raises(httpx.RemoteProtocolError, match="StreamReset"):
            client.get(site.url + "page.txt?begin")
        site.expect_log("KK0112")
        assert client.get(site.url + "page.txt").text == "page"


@pytest.mark.only_mpm("event")
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("debug", ["On", "Off"])
def test_exception_above_proxy(httpd, debug, version):
    """A proxied response has begun when its first byte has gone out, not when it has come."""
    code = """
        def outputfilter(filter):
            filter.count = getattr(filter, "count", 0)
            while data := filter.read():
                filter.write(data)
                filter.count += len(data)
                if filter.count > (1000000 if filter.req.args == "late" else 0):
                    raise RuntimeError("eggs")
        """
    config = f"""
        PythonDebug {debug}
        Protocols h2c http/1.1
        PythonOutputFilter spam SPAM
        ProxyPass /front http://127.0.0.1:${{port}}/page.txt
        <Location /front>
            SetOutputFilter SPAM
        </Location>
        """
    files = {"lib/spam.py": code, "htdocs/page.txt": "x" * 3000000}
    server = httpd(LIB + config, files, modules=("proxy", "proxy_http", "http2"), workers=4)
    with http_client(version) as client:
        answer = client.get(server.url + "front")
        assert answer.status_code == 500
        assert ("eggs" in answer.text) == (debug == "On") and "x" * 100 not in answer.text
        server.expect_log("KK0112")
        with pytest.raises(httpx.RemoteProtocolError):
            client.get(server.url + "front?late")
        server.expect_log("KK0112")


@pytest.mark.parametrize("path", ["page.txt", "front", "cgi"])
@pytest.mark.parametrize("size", [4, 300000])
def test_input_exception_without_python(httpd, path, size):
    """The same 500 where a file, a proxied server or a CGI script was to have the body."""
    config = """
        PythonInputFilter spam SPAM
        ProxyPass /front http://127.0.0.1:${port}/page.txt
        ScriptAlias /cgi "${root}/cgi"
        <Location "/">
            SetInputFilter SPAM
        </Location>
        """
    files = {"lib/spam.py": RAISE, "htdocs/page.txt": "page"}
    files["cgi"] = "#!/bin/sh\necho Content-Type: text/plain\necho\necho end\n"
    modules = ("proxy", "proxy_http", "cgid" if httpd.mpm == "event" else "cgi")
    server = httpd(LIB + config, files, modules=modules, workers=4)
    (server.root / "cgi").chmod(0o755)
    answer = server.post(path, content=b"x" * size)
    assert answer.status_code == 500 and "Internal Server Error" in answer.text
    server.expect_log("KK0112: filter SPAM")
    if path != "page.txt":
        server.expect_log("AH01095|AH0127[01]|AH01225")
