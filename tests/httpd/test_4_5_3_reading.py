"""Manual 4.5.3, reading the request's body: read, readline, readlines; also what
HTTP adds to it: chunks, cut-off bodies, timeouts, Expect."""

import hashlib

import pytest

LINES = b"one\r\ntwo\nthree"


def post(httpd, code, content, **options):
    return httpd.run(code, method="POST", content=content, **options)


@pytest.mark.parametrize("arguments", ["", "-1", "100"])
def test_read_all(httpd, arguments):
    """read() and read(-1) give the whole body, read(n) at most n bytes: bytes, all of
    the 256 kinds."""
    body = bytes(range(256)) if arguments != "100" else b"x" * 100
    got = post(httpd, f"return req.read({arguments}).hex()", body)
    assert bytes.fromhex(got) == body


def test_read_in_pieces(httpd):
    """read(n) goes on where the last one stopped; at the end it gives b""."""
    code = """
        pieces = []
        while piece := req.read(4):
            pieces.append(piece.decode())
        return pieces + [req.read().decode(), req.read(4).decode()]
        """
    assert post(httpd, code, b"1234567890") == ["1234", "5678", "90", "", ""]


def test_read_nothing(httpd):
    """read(0) reads nothing; without a body there is nothing to read."""
    assert post(httpd, "return [req.read(0).decode(), req.read().decode()]", b"x") == ["", "x"]
    assert httpd.run("return req.read().decode()") == ""


def test_read_is_bytes(httpd):
    """Bodies are bytes."""
    assert post(httpd, "return type(req.read()).__name__", b"x") == "bytes"
    assert post(httpd, "return type(req.readline()).__name__", b"x") == "bytes"


def test_large_body(httpd):
    """A body of several megabytes arrives unchanged."""
    body = bytes(range(256)) * 20000
    digest = post(httpd, "import hashlib\nreturn hashlib.sha256(req.read()).hexdigest()", body)
    assert digest == hashlib.sha256(body).hexdigest()


def test_readline(httpd):
    """readline gives one line with its end, whichever it is; b"" at the end."""
    code = "return [req.readline().decode() for _ in range(4)]"
    assert post(httpd, code, LINES) == ["one\r\n", "two\n", "three", ""]


def test_readline_with_length(httpd):
    """readline(n) gives at most n bytes."""
    code = "return [req.readline(2).decode() for _ in range(4)]"
    assert post(httpd, code, LINES) == ["on", "e\r", "\n", "tw"]
    assert post(httpd, "return req.readline(-1).decode()", LINES) == "one\r\n"


def test_long_lines(httpd):
    """A line may be longer than any buffer."""
    lengths = post(
        httpd,
        "return [len(req.readline()), len(req.readline())]",
        b"x" * 300000 + b"\n" + b"y" * 100000,
    )
    assert lengths == [300001, 100000]


def test_mixing_read_and_readline(httpd):
    """read goes on where readline stopped, and the other way round."""
    code = (
        "return [req.readline().decode(), req.read(2).decode(), req.readline().decode(), req.read().decode()]"
    )
    assert post(httpd, code, LINES) == ["one\r\n", "tw", "o\n", "three"]


def test_readlines(httpd):
    """readlines gives the rest as lines."""
    code = "return [line.decode() for line in req.readlines()]"
    assert post(httpd, code, LINES) == ["one\r\n", "two\n", "three"]
    assert post(httpd, code, b"") == []


def test_readlines_with_hint(httpd):
    """readlines(hint) gives whole lines until they total at least hint."""
    code = "return [[line.decode() for line in req.readlines(6)], req.read().decode()]"
    assert post(httpd, code, LINES) == [["one\r\n", "two\n"], "three"]


@pytest.mark.parametrize("call", ["read('x')", "readline('x')", "readlines('x')", "read(1, 2)"])
def test_wrong_arguments(httpd, call):
    """An argument that is no int, or too many, is a TypeError."""
    assert (
        httpd.run(
            f"""
        try:
            req.{call}
        except TypeError:
            return "refused"
        """
        )
        == "refused"
    )


def test_chunked_body(httpd):
    """A body without Content-Length, in chunks, is read like another."""
    assert post(httpd, "return req.read().decode()", iter([b"one ", b"two ", b"three"])) == ("one two three")
    code = "return [req.readline().decode() for _ in range(3)]"
    assert post(httpd, code, iter([b"o", b"ne\nt", b"wo"])) == ["one\n", "two", ""]


def test_chunked_body_in_pieces(httpd):
    """Pieces need not be chunks."""
    code = """
        pieces = []
        while piece := req.read(3):
            pieces.append(piece.decode())
        return pieces
        """
    assert post(httpd, code, iter([b"12", b"3456", b"7"])) == ["123", "456", "7"]


def test_read_chunked(httpd):
    """After the body was read in chunks the members say so."""
    code = "req.read()\nreturn [req.read_chunked, req.read_length]"
    assert post(httpd, code, iter([b"12", b"345"])) == [1, 5]


READER = """
    from mod_python import apache

    def handler(req):
        try:
            data = req.read()
        except OSError as error:
            kind = type(error).__name__
            apache.log_error(f"read failed: {kind}: {error}", apache.APLOG_NOTICE)
            return apache.HTTP_BAD_REQUEST
        req.write(b"read %d" % len(data))
        return apache.OK
    """
READING = "SetHandler python-program\nPythonHandler reader"


def request_head(site, *headers):
    lines = [f"POST {site.prefix}x HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode()


def test_cut_off_body(httpd):
    """A body shorter than announced is an OSError."""
    site = httpd.site(READING, {"reader.py": READER})
    with site.connect() as connection:
        connection.send(request_head(site, "Content-Length: 100") + b"only this")
        connection.end_of_input()
        connection.read_all()
    site.expect_log("read failed: [A-Za-z]*Error: ")
    assert site.post("x", content=b"12345").text == "read 5"


def test_cut_off_chunked_body(httpd):
    """So is a chunked body without its last chunk."""
    site = httpd.site(READING, {"reader.py": READER})
    with site.connect() as connection:
        connection.send(request_head(site, "Transfer-Encoding: chunked") + b"5\r\n12345\r\n")
        connection.end_of_input()
        connection.read_all()
    site.expect_log("read failed: ")


def test_client_that_leaves_while_sending(httpd):
    """A client that resets the connection in the middle of its body is an OSError."""
    site = httpd.site(READING, {"reader.py": READER})
    with site.connect() as connection:
        connection.send(request_head(site, "Content-Length: 100") + b"only this")
        connection.reset()
    site.expect_log("read failed: ")


def test_malformed_chunks(httpd):
    """Chunks that are none are an OSError."""
    site = httpd.site(READING, {"reader.py": READER})
    answer = site.raw(request_head(site, "Transfer-Encoding: chunked") + b"spam\r\n\r\n")
    assert answer.status == 400
    site.expect_log("read failed: ")
    site.expect_log("AH01590|AH02006|AH10482|chunk")


def test_timeout(httpd):
    """A body slower than Timeout is an OSError that says so."""
    server = httpd("Timeout 1")
    site = server.site(READING, {"reader.py": READER})
    with site.connect() as connection:
        connection.send(request_head(site, "Content-Length: 100") + b"only this")
        connection.read_all()
    record = site.expect_log("read failed: ")
    assert "TimeoutError" in record.message
    assert "Client read error (Timeout?)" in record.message


def test_exception_while_reading(httpd):
    """Not caught, it is a matter of the client: one record, without a traceback."""
    site = httpd.site(READING, {"reader.py": "def handler(req):\n    req.read()\n    return 0\n"})
    with site.connect() as connection:
        connection.send(request_head(site, "Content-Length: 100") + b"only this")
        connection.reset()
    record = site.expect_log("KK0111: PythonHandler reader: ConnectionResetError")
    assert record.level == "warn"
    assert "Traceback" not in record.message


RETURNS_STATUS = """
    def handler(req):
        try:
            req.read()
        except OSError as error:
            return error.status
    """

# What the client sends, and the status that it deserves.
FAULTS = {
    "cut off": (["Content-Length: 10"], b"only", 400),
    "malformed": (["Transfer-Encoding: chunked"], b"spam\r\n\r\n", 400),
    "too large": (["Content-Length: 11"], b"x" * 11, 413),
    "senseless": (["Transfer-Encoding: gzip, chunked"], b"0\r\n\r\n", 501),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_status_of_the_exception(httpd, fault):
    """The exception has the status that the client deserves; a handler may return it."""
    headers, body, status = FAULTS[fault]
    site = httpd.site(READING + "\nLimitRequestBody 10", {"reader.py": RETURNS_STATUS})
    with site.connect() as connection:
        connection.send(request_head(site, *headers) + body)
        connection.end_of_input()
        assert connection.response("POST").status == status


def test_status_of_a_timeout(httpd):
    """So it is for one that is too slow."""
    site = httpd("Timeout 1").site(READING, {"reader.py": RETURNS_STATUS})
    with site.connect() as connection:
        connection.send(request_head(site, "Content-Length: 100") + b"only this")
        assert connection.response("POST").status == 408


def test_expect_100_continue(httpd):
    """The server asks for the body when the handler begins to read, not before."""
    site = httpd.site(
        READING,
        {
            "reader.py": """
                def handler(req):
                    waiting = req.expecting_100
                    body = req.read()
                    req.write(b"%d %s" % (waiting, body))
                    return 0
                """
        },
    )
    with site.connect() as connection:
        connection.send(request_head(site, "Content-Length: 4", "Expect: 100-continue"))
        assert connection.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(b"spam")
        assert connection.response().body == b"1 spam"


def test_expect_100_refused(httpd):
    """A handler that does not want the body answers at once."""
    site = httpd.site(READING, {"reader.py": "def handler(req):\n    return 403\n"})
    with site.connect() as connection:
        connection.send(request_head(site, "Content-Length: 4", "Expect: 100-continue"))
        assert connection.response().status == 403


def test_body_that_nobody_reads(httpd):
    """A body the handler leaves alone does not disturb the next request."""
    site = httpd.site(READING, {"reader.py": "def handler(req):\n    req.write(req.method)\n    return 0\n"})
    head = f"POST {site.prefix}x HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n".encode()
    with site.connect() as connection:
        for _ in range(2):
            connection.send(head + b"x" * 5000)
            assert connection.response("POST").body == b"POST"


def test_body_limit(httpd):
    """LimitRequestBody is Apache's to keep: reading more is an OSError."""
    site = httpd.site(READING + "\nLimitRequestBody 10", {"reader.py": READER})
    assert site.post("x", content=b"x" * 10).text == "read 10"
    assert site.post("x", content=b"x" * 100).status_code == 400
    site.expect_log("read failed: ")
