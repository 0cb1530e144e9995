"""Manual 4.4, connection handlers, and the methods of the connection object that are
theirs (4.5.4)."""

import os
import signal
import socket
import threading
import time

import pytest

from plugins.client import TIMEOUT
from plugins.installation import PATIENCE
from plugins.process import free_port, wait_for
from plugins.tls import TLS, TLSConnection, certificate

LIB = "PythonPath \"sys.path + ['${root}/lib']\"\nPythonConnectionHandler spam\n"
#: For servers that speak first: Linux would tell of a connection only when the client does.
SPEAKS_FIRST = "AcceptFilter http none\n"

ECHO = """
    from mod_python import apache

    def connectionhandler(conn):
        while 1:
            conn.write(conn.readline())
        return apache.OK
    """

# Obeys one line, with what the names of this module are, then closes.
OBEY = """
    def connectionhandler(conn):
        while line := conn.readline():
            try:
                answer = eval(line)
            except Exception as error:
                answer = f"{type(error).__name__}: {error}"
            conn.write(f"{answer!r}\\n")
    """


def obey(connection, expression):
    """What the handler above answers to an expression."""
    connection.send(expression.encode() + b"\n")
    return connection.read_until(b"\n").decode().rstrip("\n")


def test_manual_example(httpd):
    """The manual's echo server; that the client leaves is no error."""
    server = httpd(LIB, {"lib/spam.py": ECHO})
    with server.connect() as connection:
        for line in (b"spam\n", b"\n", b"x" * 100000 + b"\n", bytes(range(256)) + b"\n"):
            connection.send(line)
            assert connection.read_until(line) == line
        connection.end_of_input()
        assert connection.read_all() == b""
    assert server.expect_log("KK0108: PythonConnectionHandler spam: ").level == "info"


def test_echo_pipelined(httpd):
    """Lines sent at once come back in order."""
    server = httpd(LIB, {"lib/spam.py": ECHO})
    lines = b"".join(b"line %d\n" % n for n in range(5000))
    with server.connect() as connection:
        thread = threading.Thread(target=connection.send, args=(lines,))
        thread.start()
        received = b""
        while len(received) < len(lines):
            received += connection.socket.recv(65536)
        thread.join()
    assert received == lines


# read


def test_read(httpd):
    """read(n) waits for n bytes, however they come."""
    code = "def connectionhandler(conn):\n    conn.write(repr([conn.read(n) for n in (0, 4, 1, 3)]))\n"
    server = httpd(LIB, {"lib/spam.py": code})
    with server.connect() as connection:
        for piece in (b"sp", b"ame", b"gg", b"s"):
            connection.send(piece)
            time.sleep(0.02)
        assert connection.read_all() == b"[b'', b'spam', b'e', b'ggs']"


def test_read_stops_at_the_end(httpd):
    """Fewer bytes than asked for mean that the client has closed."""
    code = "def connectionhandler(conn):\n    conn.write(repr([conn.read(100), conn.read(1)]))\n"
    server = httpd(LIB, {"lib/spam.py": code})
    with server.connect() as connection:
        connection.send(b"spam")
        connection.end_of_input()
        assert connection.read_all() == b"[b'spam', b'']"


@pytest.mark.parametrize("arguments", ["", "-1"])
def test_read_until_close(httpd, arguments):
    """read(-1) and read() read until the client closes; it can still be answered."""
    code = f"""
        import hashlib

        def connectionhandler(conn):
            conn.write(hashlib.sha256(conn.read({arguments})).hexdigest())
        """
    import hashlib

    server = httpd(LIB, {"lib/spam.py": code})
    data = os.urandom(3000000)
    with server.connect() as connection:
        connection.send(data)
        connection.end_of_input()
        assert connection.read_all().decode() == hashlib.sha256(data).hexdigest()


def test_readline(httpd):
    """A line with its end, or the first n bytes of it; the last one without an end."""
    code = """
        def connectionhandler(conn):
            conn.write(repr([conn.readline(), conn.readline(2), conn.readline(0), conn.readline(9),
                             conn.readline(-1), conn.readline(), conn.readline()]))
        """
    server = httpd(LIB, {"lib/spam.py": code})
    with server.connect() as connection:
        connection.send(b"spam\r\neggs\n\nthe end")
        connection.end_of_input()
        assert connection.read_all() == b"[b'spam\\r\\n', b'eg', b'', b'gs\\n', b'\\n', b'the end', b'']"


def test_end_is_told_once(httpd):
    """b"" tells of the end once; reading on raises ConnectionResetError."""
    code = """
        def connectionhandler(conn):
            try:
                results = [conn.read(1), conn.read(1)]
            except ConnectionResetError as error:
                conn.write(f"{error.errno} {error.strerror}")
        """
    server = httpd(LIB, {"lib/spam.py": code})
    with server.connect() as connection:
        connection.end_of_input()
        text = connection.read_all().decode()
    assert text.startswith("104 ") and "closed" in text


@pytest.mark.parametrize("call", ["read('x')", "readline(1.5)", "read(1, 2)", "write()", "read(len=1)"])
def test_wrong_arguments(httpd, call):
    """Wrong arguments are a TypeError."""
    server = httpd(LIB, {"lib/spam.py": OBEY})
    with server.connect() as connection:
        assert obey(connection, f"conn.{call}").startswith('"TypeError: ') or "TypeError" in obey(
            connection, f"conn.{call}"
        )


# write


def test_write(httpd):
    """bytes-like objects, and str as UTF-8, go at once."""
    code = """
        def connectionhandler(conn):
            for data in (b"a", bytearray(b"b"), memoryview(b"xcx")[1:2], "dä€", "", b""):
                assert conn.write(data) is None
            conn.write("x" * 3000000)
        """
    server = httpd(SPEAKS_FIRST + LIB, {"lib/spam.py": code})
    with server.connect() as connection:
        assert connection.read_all() == "abcdä€".encode() + b"x" * 3000000


@pytest.mark.parametrize("data", ["5", "None", "[b'x']"])
def test_write_of_something_else(httpd, data):
    """Anything else is a TypeError that says what it takes."""
    server = httpd(LIB, {"lib/spam.py": OBEY})
    with server.connect() as connection:
        answer = obey(connection, f"conn.write({data})")
    assert "TypeError" in answer and "bytes" in answer


def test_write_to_a_client_that_left(httpd):
    """Writing to a client that has gone raises an OSError subclass."""
    code = """
        from mod_python import apache

        def connectionhandler(conn):
            conn.readline()
            try:
                while True:
                    conn.write("x" * 10000)
            except ConnectionError as error:
                apache.log_error(f"gone: {type(error).__name__} {conn.aborted}", apache.APLOG_NOTICE)
        """
    server = httpd(LIB, {"lib/spam.py": code})
    with server.connect() as connection:
        connection.send(b"go\n")
        connection.socket.recv(1)
        connection.reset()
    assert "True" in server.expect_log("gone: (ConnectionReset|BrokenPipe|ConnectionAborted)").message


# Members


def test_members(httpd):
    """Addresses and the like are the connection's."""
    server = httpd(LIB, {"lib/spam.py": OBEY})
    with server.connect() as connection:
        client = connection.socket.getsockname()
        assert obey(connection, "conn.remote_addr") == repr(client)
        assert obey(connection, "conn.local_addr") == repr(("127.0.0.1", server.port))
        assert obey(connection, "conn.remote_ip, conn.local_ip") == "('127.0.0.1', '127.0.0.1')"
        assert obey(connection, "conn.base_server.server_hostname") == "'www.example.com'"
        assert obey(connection, "conn.keepalive, conn.keepalives, conn.aborted") == "(0, 0, False)"
        assert obey(connection, "conn.remote_host, conn.remote_logname") == "(None, None)"
        assert obey(connection, "type(conn.id), conn.child_num") == "(<class 'int'>, 0)"
        assert obey(connection, "dict(conn.notes)") == "{}"
        assert obey(connection, "str(type(conn))") == "\"<class 'mp_conn'>\""


def test_attributes_live_as_long_as_the_connection(httpd):
    """Notes are one connection's only."""
    server = httpd(LIB, {"lib/spam.py": OBEY})
    with server.connect() as connection:
        obey(connection, "conn.notes.add('spam', 'eggs')")
        assert obey(connection, "conn.notes['spam']") == "'eggs'"
    with server.connect() as connection:
        assert obey(connection, "conn.notes.get('spam')") == "None"


@pytest.mark.parametrize(("listen", "address"), [("[::1]", "::1"), ("[::]", "::1"), ("[::]", "127.0.0.1")])
def test_ipv6(httpd, listen, address):
    """The addresses of an IPv6 connection are IPv6 addresses; those of one of IPv4 are not, on a
    socket for both either."""
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind((listen.strip("[]"), 0))
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")
    port = free_port()
    server = httpd(f"Listen {listen}:{port}\n" + LIB, {"lib/spam.py": OBEY})
    with server.connect() as connection:
        connection.socket.close()
        connection.socket = socket.create_connection((address, port), timeout=TIMEOUT)
        client = connection.socket.getsockname()
        assert obey(connection, "conn.remote_addr") == repr(client[:2])
        assert obey(connection, "conn.local_addr, conn.local_ip") == repr(((address, port), address))
        assert obey(connection, "conn.remote_ip") == repr(address)


# How a connection ends


def test_return_closes(httpd):
    """When the handler returns, the connection is closed, and answers have gone out."""
    server = httpd(LIB, {"lib/spam.py": "def connectionhandler(conn):\n    conn.write(conn.readline())\n"})
    for _ in range(5):
        with server.connect() as connection:
            connection.send(b"spam\n")
            assert connection.read_all() == b"spam\n"


@pytest.mark.parametrize("result", ["apache.OK", "None", "'spam'", "500", "apache.DONE", "True", "10**30"])
def test_result(httpd, result):
    """Whatever it returns but DECLINED, the connection is over."""
    code = f"""
        from mod_python import apache

        def connectionhandler(conn):
            conn.write(conn.readline())
            return {result}
        """
    server = httpd(LIB, {"lib/spam.py": code})
    with server.connect() as connection:
        connection.send(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.read_all() == b"GET / HTTP/1.0\r\n"


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("fail(conn)", "RecursionError"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("open('/nonexistent')", "FileNotFoundError"),
        ("raise TimeoutError('of a database')", "TimeoutError"),
    ],
)
def test_exception(httpd, statement, kind):
    """An exception is logged with the handler's name, and closes the connection."""
    code = f"""
        def connectionhandler(conn):
            line = conn.readline()
            if line:
                conn.write(line)
                fail(conn)

        def fail(conn):
            {statement}
        """
    server = httpd(LIB, {"lib/spam.py": code})
    with server.connect() as connection:
        connection.send(b"spam\n")
        assert connection.read_all() == b"spam\n"
    record = server.expect_log(r"\[client 127\.0\.0\.1:\d+\] KK0101: PythonConnectionHandler spam: ")
    assert record.level == "error" and kind in record.message


@pytest.mark.parametrize("value", ["'x'", "10**30", "None"])
def test_server_return_of_no_status(httpd, value):
    """It is logged as that, and closes the connection."""
    code = f"""
        from mod_python import apache

        def connectionhandler(conn):
            if conn.readline():
                raise apache.SERVER_RETURN({value})
        """
    server = httpd(LIB, {"lib/spam.py": code})
    with server.connect() as connection:
        connection.send(b"spam\n")
        assert connection.read_all() == b""
    server.expect_log("KK0102: PythonConnectionHandler spam: returned .*, (which is no|not a) ")


def test_vanishing_client(httpd):
    """A client that vanishes ends a waiting handler with a ConnectionError, logged at info."""
    code = """
        from mod_python import apache

        def connectionhandler(conn):
            if line := conn.readline():
                conn.write(line)
                apache.log_error("waiting", apache.APLOG_NOTICE)
                conn.read(10)
                conn.read(10)
        """
    server = httpd(LIB, {"lib/spam.py": code})
    with server.connect() as connection:
        connection.send(b"spam\n")
        assert connection.read_until(b"\n") == b"spam\n"
        server.expect_log("waiting")
        connection.reset()
    record = server.expect_log("KK0108: PythonConnectionHandler spam: ConnectionResetError")
    assert record.level == "info" and "Traceback" not in record.message


def test_timeout(httpd):
    """A client that says nothing for as long as Timeout is a TimeoutError."""
    code = """
        def connectionhandler(conn):
            conn.write(conn.readline())
            try:
                conn.readline()
            except TimeoutError as error:
                conn.write(f"{type(error).__name__}: {error.strerror}\\n")
                raise
        """
    server = httpd("Timeout 1\n" + LIB, {"lib/spam.py": code})
    with server.connect() as connection:
        connection.send(b"spam\nhalf a line")
        started = time.monotonic()
        lines = connection.read_all().decode().splitlines()
        elapsed = time.monotonic() - started
    assert lines[0] == "spam" and lines[1].startswith("TimeoutError: ")
    assert 0.8 < elapsed < 30
    assert server.expect_log("KK0108.*TimeoutError").level == "info"


@pytest.mark.parametrize("tls", ["", TLS])
@pytest.mark.parametrize("read", ["readline()", "readline(20)", "read(20)"])
def test_reading_goes_on_after_a_timeout(httpd, read, tls):
    """What came before the TimeoutError is not lost: a handler may have something to do meanwhile."""
    code = f"""
        def connectionhandler(conn):
            conn.write(conn.readline())
            data = b""
            while len(data) < 20:
                try:
                    data += conn.{read}
                except TimeoutError:
                    conn.write("tick\\n")
            conn.write(data + conn.readline())
        """
    server = httpd(
        f"Timeout 1\n{tls}" + LIB, {"lib/spam.py": code, **certificate()}, modules=("ssl",) if tls else ()
    )
    with TLSConnection(server.port) if tls else server.connect() as connection:
        connection.send(b"spam\neggs, ")
        assert connection.read_until(b"tick\n") == b"spam\ntick\n"
        connection.send(b"ham, ")
        assert connection.read_until(b"tick\n") == b"tick\n"
        connection.send(b"and spam\nthe end\n")
        assert connection.read_all().replace(b"tick\n", b"") == b"eggs, ham, and spam\nthe end\n"


def test_timeout_of_a_write(httpd):
    """So is one that takes nothing."""
    code = """
        def connectionhandler(conn):
            if conn.readline():
                conn.write(b"x" * 50000000)
        """
    server = httpd("Timeout 1\n" + LIB, {"lib/spam.py": code})
    with server.connect() as connection:
        connection.send(b"go\n")
        server.expect_log("KK0108.*TimeoutError: .*Write failed")


def test_timeout_counts_from_the_last_byte(httpd):
    """A client that is slow but says something is waited for."""
    server = httpd("Timeout 2\n" + LIB, {"lib/spam.py": ECHO})
    with server.connect() as connection:
        for byte in b"spam\n":
            connection.send(bytes([byte]))
            time.sleep(0.5)
        assert connection.read_until(b"\n") == b"spam\n"


@pytest.mark.parametrize("how", ["stop", "graceful-stop", "graceful"])
def test_server_does_not_wait_for_idle_connections(httpd, how):
    """A stopping or restarting server ends handlers that wait for their client."""
    server = httpd.unstarted(
        "Timeout 300\nGracefulShutdownTimeout 300\n" + LIB, {"lib/spam.py": ECHO}, workers=4
    )
    server.start()
    with server.connect() as connection:
        connection.send(b"spam\n")
        assert connection.read_until(b"\n") == b"spam\n"
        started = time.monotonic()
        if how == "graceful":
            server.graceful()
        else:
            signal_number = signal.SIGTERM if how == "stop" else signal.SIGWINCH
            os.kill(server.process.pid, signal_number)
            wait_for(lambda: not server.process.is_alive(), "the server to end")
        assert time.monotonic() - started < 60
        assert connection.read_all() == b""
    if how == "graceful":
        with server.connect() as connection:
            connection.send(b"spam\n")
            assert connection.read_until(b"\n") == b"spam\n"


@pytest.mark.parametrize("first", ["conn.readline()", "conn.write('hello')"])
@pytest.mark.parametrize("signal_number", [signal.SIGWINCH, signal.SIGUSR1])
def test_server_does_not_wait_for_a_handshake(httpd, first, signal_number):
    """Nor for a client that connects to a TLS port and says nothing."""
    code = f"def connectionhandler(conn):\n    {first}\n"
    config = "Timeout 300\nGracefulShutdownTimeout 300\nAcceptFilter http none\n" + TLS + LIB
    server = httpd.unstarted(config, {"lib/spam.py": code, **certificate()}, modules=("ssl",), workers=4)
    server.start()
    children = server.child_pids()
    with server.connect() as connection:
        time.sleep(0.5 * PATIENCE)  # nothing tells when a thread waits for the client
        os.kill(server.process.pid, signal_number)
        wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children), "the child to end")
        assert connection.read_all() == b""
    server.expect_log("KK0108: PythonConnectionHandler spam: ConnectionAbortedError")


# Several connections


def test_twenty_at_once(httpd):
    """Twenty connections are served at once (prefork: seven), in whatever order they speak."""
    workers, count = (25, 20) if httpd.mpm == "event" else (8, 7)
    server = httpd(LIB, {"lib/spam.py": ECHO}, workers=workers)
    connections = [server.connect() for _ in range(count)]
    try:
        for round_ in range(3):
            for n, connection in enumerate(connections):
                connection.send(b"%d of %d\n" % (n, round_))
            for n, connection in reversed(list(enumerate(connections))):
                assert connection.read_until(b"\n") == b"%d of %d\n" % (n, round_)
    finally:
        for connection in connections:
            connection.socket.close()


@pytest.mark.only_mpm("event")
def test_blocking_leaves_the_interpreter(httpd):
    """A handler that waits, and one that writes to a client that does not read, let the
    others run."""
    code = """
        def connectionhandler(conn):
            if conn.readline() == b"flood\\n":
                conn.write(b"x" * 50000000)
            else:
                conn.write("served")
        """
    server = httpd(LIB, {"lib/spam.py": code})
    with server.connect() as idle, server.connect() as flooded:
        idle.send(b"half")
        flooded.send(b"flood\n")
        flooded.socket.recv(1)
        for _ in range(5):
            with server.connect() as connection:
                connection.send(b"\n")
                assert connection.read_all() == b"served"
        flooded.reset()
    server.expect_log("KK0108")


# TLS


def tls_server(httpd, code, directives=""):
    """The same with TLS."""
    files = {"lib/spam.py": code, **certificate()}
    return httpd(directives + TLS + LIB, files, modules=("ssl",))


def test_tls(httpd):
    """mod_ssl gives a connection handler TLS for nothing."""
    server = tls_server(httpd, ECHO)
    with TLSConnection(server.port) as connection:
        for line in (b"spam\n", b"x" * 100000 + b"\n"):
            connection.send(line)
            assert connection.read_until(line) == line


def test_tls_records_in_pieces(httpd):
    """Reading less than a TLS record leaves the rest for the next read."""
    code = """
        def connectionhandler(conn):
            parts = [conn.read(7) for _ in range(10000)]
            conn.write(b"|".join(parts))
        """
    server = tls_server(httpd, code)
    data = bytes(range(100)) * 700
    with TLSConnection(server.port) as connection:
        connection.send(data[:50000])
        connection.send(data[50000:])
        received = connection.read_all()
    assert received.split(b"|") == [data[n : n + 7] for n in range(0, 70000, 7)]


def test_tls_lines_sent_at_once(httpd):
    """Several lines in one TLS record are given one by one."""
    server = tls_server(httpd, ECHO)
    lines = b"".join(b"line %d\n" % n for n in range(2000))
    with TLSConnection(server.port) as connection:
        connection.send(lines)
        assert connection.read_until(b"line 1999\n") == lines


def test_tls_server_speaks_first(httpd):
    """A handler that writes first shakes hands first."""
    code = "def connectionhandler(conn):\n    conn.write('hello')\n"
    server = tls_server(httpd, code)
    with TLSConnection(server.port) as connection:
        assert connection.read_all() == b"hello"


def test_plain_text_to_tls(httpd):
    """A client that does not speak TLS gets no handler's output."""
    server = tls_server(httpd, ECHO)
    with server.connect() as connection:
        connection.send(b"spam\n")
        assert b"spam" not in connection.read_all()


# Where it runs


def test_another_thread(httpd):
    """A thread of the handler's own may write."""
    code = """
        import threading

        def connectionhandler(conn):
            thread = threading.Thread(target=conn.write, args=(conn.readline(),))
            thread.start()
            thread.join()
        """
    server = httpd(LIB, {"lib/spam.py": code})
    with server.connect() as connection:
        connection.send(b"spam\n")
        assert connection.read_all() == b"spam\n"


def test_interpreter(httpd):
    """It runs in the interpreter of its server, with the directives that hold there."""
    config = "PythonOption spam eggs\n"
    server = httpd(config + LIB, {"lib/spam.py": OBEY + "\n    from mod_python import apache\n"})
    with server.connect() as connection:
        assert obey(connection, "apache.interpreter") == "'www.example.com'"
        assert obey(connection, "conn.base_server.get_options()['spam']") == "'eggs'"
