"""wsgi.file_wrapper: Apache sends the file (PEP 3333, Optional Platform-Specific File Handling)."""

import hashlib
import time

import httpx
import pytest

from plugins.installation import SANITIZED
from plugins.process import wait_for
from plugins.wsgi_sites import answer_of, site_of

TEXT = b"0123456789"
WRAP = "import io, os, tempfile, gzip\nwrap = environ['wsgi.file_wrapper']\n"


def wrapped(httpd, body, *, headers="[]", **options):
    """The response of an application that returns what the body leaves in `file`."""
    return answer_of(
        httpd,
        f"{WRAP}{body}\nstart_response('200 OK', {headers})\nreturn wrap(file)",
        **options,
    )


TEMPORARY = "file = tempfile.TemporaryFile()\nfile.write(b'0123456789')\nfile.seek(0)\n"


@pytest.mark.parametrize("validated", [False, True])
def test_file(httpd, validated):
    """A file arrives; of a real one the length is known."""
    response = wrapped(httpd, TEMPORARY, validated=validated, headers="[('Content-Type', 'text/plain')]")
    assert response.content == TEXT
    if not validated:  # which hides what it is
        assert response.headers["Content-Length"] == "10"


FILES = {
    "buffered": "",
    "raw": "raw = io.FileIO(os.dup(file.fileno()))\nfile = raw\n",
    "reader": "file = io.BufferedReader(io.FileIO(os.dup(file.fileno())))\n",
    "named": "file = tempfile.NamedTemporaryFile()\nfile.write(b'0123456789')\nfile.seek(0)\n",
}


@pytest.mark.parametrize("make", FILES.values(), ids=FILES.keys())
def test_position(httpd, make):
    """Sending begins where the file stands."""
    response = wrapped(httpd, TEMPORARY + make + "file.seek(3)")
    assert (response.content, response.headers["Content-Length"]) == (TEXT[3:], "7")


def test_position_behind_what_was_read(httpd):
    """What the program has read is not sent, although more of the file was read ahead."""
    assert wrapped(httpd, TEMPORARY + "file.read(4)").content == TEXT[4:]


def test_unflushed_file(httpd):
    """What was written and is still in the file's buffer is sent."""
    assert wrapped(httpd, TEMPORARY + "file.seek(0, 2)\nfile.write(b'more')\nfile.seek(0)").content == (
        TEXT + b"more"
    )


def test_position_at_the_end(httpd):
    """At its end, or behind it, there is nothing to send."""
    for position in (10, 20):
        response = wrapped(httpd, TEMPORARY + f"file.seek({position})")
        assert (response.status_code, response.content) == (200, b"")
        assert response.headers["Content-Length"] == "0"


def test_content_length(httpd):
    """No more than Content-Length is sent of a larger file."""
    response = wrapped(httpd, TEMPORARY + "file.seek(2)", headers="[('Content-Length', '3')]")
    assert (response.content, response.headers["Content-Length"]) == (b"234", "3")


def test_file_that_is_too_short(httpd):
    """A smaller file is an error, before anything is sent."""
    assert wrapped(httpd, TEMPORARY, headers="[('Content-Length', '11')]").status_code == 500
    httpd().expect_log("KK0153: app: .* 1 bytes shorter")


NO_FILES = {
    "StringIO": "file = io.BytesIO(b'0123456789')",
    "gzip": (
        "store = tempfile.NamedTemporaryFile()\n"
        "with gzip.open(store.name, 'wb') as packed:\n    packed.write(b'0123456789')\n"
        "file = gzip.open(store.name)"
    ),
    "pipe": "read, write = os.pipe()\nos.write(write, b'0123456789')\nos.close(write)\nfile = open(read, 'rb')",
    "spooled": "file = tempfile.SpooledTemporaryFile()\nfile.write(b'0123456789')\nfile.seek(0)",
    "own": "class Own:\n    def read(self, size):\n        data, self.data = self.data, b''\n        return data\n"
    "file = Own()\nfile.data = b'0123456789'",
}


@pytest.mark.parametrize("make", NO_FILES.values(), ids=NO_FILES.keys())
def test_what_is_no_file(httpd, make):
    """What only looks like a file is read, whatever its fileno() is."""
    assert wrapped(httpd, make).content == TEXT


def test_text_file(httpd):
    """A text file is read as text."""
    body = "file = tempfile.TemporaryFile('w+')\nfile.write('sp\xe4m')\nfile.seek(0)"
    assert wrapped(httpd, body).content == "späm".encode()


def test_closed(httpd):
    """close() is called, when the file has been handed over."""
    code = """
        import tempfile
        from mod_python import apache
        def application(environ, start_response):
            file = tempfile.TemporaryFile()
            file.write(b"x")
            file.seek(0)
            close = file.close
            def traced():
                close()
                apache.log_error("closed", apache.APLOG_NOTICE)
            file.close = traced
            start_response("200 OK", [])
            return environ["wsgi.file_wrapper"](file)
        """
    site = site_of(httpd, code)
    assert site.get("x").text == "x"
    site.expect_log("closed$")


def test_head(httpd):
    """HEAD has the length and no body."""
    response = wrapped(httpd, TEMPORARY, method="HEAD")
    assert (response.content, response.headers["Content-Length"]) == (b"", "10")


def test_range(httpd):
    """Apache answers ranges of it."""
    response = wrapped(httpd, TEMPORARY, headers="[]", path="x")
    assert response.status_code == 200
    body = f"{WRAP}{TEMPORARY}start_response('200 OK', [])\nreturn wrap(file)"
    ranged = answer_of(httpd, body, headers={"Range": "bytes=2-4"})
    assert (ranged.status_code, ranged.content) == (206, TEXT[2:5])


def test_after_write(httpd):
    """What write() sent comes before the file."""
    body = f"{WRAP}{TEMPORARY}write = ok(start_response)\nwrite(b'first ')\nreturn wrap(file)"
    assert answer_of(httpd, body).content == b"first " + TEXT


@pytest.mark.skipif(SANITIZED, reason="the sanitizer's own memory is most of it")
@pytest.mark.parametrize("config", ["EnableSendfile On", "EnableMMAP Off", ""])
def test_large_file(httpd, config):
    """100 MB arrive byte for byte, by sendfile() or not, and not by way of memory."""
    code = """
        import resource, tempfile
        kept = tempfile.TemporaryFile()
        for n in range(100):
            kept.write(bytes(range(256)) * 4096)
        def application(environ, start_response):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            if environ["QUERY_STRING"]:
                start_response("200 OK", [])
                return [b"%d" % (before - application.before)]
            application.before = before
            kept.seek(0)
            start_response("200 OK", [])
            response = environ["wsgi.file_wrapper"](kept)
            del response.close
            return response
        """
    # A server of its own, so that the peak is this response's.
    site = site_of(httpd(f"# a large file {config}"), code, config=config + "\n")
    digest, length = hashlib.sha256(), 0
    with httpx.stream("GET", site.url + "x", timeout=60, trust_env=False) as response:
        for data in response.iter_raw():
            digest.update(data)
            length += len(data)
        assert response.headers["Content-Length"] == str(100 << 20)
    assert length == 100 << 20
    assert digest.hexdigest() == hashlib.sha256(bytes(range(256)) * 409600).hexdigest()
    grown = int(site.get("x?memory").text)
    assert grown < (130_000 if config == "" else 16_384)  # KiB; a mapped file counts


def test_no_file_is_left_open(httpd):
    """Neither Python's descriptor nor Apache's stays."""
    body = f"{WRAP}{TEMPORARY}start_response('200 OK', [])\nreturn wrap(file)"
    count = "import os\nok(start_response)\nreturn [b'%d' % len(os.listdir('/proc/self/fd'))]"
    before = int(answer_of(httpd, count).text)
    for _ in range(20):
        assert answer_of(httpd, body).content == TEXT
    assert int(answer_of(httpd, count).text) < before + 10


@pytest.mark.parametrize("config", ["", "EnableSendfile On", "EnableMMAP Off"])
def test_no_file_is_left_open_when_clients_are_slow(httpd, config):
    """Nor does one of which a part waits for its client."""
    code = """
        import os, tempfile
        def application(environ, start_response):
            start_response("200 OK", [])
            if environ["QUERY_STRING"]:
                return [b"%d" % len(os.listdir("/proc/self/fd"))]
            file = tempfile.TemporaryFile()
            file.truncate(8 << 20)
            return environ["wsgi.file_wrapper"](file)
        """
    site = site_of(httpd(f"# slow clients {config}"), code, config=config + "\n")
    before = int(site.get("x?count").text)
    for _ in range(20):
        with site.connect() as connection:
            connection.send(f"GET {site.prefix}x HTTP/1.0\r\n\r\n".encode())
            connection.read_until(b"\r\n\r\n")
            time.sleep(0.1)
            assert len(connection.read_all()) == 8 << 20
    wait_for(lambda: int(site.get("x?count").text) < before + 10, "the files to be closed")
