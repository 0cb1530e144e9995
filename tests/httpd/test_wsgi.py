"""WSGI applications: `PythonHandler mod_python.wsgi` (PEP 3333).

What both the application and its wsgiref.validate.validator can do is tested with and
without the validator.
"""

import hashlib

import httpx
import pytest

from plugins.installation import SANITIZED
from plugins.wsgi_sites import answer_of, site_of


@pytest.fixture(params=[False, True], ids=["plain", "validated"])
def answer(request, httpd):
    """answer_of() on this server, for an application and for a validated one."""

    def call(body, **options):
        return answer_of(httpd, body, validated=request.param, **options)

    return call


@pytest.fixture(params=[False, True], ids=["plain", "validated"])
def site(request, httpd):
    """site_of() on this server, likewise."""

    def make(code, **options):
        return site_of(httpd, code, validated=request.param, **options)

    return make


# The response's start


def test_hello(answer):
    """Status, headers and body of a small response arrive, with a Content-Length."""
    response = answer("ok(start_response, ('X-One', '1'))\nreturn [b'Hello!']")
    assert (response.status_code, response.reason_phrase, response.text) == (200, "OK", "Hello!")
    assert response.headers["Content-Type"] == "text/plain"
    assert response.headers["X-One"] == "1"


def test_one_block_has_a_length_and_is_not_chunked(httpd):
    """What is there whole is sent whole: Content-Length, no chunks."""
    response = answer_of(httpd, "ok(start_response)\nreturn [b'x' * 100000]")
    assert response.headers["Content-Length"] == "100000"
    assert "Transfer-Encoding" not in response.headers
    assert response.text == "x" * 100000


@pytest.mark.parametrize("blocks", ["[b'a', b'b', b'c']", "(b'a', b'', b'bc')", "['ab', 'c']"])
def test_lists_and_tuples_have_a_length(httpd, blocks):
    """Several blocks, too; str counts as UTF-8."""
    response = answer_of(httpd, f"ok(start_response)\nreturn {blocks}")
    assert (response.text, response.headers["Content-Length"]) == ("abc", "3")


def test_str_blocks_are_utf8(httpd):
    """Blocks may be str."""
    response = answer_of(httpd, "ok(start_response)\nreturn (text for text in ['sp\xe4m', '\u20ac'])")
    assert response.content == "sp\xe4m\u20ac".encode()


def test_reason_of_its_own(answer):
    """The phrase of the status line is the application's."""
    response = answer("start_response('299 Just Fine', [('Content-Type', 'text/plain')])\nreturn [b'x']")
    assert (response.status_code, response.reason_phrase) == (299, "Just Fine")


def test_headers_of_one_name_stay_apart(answer):
    """Each Set-Cookie is a header of its own."""
    body = "ok(start_response, ('Set-Cookie', 'a=1'), ('Set-Cookie', 'b=2'))\nreturn [b'x']"
    assert answer(body).headers.get_list("Set-Cookie") == ["a=1", "b=2"]


def test_latin1_headers(answer):
    """Header values are ISO-8859-1."""
    response = answer("ok(start_response, ('X-Text', 'sp\xe4m'))\nreturn [b'x']")
    assert dict(response.headers.raw)[b"X-Text"] == "sp\xe4m".encode("latin-1")


def test_no_content_type_of_the_extension(httpd):
    """What Apache makes of the URI's extension is not the application's answer."""
    body = "start_response('200 OK', [])\nreturn [b'x']"
    response = answer_of(httpd, body, path="page.html", config="AddEncoding x-gzip .html")
    assert "Content-Type" not in response.headers
    assert "Content-Encoding" not in response.headers


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_no_body_for_some_statuses(answer, status):
    """204 and 304 have neither body nor length, and the connection stays good."""
    response = answer(f"start_response('{status}', [('X-One', '1')])\nreturn []")
    assert (response.status_code, response.content) == (int(status[:3]), b"")
    assert "Content-Length" not in response.headers
    assert response.headers["X-One"] == "1"


def test_body_of_204_is_not_sent(httpd):
    """Not even if the application gives one: the next response follows at once."""
    code = """
        def application(environ, start_response):
            start_response("204 No Content", [])
            return [b"nonsense"]
        """
    site = site_of(httpd, code)
    with site.connect() as connection:
        for _ in range(2):
            connection.send(f"GET {site.prefix}x HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert connection.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 204 ")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("200", "ValueError"),
        ("200OK", "ValueError"),
        ("20 OK", "ValueError"),
        ("2000 OK", "ValueError"),
        ("OK", "ValueError"),
        ("", "ValueError"),
        ("100 Continue", "ValueError"),
        ("200 O\rK", "ValueError"),
        ("200 O\nK", "ValueError"),
        ("200 O\x00K", "ValueError"),
        ("200 \u20ac", "UnicodeEncodeError"),
        (b"200 OK", "TypeError"),
        (200, "TypeError"),
    ],
)
def test_bad_status(httpd, status, error):
    """What is no status is refused while the application runs."""
    assert refused(httpd, f"start_response({status!r}, [])").startswith(error + ": ")


@pytest.mark.parametrize(("status", "text"), [("nonsense", "'nonsense'"), ("200 O\rK", "it contains CR")])
def test_bad_status_says_so(httpd, status, text):
    """The message says what it is, and what is wrong with it."""
    message = refused(httpd, f"start_response({status!r}, [])")
    assert message.startswith(f"ValueError: Invalid status line: {text}")


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ("None", "TypeError"),
        ("{}", "TypeError"),
        ("()", "TypeError"),
        ("(h for h in ())", "TypeError"),
        ("['ab']", "TypeError"),
        ("[['a', 'b']]", "TypeError"),
        ("[('a',)]", "TypeError"),
        ("[('a', 'b', 'c')]", "TypeError"),
        ("[('a', 1)]", "TypeError"),
        ("[('a', b'1')]", "TypeError"),
        ("[(b'a', '1')]", "TypeError"),
        ("[('', '1')]", "ValueError"),
        ("[('a b', '1')]", "ValueError"),
        ("[('a:', '1')]", "ValueError"),
        ("[('a\\r\\nb', '1')]", "ValueError"),
        ("[('a', '1\\r\\nSet-Cookie: x')]", "ValueError"),
        ("[('a', '1\\n')]", "ValueError"),
        ("[('a', '1\\0')]", "ValueError"),
        ("[('a', '\\x07')]", "ValueError"),
        ("[('a', '\\u20ac')]", "UnicodeEncodeError"),
        ("[('Content-Length', 'x')]", "ValueError"),
        ("[('Content-Length', '-1')]", "ValueError"),
        ("[('Content-Length', '1 ')]", "ValueError"),
        ("[('Content-Length', '')]", "ValueError"),
        ("[('Content-Length', '+1')]", "ValueError"),
        ("[('content-length', '0x1')]", "ValueError"),
        ("[('Content-Length', '9223372036854775808')]", "ValueError"),
        ("[('Content-Length', '18446744073709551617')]", "ValueError"),
        ("[('Connection', 'close')]", "ValueError"),
        ("[('transfer-encoding', 'chunked')]", "ValueError"),
        ("[('Upgrade', 'x')]", "ValueError"),
    ],
)
def test_bad_headers(httpd, headers, error):
    """So is what are no headers, and what is the server's business."""
    assert refused(httpd, f"start_response('200 OK', {headers})").startswith(error + ": ")


def refused(httpd, call):
    """What a call raises; a proper response follows, so that nothing was set by halves."""
    response = answer_of(
        httpd,
        f"""
        try:
            {call}
        except Exception as error:
            text = type(error).__name__ + ": " + str(error)
        else:
            text = "accepted"
        start_response("200 OK", [])
        return [text.encode()]
        """,
    )
    assert response.status_code == 200
    assert {"a", "set-cookie"}.isdisjoint(response.headers)
    return response.text


def test_arguments(httpd):
    """Too few and too many arguments are a TypeError; exc_info may be named."""
    for call in ("start_response()", "start_response('200 OK')", "start_response('200 OK', [], None, 1)"):
        assert refused(httpd, call).startswith("TypeError: ")
    assert answer_of(httpd, "start_response('200 OK', [], exc_info=None)\nreturn [b'x']").text == "x"


def test_start_response_is_called_late(answer):
    """A generator calls start_response() when it is asked for its first block."""
    body = """
        def blocks():
            ok(start_response, ("X-Late", "1"))
            yield b"late"
        return blocks()
        """
    response = answer(body)
    assert (response.text, response.headers["X-Late"]) == ("late", "1")


def test_headers_of_an_earlier_handler(httpd):
    """What an earlier phase has set stays, unless the application sets it."""
    site = site_of(
        httpd,
        """
        from mod_python import apache
        def fixuphandler(req):
            req.headers_out["X-One"] = req.headers_out["X-Two"] = "early"
            req.headers_out["Content-Length"] = "77"
            return apache.OK
        def application(environ, start_response):
            start_response("200 OK", [("x-two", "late")])
            return [b"x"]
        """,
        config="PythonFixupHandler app\n",
    )
    response = site.get("x")
    assert (response.headers["X-One"], response.headers["X-Two"], response.text) == ("early", "late", "x")


# exc_info

FAILURE = """
try:
    raise LookupError("a fine mess")
except LookupError:
    start_response("500 Oops", [("Content-Type", "text/plain"), ("X-New", "1")], sys.exc_info())
"""


def test_exc_info_replaces_what_is_not_sent(answer):
    """With exc_info a second call replaces status and all headers of the first."""
    body = "import sys\nok(start_response, ('X-Old', '1'), ('Content-Length', '99'))" + FAILURE
    response = answer(body + "\nreturn [b'sorry']")
    assert (response.status_code, response.reason_phrase, response.text) == (500, "Oops", "sorry")
    assert response.headers["X-New"] == "1"
    assert "X-Old" not in response.headers


def test_exc_info_after_the_start_is_raised(httpd):
    """Once the headers are out, exc_info is raised as it is, and the response breaks off."""
    code = """
        import sys
        def application(environ, start_response):
            start_response("200 OK", [])
            yield b"begun"
            try:
                raise LookupError("a fine mess")
            except LookupError:
                start_response("500 Oops", [], sys.exc_info())
            yield b"never"
        """
    site = site_of(httpd, code)
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}x HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        data = connection.read_all()
    assert data.endswith(b"5\r\nbegun\r\n")
    record = site.expect_log("KK0101: PythonHandler mod_python.wsgi: LookupError: a fine mess")
    assert 'raise LookupError("a fine mess")' in record.message


def test_second_call_without_exc_info(httpd):
    """Without exc_info a second call is an AssertionError."""
    body = "ok(start_response)\n" + (
        "try:\n    ok(start_response)\nexcept AssertionError as error:\n    return [str(error).encode()]"
    )
    assert answer_of(httpd, body).text.startswith("Headers already set")


@pytest.mark.parametrize("value", ["1", "()", "(1, 2, 3)", "(ValueError, ValueError(), 1)"])
def test_exc_info_of_another_kind(httpd, value):
    """What is no exc_info is a TypeError."""
    assert refused(httpd, f"start_response('200 OK', [], {value})").startswith("TypeError: ")


# The body


def test_blocks_arrive_as_they_are_made(site):
    """Each block of an iterator reaches the client before the next one is asked for."""
    one = site(
        """
        import os, time
        def application(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            def blocks():
                yield b"first"
                end = time.monotonic() + 10
                while not os.path.exists(os.path.dirname(__file__) + "/go") and time.monotonic() < end:
                    time.sleep(0.005)
                yield b"second"
            return blocks()
        """
    )
    with one.connect() as connection:
        connection.send(f"GET {one.prefix}x HTTP/1.0\r\n\r\n".encode())
        assert connection.read_until(b"first").endswith(b"first")
        one.write("go", "")
        assert connection.read_all() == b"second"


def test_write(answer):
    """What start_response() returns writes, before what the application returns."""
    response = answer("write = ok(start_response)\nwrite(b'a')\nwrite(b'b')\nreturn [b'c']")
    assert response.text == "abc"


def test_write_is_the_requests(httpd):
    """It is req.write."""
    body = "write = ok(start_response)\nreturn [str(write == environ['wsgi.input'].write).encode()]"
    assert answer_of(httpd, body).text == "True"


def test_empty_blocks(answer):
    """Empty blocks are nothing, not even the start of the response."""
    body = """
        import sys
        def blocks():
            ok(start_response)
            yield b""
            yield b""
            start_response("201 Made", [("Content-Type", "text/plain")], exc_info())
            yield b"x"
        def exc_info():
            try:
                raise ValueError
            except ValueError:
                return sys.exc_info()
        return blocks()
        """
    assert answer(body).status_code == 201


def test_nothing_returned(answer):
    """An empty iterable is an empty response."""
    for empty in ("[]", "iter(())", "[b'']"):
        response = answer(f"ok(start_response)\nreturn {empty}")
        assert (response.status_code, response.content) == (200, b"")


def test_a_class_is_an_application(httpd):
    """Its instances are iterated over (PEP 3333, The Application/Framework Side)."""
    code = """
        class application:
            def __init__(self, environ, start_response):
                self.start = start_response
            def __iter__(self):
                self.start("200 OK", [])
                yield b"from a class"
        """
    assert site_of(httpd, code).get("x").text == "from a class"


def test_head(httpd):
    """HEAD has the headers of GET, the length too, and no body."""
    response = answer_of(httpd, "ok(start_response)\nreturn [b'Hello!']", method="HEAD")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["Content-Length"] == "6"


def test_head_without_a_body_made(answer):
    """An application may leave out the body; the length it gives stands."""
    response = answer("ok(start_response, ('Content-Length', '77'))\nreturn []", method="HEAD")
    assert (response.status_code, response.headers["Content-Length"]) == (200, "77")


@pytest.mark.parametrize(
    ("length", "sent"),
    [("77", "77"), ("0077", "77"), ("9223372036854775807", "9223372036854775807")],
)
@pytest.mark.parametrize("name", ["Content-Length", "CONTENT-length"])
def test_length_as_a_number(answer, name, length, sent):
    """However it is spelt, and up to the largest there is."""
    response = answer(f"ok(start_response, ('{name}', '{length}'))\nreturn []", method="HEAD")
    assert (response.status_code, response.headers["Content-Length"]) == (200, sent)


def test_head_without_anything_said_of_the_body(httpd):
    """No length is made up for HEAD."""
    response = answer_of(httpd, "ok(start_response)\nreturn []", method="HEAD")
    assert "Content-Length" not in response.headers


def test_head_ends_an_endless_body(httpd):
    """Nothing that follows the first block could be sent."""
    code = """
        from mod_python import apache
        class Endless:
            def __iter__(self):
                return self
            def __next__(self):
                return b"x"
            def close(self):
                apache.log_error("closed", apache.APLOG_NOTICE)
        def application(environ, start_response):
            start_response("200 OK", [])
            return Endless()
        """
    site = site_of(httpd, code)
    assert site.head("x").status_code == 200
    site.expect_log("closed$")


@pytest.mark.parametrize("blocks", ["[b'12345', b'67890']", "iter([b'12345', b'67890'])"])
def test_longer_than_its_length(httpd, blocks):
    """Not more than Content-Length is sent; the connection stays good."""
    code = f"""
        def application(environ, start_response):
            start_response("200 OK", [("Content-Length", "7")])
            return {blocks}
        """
    site = site_of(httpd, code)
    with site.connect() as connection:
        for _ in range(2):
            connection.send(f"GET {site.prefix}x HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert connection.response().body == b"1234567"
    site.expect_log("KK0152: app: ", times=2)


def test_writing_more_than_the_length(httpd):
    """write() beyond Content-Length is a ValueError."""
    body = """
        write = ok(start_response, ("Content-Length", "3"))
        try:
            write(b"1234")
        except ValueError as error:
            write(b"yes")
            return []
        """
    assert answer_of(httpd, body).text == "yes"


def test_shorter_than_its_length(httpd):
    """A body that is known to be too short before anything is sent is status 500."""
    body = "ok(start_response, ('Content-Length', '7'))\nreturn [b'12345']"
    response = answer_of(httpd, body)
    assert response.status_code == 500
    httpd().expect_log("KK0153: app: .* 2 bytes shorter")


def test_shorter_than_its_length_when_begun(httpd):
    """Otherwise the connection is closed, so that the client can tell."""
    code = """
        def application(environ, start_response):
            start_response("200 OK", [("Content-Length", "7")])
            yield b"12345"
        """
    site = site_of(httpd, code)
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}x HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert connection.read_all().endswith(b"\r\n\r\n12345")
    site.expect_log("KK0153: app: .* 2 bytes shorter")


def test_range(httpd):
    """Apache answers ranges of a response that is there whole."""
    response = answer_of(httpd, "ok(start_response)\nreturn [b'0123456789']", headers={"Range": "bytes=2-4"})
    assert (response.status_code, response.text) == (206, "234")


@pytest.mark.skipif(SANITIZED, reason="the sanitizer's own memory is most of it")
@pytest.mark.parametrize("validated", [False, True])
def test_large_stream(httpd, validated):
    """100 MB, block by block, arrive byte for byte and in constant memory."""
    code = """
        import resource
        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        def application(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            def blocks():
                block = bytes(range(256)) * 256
                yield block
                before = peak()
                for n in range(1599):
                    yield bytes(bytearray(block))
                yield b"%10d" % (peak() - before)
            return blocks()
        """
    # A server of its own, so that the peak is this response's.
    site = site_of(httpd(f"# a large stream {validated}"), code, validated=validated)
    body = hashlib.sha256()
    length, tail = 0, b""
    with httpx.stream("GET", site.url + "x", timeout=60, trust_env=False) as response:
        for data in response.iter_raw():
            whole = tail + data
            body.update(whole[:-10])
            length += len(whole[:-10])
            tail = whole[-10:]
    assert length == 1600 * 65536
    assert body.hexdigest() == hashlib.sha256(bytes(range(256)) * 256 * 1600).hexdigest()
    assert int(tail) < 8192  # KiB
