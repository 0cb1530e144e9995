"""WSGI applications that fail, clients that leave, and close() in every case."""

import pytest

from plugins.wsgi_sites import answer_of, site_of

# A response whose close() is seen in the log.
TRACED = """
from mod_python import apache

class Traced:
    def __init__(self, blocks):
        self.blocks = iter(blocks)
    def __iter__(self):
        return self
    def __next__(self):
        return next(self.blocks)
    def close(self):
        apache.log_error("closed", apache.APLOG_NOTICE)

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-App", "1"), ("Set-Cookie", "a=1")])
    return Traced(blocks(environ))

def failing():
    raise LookupError("a fine mess")
"""


def traced(httpd, blocks, **options):
    """A site whose response is made by the body of a generator."""
    lines = "\n".join("    " + line for line in blocks.strip().splitlines())
    return site_of(httpd, f"{TRACED}\ndef blocks(environ):\n{lines}\n", **options)


def raw(site):
    """All that the server sends for a request, until it closes the connection."""
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}x HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return connection.read_all()


@pytest.mark.parametrize("validated", [False, True])
def test_close_at_the_end(httpd, validated):
    """close() is called when all is sent."""
    site = traced(httpd, "yield b'a'\nyield b'b'", validated=validated)
    assert site.get("x").text == "ab"
    site.expect_log("closed$")


def test_failure_before_the_call_returns(httpd):
    """An exception is status 500, once in the log with the traceback; what the application
    had set is not in the error page."""
    body = "start_response('299 Fine', [('X-App', '1'), ('Content-Length', '3')])\n1 / 0"
    response = answer_of(httpd, body)
    assert response.status_code == 500
    assert response.reason_phrase == "Internal Server Error"
    assert "X-App" not in response.headers
    assert "Fine" not in response.text
    assert len(response.content) == int(response.headers["Content-Length"]) > 3
    record = httpd().expect_log("KK0101: PythonHandler mod_python.wsgi: ZeroDivisionError: division by zero ")
    assert "app.py:" in record.message
    assert "wsgi.py" not in record.message


def test_failure_before_the_first_block(httpd):
    """So it is while the first block is made; close() is called."""
    site = traced(httpd, "failing()\nyield b'never'")
    response = site.get("x")
    assert (response.status_code, "X-App" in response.headers) == (500, False)
    site.expect_log("closed$")
    site.expect_log("KK0101: .*LookupError: a fine mess")


def test_failure_after_the_first_block(httpd):
    """Later, the connection is closed without a last chunk."""
    site = traced(httpd, "yield b'begun'\nfailing()")
    assert raw(site).endswith(b"5\r\nbegun\r\n")
    site.expect_log("closed$")
    site.expect_log("KK0101: .*LookupError: a fine mess")


def test_debug(httpd):
    """With PythonDebug the client gets the traceback, and none of the headers that were
    set for another body."""
    body = "start_response('200 OK', [('X-App', '1'), ('Content-Length', '3')])\n1 / 0"
    response = answer_of(httpd, body, config="PythonDebug On\n")
    assert response.status_code == 500
    assert response.text.rstrip().endswith("ZeroDivisionError: division by zero")
    assert "X-App" not in response.headers
    httpd().expect_log("KK0101: ")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("return [b'x']", "AssertionError: the WSGI application did not call start_response"),
        ("return []", "AssertionError: "),
        ("return iter([b'x'])", "AssertionError: "),
        ("return iter([])", "AssertionError: "),
        ("ok(start_response)\nreturn None", "TypeError: 'NoneType' object is not iterable"),
        ("ok(start_response)\nreturn [1]", "TypeError: the blocks of a WSGI response must be bytes, not int"),
        ("ok(start_response)\nreturn b'bytes'", "TypeError: .* not int"),
        ("ok(start_response)\nreturn [None]", "TypeError: .* not NoneType"),
        ("ok(start_response)\nreturn iter([bytearray(b'x')])", "TypeError: .* not bytearray"),
        ("ok(start_response)\nreturn [b'x', '\\ud800']", "UnicodeEncodeError: "),
    ],
)
def test_broken_applications(httpd, body, error):
    """What is against PEP 3333 is status 500, and the log says what."""
    assert answer_of(httpd, body).status_code == 500
    httpd().expect_log(f"KK0101: .*{error}")


def test_an_asynchronous_application(httpd):
    """An ASGI application is none of WSGI."""
    site = site_of(httpd, "async def application(scope, receive, send):\n    pass\n")
    assert site.get("x").status_code == 500
    site.expect_log("KK0101: .*TypeError: ")


def test_failure_of_close(httpd):
    """What close() raises is logged; the response is complete."""
    code = """
        class Response:
            def __iter__(self):
                return iter([b"whole"])
            def close(self):
                raise LookupError("late")
        def application(environ, start_response):
            start_response("200 OK", [])
            return Response()
        """
    site = site_of(httpd, code)
    response = site.get("x")
    assert (response.status_code, response.text) == (200, "whole")
    site.expect_log("KK0107: .*LookupError: late")


@pytest.mark.parametrize("validated", [False, True])
def test_client_that_leaves(httpd, validated):
    """A client that leaves ends the iteration: close() is called, and the log has one line."""
    site = traced(httpd, "while True:\n    yield b'x' * 10000", validated=validated)
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}x HTTP/1.0\r\n\r\n".encode())
        connection.read_until(b"x")
        connection.reset()
    site.expect_log("closed$")
    record = site.expect_log("KK0108: PythonHandler mod_python.wsgi: .*Write failed, client closed")
    assert (record.level, "Traceback" in record.message) == ("warn", False)


def test_client_that_leaves_a_generator(httpd):
    """A generator's own finally clauses run."""
    code = """
        from mod_python import apache
        def application(environ, start_response):
            start_response("200 OK", [])
            try:
                while True:
                    yield b"x" * 10000
            finally:
                apache.log_error("finally", apache.APLOG_NOTICE)
        """
    site = site_of(httpd, code)
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}x HTTP/1.0\r\n\r\n".encode())
        connection.read_until(b"x")
        connection.reset()
    site.expect_log("finally$")
    site.expect_log("KK0108: ")


def test_body_that_is_cut_off(httpd):
    """A body that ends early is the client's fault: 400, and one line."""
    body = "environ['wsgi.input'].read()\nok(start_response)\nreturn [b'x']"
    lines = "\n".join("    " + line for line in body.splitlines())
    site = site_of(httpd, f"def application(environ, start_response):\n{lines}\n")
    with site.connect() as connection:
        connection.send(f"POST {site.prefix}x HTTP/1.0\r\nContent-Length: 10\r\n\r\nabc".encode())
        connection.end_of_input()
        assert b" 400 " in connection.read_all().partition(b"\r\n")[0]
    site.expect_log("KK0111: PythonHandler mod_python.wsgi: ")


def test_input_after_the_request(httpd):
    """wsgi.input, kept until the next request, says that it is over."""
    code = """
        kept = []
        def application(environ, start_response):
            start_response("200 OK", [])
            if kept:
                try:
                    kept[0].read()
                except ReferenceError:
                    return [b"over"]
            kept.append(environ["wsgi.input"])
            return [b"kept"]
        """
    site = site_of(httpd, code)
    assert [site.get("x").text for _ in range(2)] == ["kept", "over"]
