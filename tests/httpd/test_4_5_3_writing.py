"""Manual 4.5.3, writing the response: write, flush, sendfile; also HEAD, ranges and
clients that leave."""

import hashlib
import os

import pytest

from plugins.installation import PATIENCE

PYTHON = "SetHandler python-program\nPythonHandler writer"


def site_of(httpd, body, **files):
    """A site whose handler has this body."""
    lines = ["from mod_python import apache", "def handler(req):"]
    code = "\n".join(lines + ["    " + line for line in body.strip().splitlines()])
    return httpd.site(PYTHON, {"writer.py": code + "\n    return apache.OK\n", **files})


def test_str_is_utf8(httpd):
    """A str is sent as UTF-8."""
    assert site_of(httpd, "req.write('spämm€')").get("x").content == "spämm€".encode()


@pytest.mark.parametrize("data", ["b'\\0\\xff'", "bytearray(b'\\0\\xff')", "memoryview(b'\\0\\xff')"])
def test_bytes_like(httpd, data):
    """Bytes-like objects are sent as they are."""
    assert site_of(httpd, f"req.write({data})").get("x").content == b"\0\xff"


def test_array(httpd):
    """So is any object with a contiguous buffer."""
    body = "import array\nreq.write(array.array('B', [1, 2, 3]))"
    assert site_of(httpd, body).get("x").content == b"\1\2\3"


@pytest.mark.parametrize("argument", ["1", "None", "['x']", ""])
def test_other_types(httpd, argument):
    """Anything else is a TypeError."""
    assert (
        httpd.run(
            f"""
        try:
            req.write({argument})
        except TypeError:
            return "refused"
        """
        )
        == "refused"
    )


def test_surrogates(httpd):
    """A str that has no UTF-8 form is a UnicodeEncodeError, and nothing is sent of it."""
    assert (
        httpd.run(
            r"""
        try:
            req.write("\ud800")
        except UnicodeEncodeError:
            return "refused"
        """
        )
        == "refused"
    )


def test_writes_without_flush(httpd):
    """write(data, 0) and write(data, flush=False) keep their order."""
    body = "for n in range(5): req.write(str(n), n % 2)\nreq.write('x', flush=False)"
    assert site_of(httpd, body).get("x").text == "01234x"


def test_write_flushes(httpd):
    """By default the client gets what was written while the handler runs on."""
    site = site_of(
        httpd,
        """
import os, time
req.write("first")
end = time.monotonic() + 10
while not os.path.exists(os.path.dirname(__file__) + "/go") and time.monotonic() < end:
    time.sleep(0.005)
req.write("second")
""",
    )
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}x HTTP/1.0\r\n\r\n".encode())
        assert connection.read_until(b"first").endswith(b"first")
        site.write("go", "")
        assert connection.read_all() == b"second"


def test_flush(httpd):
    """flush() sends what was kept back."""
    site = site_of(
        httpd,
        """
import os, time
req.write("first", 0)
req.flush()
end = time.monotonic() + 10
while not os.path.exists(os.path.dirname(__file__) + "/go") and time.monotonic() < end:
    time.sleep(0.005)
""",
    )
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}x HTTP/1.0\r\n\r\n".encode())
        assert connection.read_until(b"first").endswith(b"first")
        site.write("go", "")


def test_large_response(httpd):
    """Many megabytes arrive unchanged."""
    body = "req.write(bytes(range(256)) * 20000)\nfor _ in range(1000): req.write(b'x' * 1000, 0)"
    digest = hashlib.sha256(bytes(range(256)) * 20000 + b"x" * 1000000).hexdigest()
    assert hashlib.sha256(site_of(httpd, body).get("x").content).hexdigest() == digest


def test_empty_response(httpd):
    """Nothing written is an empty body."""
    answer = site_of(httpd, "pass").get("x")
    assert (answer.status_code, answer.content) == (200, b"")


def test_write_nothing(httpd):
    """Writing nothing is allowed."""
    assert site_of(httpd, "req.write('')\nreq.write(b'', 0)").get("x").content == b""


def test_many_writes_do_not_grow_the_process(httpd):
    """100,000 writes and flushes in one request leave the memory as it was."""
    server = httpd("# memory")
    code = """
        def size():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * 4096
        for _ in range(10000):
            req.write("", 1)
            req.write(" ", 0)
        req.flush()
        before = size()
        for _ in range(100000):
            req.write(" ", 1)
            req.flush()
        return size() - before
        """
    assert server.run(code) < 4_000_000 * PATIENCE  # the sanitizers need room themselves


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [("", "0123456789"), (", 3", "3456789"), (", 3, 4", "3456"), (", 0, -1", "0123456789")],
)
def test_sendfile(httpd, arguments, expected):
    """sendfile sends (part of) a file and returns the number of bytes."""
    site = site_of(
        httpd,
        f"""
sent = req.sendfile(__file__.replace("writer.py", "data"){arguments})
req.write(" %d" % sent)
""",
        data="0123456789",
    )
    assert site.get("x").text == f"{expected} {len(expected)}"


def test_sendfile_follows_links(httpd):
    """A symbolic link is followed."""
    site = site_of(httpd, "req.sendfile(__file__.replace('writer.py', 'link'))", data="linked")
    (site.directory / "link").symlink_to("data")
    assert site.get("x").text == "linked"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/no/such/file", "Could not stat file for reading"),
        ("/etc/shadow", "Could not open file for reading"),
    ],
)
def test_sendfile_errors(httpd, path, message):
    """A file that is missing or cannot be read is an OSError."""
    assert httpd.run(
        f"""
        try:
            req.sendfile({path!r})
        except OSError as error:
            return [{message!r} in str(error), error.errno is not None]
        """
    ) == [True, True]


def test_large_sendfile(httpd):
    """A large file arrives whole."""
    site = site_of(httpd, "req.sendfile(__file__.replace('writer.py', 'data'))")
    site.write("data", b"0123456789" * 500000)
    assert len(site.get("x").content) == 5_000_000


def test_head(httpd):
    """HEAD has the headers of GET and no body."""
    site = site_of(httpd, "req.set_content_length(4)\nreq.write('spam')")
    answer = site.head("x")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == "4"


def test_range(httpd):
    """A range of a response is answered in part."""
    site = site_of(httpd, "req.set_content_length(10)\nreq.write('0123456789', 0)")
    answer = site.get("x", headers={"Range": "bytes=2-4"})
    assert (answer.status_code, answer.text) == (206, "234")
    assert answer.headers["Content-Range"] == "bytes 2-4/10"


def test_content_length_of_a_short_response(httpd):
    """What is written without flush gets a Content-Length."""
    answer = site_of(httpd, "req.write('spam', 0)").get("x")
    assert answer.headers.get("Content-Length") == "4"


def test_chunked_response(httpd):
    """A flushed response without length goes in chunks on HTTP/1.1."""
    answer = site_of(httpd, "req.write('spam')\nreq.write('eggs')").get("x")
    assert answer.headers.get("Transfer-Encoding") == "chunked"
    assert answer.text == "spameggs"


ENDLESS = """
    from mod_python import apache

    def handler(req):
        try:
            while True:
                req.{call}
        except OSError as error:
            apache.log_error(f"gone: {{type(error).__name__}} {{error.errno}} {{error}}",
                             apache.APLOG_NOTICE)
            raise
    """


@pytest.mark.parametrize("call", ["write('x' * 10000)", "write('x' * 10000, 0)", "sendfile(__file__)"])
def test_client_that_leaves(httpd, call):
    """A write to a client that has gone raises an OSError with its errno; not caught,
    it is one record, without a traceback."""
    site = httpd.site(PYTHON, {"writer.py": ENDLESS.format(call=call)})
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}x HTTP/1.0\r\n\r\n".encode())
        connection.read_until(b"x")
        connection.reset()
    message = site.expect_log("gone: ").message
    assert "Write failed, client closed connection." in message
    assert " None " not in message
    record = site.expect_log("KK0108: PythonHandler writer: ")
    assert record.level == "warn"
    assert "Traceback" not in record.message


def test_flush_to_a_client_that_has_left(httpd):
    """So does flush."""
    call = "write('x' * 1000, 0) or req.flush()"
    site = httpd.site(PYTHON, {"writer.py": ENDLESS.format(call=call)})
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}x HTTP/1.0\r\n\r\n".encode())
        connection.read_until(b"x")
        connection.reset()
    assert "Flush failed, client closed connection." in site.expect_log("gone: ").message
    site.expect_log("KK0108: PythonHandler writer: ")


def test_debug_output_to_a_client_that_has_left(httpd):
    """With PythonDebug On too, such an error goes to the log only."""
    site = httpd.site(PYTHON + "\nPythonDebug On", {"writer.py": ENDLESS.format(call="write('x' * 10000)")})
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}x HTTP/1.0\r\n\r\n".encode())
        connection.read_until(b"x")
        connection.reset()
    site.expect_log("gone: ")
    site.expect_log("KK0108: PythonHandler writer: ")


def test_sendfile_of_a_fifo(httpd):
    """It is refused at once: nobody may ever write to it."""
    body = """
fifo = __file__.replace("writer.py", "fifo")
try:
    req.sendfile(fifo)
except OSError as error:
    req.write(type(error).__name__)
"""
    site = site_of(httpd, body)
    os.mkfifo(site.directory / "fifo")
    (site.directory / "fifo").chmod(0o644)
    assert site.get("x").text == "IsADirectoryError"
