"""Any amount of data goes through a filter in constant memory: 2 GiB both ways, from and
to a client that reads and writes as fast as it can."""

import os
import re
from pathlib import Path

import pytest

from plugins.installation import SANITIZED

pytestmark = pytest.mark.skipif(SANITIZED, reason="AddressSanitizer keeps what is freed for a while")

SIZE = 2 << 30
#: Bytes that a child may grow by: a few blocks, and what malloc makes of them.
LIMIT = 16 << 20
#: Places of the file that hold a word; all others are zeros.
PLACES = [0, 8190, 65535, 1 << 20, SIZE // 2, SIZE - 4]

FILTERS = """
    def passes(filter):
        filter.pass_on()

    def copies(filter):
        while data := filter.read():
            filter.write(data)
        if data is None:
            filter.close()

    def upper(filter):
        while data := filter.read():
            filter.write(data.upper())
        if data is None:
            filter.close()

    def lines(filter):
        while line := filter.readline(5000):
            filter.write(line)
        if line is None:
            filter.close()
    """

COUNT = """
    def handler(req):
        size = letters = 0
        while block := req.read(65536):
            size += len(block)
            letters += block.count(b"S") if b"S" in block else 0
        req.write(f"{size} {letters}")
        return 0
    """


def high_water_mark(pid):
    """The most memory a process has had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


@pytest.fixture
def site(httpd):
    """A site with the filters above, a big file and one child."""
    config = "LimitRequestBody 0\nPythonPath \"sys.path + ['${root}/lib']\"\n"
    for name in ("passes", "copies", "upper", "lines"):
        config += f"PythonOutputFilter filters::{name} {name}\nPythonInputFilter filters::{name} {name}\n"
    server = httpd(config, {"lib/filters.py": FILTERS}, workers=4)
    site = server.site("", {"count.py": COUNT, "small.txt": "spam" * 10000})
    with (site.directory / "big.txt").open("wb") as file:
        file.truncate(SIZE)
        for place in PLACES:
            os.pwrite(file.fileno(), b"spam", place)
    return site


def child_of(site):
    [pid] = site.server.child_pids()
    return pid


def download(site, name):
    """The length of a response's body, and how often "S" is in it."""
    size = letters = 0
    buffer = bytearray(1 << 20)
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}{name} HTTP/1.0\r\n\r\n".encode())
        assert b" 200 OK\r\n" in connection.read_until(b"\r\n\r\n")
        while count := connection.socket.recv_into(buffer):
            size += count
            if buffer.find(b"S", 0, count) >= 0:  # much faster than count()
                letters += buffer.count(b"S", 0, count)
    return size, letters


def upload(site, name):
    """What the counting handler answers to a file."""
    size = os.path.getsize(site.directory / name)
    with site.connect() as connection, (site.directory / name).open("rb") as file:
        connection.socket.settimeout(120)
        connection.send(f"POST {site.prefix}x HTTP/1.0\r\nContent-Length: {size}\r\n\r\n".encode())
        connection.socket.sendfile(file)
        return tuple(map(int, connection.response().body.split()))


@pytest.mark.only_mpm("event")
@pytest.mark.parametrize("name", ["passes", "copies", "upper"])
def test_download(site, name):
    """A big file through an output filter."""
    site.write(".htaccess", f"SetOutputFilter {name}")
    download(site, "small.txt")
    idle = high_water_mark(child_of(site))
    assert download(site, "big.txt") == (SIZE, len(PLACES) if name == "upper" else 0)
    assert high_water_mark(child_of(site)) - idle < LIMIT


@pytest.mark.only_mpm("event")
@pytest.mark.parametrize("name", ["passes", "upper"])
def test_upload(site, name):
    """A big body through an input filter."""
    site.write(".htaccess", f"SetHandler python-program\nPythonHandler count\nSetInputFilter {name}")
    upload(site, "small.txt")
    idle = high_water_mark(child_of(site))
    assert upload(site, "big.txt") == (SIZE, len(PLACES) if name == "upper" else 0)
    assert high_water_mark(child_of(site)) - idle < LIMIT


@pytest.mark.only_mpm("event")
def test_lines_without_end(site):
    """Reading lines with a limit needs no more, however long they are."""
    site.write(".htaccess", "SetOutputFilter lines")
    os.truncate(site.directory / "big.txt", SIZE // 16)
    download(site, "small.txt")
    idle = high_water_mark(child_of(site))
    assert download(site, "big.txt") == (SIZE // 16, 0)
    assert high_water_mark(child_of(site)) - idle < LIMIT


@pytest.mark.only_mpm("event")
def test_many_requests(site):
    """What a filter needs is given back after each request."""
    site.write(".htaccess", "SetOutputFilter upper")
    for _ in range(50):
        download(site, "small.txt")
    idle = high_water_mark(child_of(site))
    for _ in range(300):
        download(site, "small.txt")
    assert high_water_mark(child_of(site)) - idle < LIMIT / 8
