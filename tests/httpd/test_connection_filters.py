"""PythonConnectionInputFilter and PythonConnectionOutputFilter: filters that see the bytes
of a connection."""

import pytest

from plugins.client import Connection, http_client, parse_responses
from plugins.process import free_port
from plugins.tls import TLS, TLSConnection, certificate

LIB = "PythonPath \"sys.path + ['${root}/lib']\"\n"

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

WIRE = """
    from mod_python import apache

    def inward(filter):
        while data := filter.read():
            apache.log_error("in %d %r" % (filter.connection.id, data[:60]), apache.APLOG_NOTICE)
            filter.write(data.replace(b"/SECRET/", b"/site1/"))

    def outward(filter):
        assert filter.req is None
        while data := filter.read():
            filter.write(data.replace(b"spam", b"SPAM"))

    def passes(filter):
        filter.pass_on()

    def idle(filter):
        pass

    def counts(filter):
        filter.bytes = getattr(filter, "bytes", 0)
        before = filter.bytes
        while data := filter.read():
            filter.bytes += len(data)
            filter.write(data)
        if before <= 100000 < filter.bytes:
            apache.log_error(f"{filter.name} has seen {filter.bytes}", apache.APLOG_NOTICE)

    def bytewise(filter):
        while data := filter.read(1):
            filter.write(data)
    """


def wire(httpd, directives, **options):
    """A server with connection-level filters and a page."""
    server = httpd.unstarted(LIB + directives, {"lib/wire.py": WIRE}, **options)
    server.start()
    return server, server.site(PYTHON, {"echo.py": ECHO, "page.txt": "spam and eggs"})


def test_connection_filters_see_the_bytes(httpd):
    """They see, and may change, a connection's bytes: request lines, headers, bodies."""
    server, site = wire(
        httpd,
        "PythonConnectionInputFilter wire::inward IN\nPythonConnectionOutputFilter wire::outward OUT",
    )
    answer = site.server.post("SECRET/x", content=b"a spam")
    assert answer.text == "a SPAM"
    server.expect_log("in [0-9]+ b'POST /SECRET/x HTTP/1.1")


@pytest.mark.parametrize("name", ["passes", "idle", "bytewise"])
def test_connection_filters_that_change_nothing(httpd, name):
    """HTTP works through them: keep-alive, bodies, chunks, pipelining."""
    _, site = wire(
        httpd,
        f"PythonConnectionInputFilter wire::{name} IN\nPythonConnectionOutputFilter wire::{name} OUT",
    )
    sizes = (0, 4, 9000, 100000) if name != "bytewise" else (0, 4, 9000)
    requests = [
        f"POST {site.prefix}x HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode() + b"x" * size
        for size in sizes
    ]
    with site.connect() as connection:
        for request, size in zip(requests, sizes, strict=True):
            connection.send(request)
            assert connection.response().body == b"x" * size
        last = requests[2].replace(b"Host: x", b"Host: x\r\nConnection: close")
        connection.send(b"".join(requests[:3]) + last)
        answers = parse_responses(connection.read_all(), ["POST"] * 4)
    assert [len(answer.body) for answer in answers] == [*sizes[:3], sizes[2]]
    answer = site.post("x", content=iter([b"spam", b"eggs" * 5000]))
    assert answer.content == b"spam" + b"eggs" * 5000


@pytest.mark.parametrize("name", ["passes", "idle", "bytewise"])
def test_request_line_in_pieces(httpd, name):
    """A request that comes byte by byte is waited for, line by line."""
    _, site = wire(httpd, f"PythonConnectionInputFilter wire::{name} IN")
    with site.connect() as connection:
        for _ in range(2):
            for byte in f"GET {site.prefix}page.txt HTTP/1.1\r\nHost: x\r\nX-Spam: eggs\r\n\r\n".encode():
                connection.send(bytes([byte]))
            assert connection.response().body == b""


def test_client_leaves_in_a_request(httpd):
    """A client that leaves amid a request, or before it, leaves no busy worker behind."""
    _, site = wire(httpd, "PythonConnectionInputFilter wire::bytewise IN", workers=2)
    for data in (b"", b"GET / HT", b"GET /x HTTP/1.1\r\nHost"):
        with site.connect() as connection:
            connection.send(data)
            connection.end_of_input()
            connection.read_all()
    assert site.post("x", content=b"spam").text == "spam"


def test_connection_filters_and_tls(httpd):
    """With TLS they see what is inside it."""
    directives = (
        "PythonConnectionInputFilter wire::inward IN\nPythonConnectionOutputFilter wire::outward OUT\n"
    )
    server = httpd.unstarted(LIB + directives + TLS, {"lib/wire.py": WIRE, **certificate()}, modules=("ssl",))
    server.start()
    site = server.site(PYTHON, {"echo.py": ECHO})
    with TLSConnection(server.port) as connection:
        for _ in range(3):
            connection.send(
                f"POST {site.prefix}x HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\na spam".encode()
            )
            assert connection.response().body == b"a SPAM"
    server.expect_log("in [0-9]+ b'POST ")


@pytest.mark.only_mpm("event")
@pytest.mark.parametrize("name", ["passes", "idle", "bytewise", "counts"])
def test_connection_filters_and_http2(httpd, name):
    """With HTTP/2 they see the frames, once for all streams of the connection."""
    server, site = wire(
        httpd,
        "Protocols h2c http/1.1\n"
        f"PythonConnectionInputFilter wire::{name} IN\nPythonConnectionOutputFilter wire::{name} OUT",
        modules=("http2",),
    )
    sizes = (0, 4, 100000) if name != "bytewise" else (0, 4, 3000)
    with http_client(2) as client:
        for size in sizes:
            answer = client.post(site.url + "x", content=b"x" * size)
            assert (answer.http_version, answer.content) == ("HTTP/2", b"x" * size)
    if name == "counts":
        server.expect_log("IN has seen")
        server.expect_log("OUT has seen")


def test_connection_filters_per_host(httpd):
    """A virtual host of its own address has its own."""
    port = free_port()
    directives = f"""
        Listen 127.0.0.1:{port}
        <VirtualHost 127.0.0.1:{port}>
            PythonConnectionOutputFilter wire::outward OUT
        </VirtualHost>
        """
    _, site = wire(httpd, directives)
    site.write(".htaccess", "")
    assert site.get("page.txt").text == "spam and eggs"
    with Connection(port) as connection:
        connection.send(f"GET {site.prefix}page.txt HTTP/1.0\r\n\r\n".encode())
        assert connection.read_all().endswith(b"SPAM and eggs")


def test_connection_filter_beside_a_connection_handler(httpd):
    """A connection handler reads and writes through them."""
    directives = """
        PythonConnectionInputFilter wire::inward IN
        PythonConnectionOutputFilter wire::outward OUT
        PythonConnectionHandler wire::echo
        """
    code = WIRE + "\n    def echo(conn):\n        conn.write(conn.readline())\n"
    server = httpd(LIB + directives, {"lib/wire.py": code})
    with server.connect() as connection:
        connection.send(b"spam /SECRET/\n")
        assert connection.read_all() == b"SPAM /site1/\n"
    server.expect_log("in [0-9]+ b'spam /SECRET")
