"""Manual 5.3, PythonConnectionHandler: which connections it is for."""

import re
import socket
import time

import pytest

from plugins.client import Connection
from plugins.process import free_port
from plugins.tls import TLS, TLSConnection, certificate

# Without AcceptFilter, Linux tells of a connection only when the client has sent something.
LIB = "AcceptFilter http none\nPythonPath \"sys.path + ['${root}/lib']\"\n"

GREETING = """
    from mod_python import apache

    def greeter(text):
        def greet(conn):
            conn.write(text)
            return apache.OK
        return greet

    connectionhandler = greeter("default")
    a, b = greeter("a"), greeter("b")

    def declines(conn):
        return apache.DECLINED

    def raises_declined(conn):
        raise apache.SERVER_RETURN(apache.DECLINED)
    """


ECHO = """
    def connectionhandler(conn):
        while line := conn.readline():
            conn.write(line)
    """


def greeting(port):
    """What the server sends before it closes."""
    with Connection(port) as connection:
        return connection.read_all()


def test_default_name(httpd):
    """Without an object's name: connectionhandler."""
    server = httpd(LIB + "PythonConnectionHandler greeting", {"lib/greeting.py": GREETING})
    assert greeting(server.port) == b"default"


def test_object_name(httpd):
    """module::object names another one; of two directives the last one counts."""
    config = LIB + "PythonConnectionHandler greeting::a\nPythonConnectionHandler greeting::b"
    server = httpd(config, {"lib/greeting.py": GREETING})
    assert greeting(server.port) == b"b"


def test_virtual_hosts(httpd):
    """Each virtual host has its own handler, or inherits the server's, or speaks HTTP."""
    ports = [free_port() for _ in range(3)]
    config = LIB + "".join(f"Listen 127.0.0.1:{port}\n" for port in ports)
    config += f"""
        <VirtualHost 127.0.0.1:{ports[0]}>
            PythonConnectionHandler greeting::a
        </VirtualHost>
        <VirtualHost 127.0.0.1:{ports[1]}>
            PythonConnectionHandler greeting::b
        </VirtualHost>
        <VirtualHost 127.0.0.1:{ports[2]}>
        </VirtualHost>
        """
    server = httpd(config, {"lib/greeting.py": GREETING, "htdocs/page.txt": "spam"})
    assert [greeting(port) for port in ports[:2]] == [b"a", b"b"]
    assert server.get("page.txt").text == "spam"
    with Connection(ports[2]) as connection:
        connection.send(b"GET /page.txt HTTP/1.0\r\n\r\n")
        assert connection.read_all().endswith(b"spam")


def test_inherited_by_virtual_hosts(httpd):
    """A virtual host without one has the server's."""
    port = free_port()
    config = LIB + f"Listen 127.0.0.1:{port}\nPythonConnectionHandler greeting::a\n"
    config += f"<VirtualHost 127.0.0.1:{port}>\n</VirtualHost>"
    server = httpd(config, {"lib/greeting.py": GREETING})
    assert greeting(port) == greeting(server.port) == b"a"


@pytest.mark.parametrize("name", ["declines", "raises_declined"])
def test_declined(httpd, name):
    """DECLINED hands the connection over to HTTP, keep-alive included."""
    config = LIB + f"PythonConnectionHandler greeting::{name}"
    server = httpd(config, {"lib/greeting.py": GREETING, "htdocs/page.txt": "spam"})
    with server.connect() as connection:
        for _ in range(3):
            connection.send(b"GET /page.txt HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.response().body == b"spam"


@pytest.mark.only_mpm("event")
@pytest.mark.parametrize(
    ("directive", "message"),
    [
        ("PythonConnectionHandler", "one argument"),
        ("PythonConnectionHandler a b", "one argument"),
        ("PythonConnectionHandler ::", "no handler"),
        ("PythonConnectionHandler spam::", "no handler"),
    ],
)
def test_wrong_directive(httpd, directive, message):
    """configtest fails, naming file, line and what would be right."""
    status, text = httpd.configtest(directive + "\n")
    assert status != 0
    assert re.search("line 1 of .*conf/test.conf", text)
    assert re.search(message, text), text


@pytest.mark.parametrize(("handler", "code"), [("nowhere", "KK0104"), ("greeting::nothing", "KK0103|KK0104")])
def test_missing_handler(httpd, handler, code):
    """A handler that is not there closes the connection, and is an error in the log."""
    config = LIB + f"PythonConnectionHandler {handler}"
    server = httpd(config, {"lib/greeting.py": GREETING})
    assert greeting(server.port) == b""
    # One connection is the test run's own, that looks whether the server is up.
    server.expect_log(code, 2)


@pytest.mark.parametrize("tls", ["", TLS])
def test_request_read_timeout(httpd, tls):
    """RequestReadTimeout is about requests; its handshake is over when TLS has shaken hands."""
    config = "RequestReadTimeout handshake=2 header=1 body=1\n" + tls + LIB + "PythonConnectionHandler echo\n"
    modules = ("reqtimeout", "ssl") if tls else ("reqtimeout",)
    server = httpd(config, {"lib/echo.py": ECHO, **certificate()}, modules=modules)
    with TLSConnection(server.port) if tls else server.connect() as connection:
        for line in (b"spam\n", b"eggs\n", b"ham\n"):
            connection.send(line)
            assert connection.read_until(b"\n") == line
            time.sleep(0.8)
    if tls:
        with server.connect() as connection:
            connection.send(b"\x16\x03\x01")  # the handshake begins, and stops
            assert connection.read_all() == b""


def test_no_handler_no_cost(httpd):
    """Without the directive a connection is Apache's: half a request waits for the rest."""
    server = httpd(files={"htdocs/page.txt": "spam"})
    with server.connect() as connection:
        connection.send(b"GET /page.txt HTTP/1.0\r\n")
        connection.socket.settimeout(0.2)
        with pytest.raises(socket.timeout):
            connection.socket.recv(1)
        connection.socket.settimeout(20)
        connection.send(b"\r\n")
        assert connection.read_all().endswith(b"spam")
