"""Manual 4.5.4, the connection object (its read and write methods belong to
connection handlers)."""

import pytest

PROTOCOL = "PythonPath \"sys.path + ['${root}/lib']\"\nPythonConnectionHandler spam\n"

VALUES = {
    "remote_ip": "127.0.0.1",
    "client_ip": "127.0.0.1",
    "local_ip": "127.0.0.1",
    "remote_logname": None,
    "aborted": 0,
    "double_reverse": 0,
}

READ_ONLY = [
    "base_server",
    "child_num",
    "local_addr",
    "remote_addr",
    "client_addr",
    "remote_ip",
    "client_ip",
    "remote_host",
    "remote_logname",
    "aborted",
    "double_reverse",
    "keepalives",
    "local_ip",
    "local_host",
    "id",
    "notes",
]


def test_values(httpd):
    """Members have the values promised."""
    code = f"return {{name: getattr(req.connection, name) for name in {list(VALUES)!r}}}"
    assert httpd.run(code) == VALUES


def test_type(httpd):
    """The type is mp_conn."""
    assert httpd.run("return str(type(req.connection))") == "<class 'mp_conn'>"


def test_addresses(httpd):
    """local_addr and remote_addr are (address, port) tuples."""
    server = httpd()
    local, remote, client, kinds = server.run(
        """
        c = req.connection
        kinds = [type(a).__name__ for a in (c.local_addr, c.remote_addr)]
        return [c.local_addr, c.remote_addr, c.client_addr, kinds]
        """
    )
    assert kinds == ["tuple", "tuple"]
    assert local == ["127.0.0.1", server.port]
    assert remote == client
    assert remote[0] == "127.0.0.1" and isinstance(remote[1], int)


def test_base_server(httpd):
    """base_server is a server object."""
    assert httpd.run("return req.connection.base_server.server_hostname") == "www.example.com"


def test_remote_host(httpd):
    """remote_host is None while DNS has not been asked."""
    assert httpd.run("return req.connection.remote_host") is None


def test_remote_host_looked_up(httpd):
    """With HostnameLookups it is a name, or "" if there is none."""
    server = httpd("HostnameLookups On")
    assert isinstance(server.run("req.get_remote_host()\nreturn req.connection.remote_host"), str)


def test_ids(httpd):
    """id and child_num are ints."""
    identity, child = httpd.run("return [req.connection.id, req.connection.child_num]")
    assert isinstance(identity, int)
    assert child == 0


def test_keepalive(httpd):
    """keepalive is 1, 0 or -1 and takes these values."""
    assert httpd.run(
        """
        values = []
        for value in (apache.AP_CONN_CLOSE, apache.AP_CONN_UNKNOWN, apache.AP_CONN_KEEPALIVE):
            req.connection.keepalive = value
            values.append(req.connection.keepalive)
        return values
        """
    ) == [-1, 0, 1]


KEEPING = """
    from mod_python import apache

    def handler(req):
        c = req.connection
        req.set_content_length(len(str(c.keepalives)))
        if req.args == "close":
            c.keepalive = apache.AP_CONN_CLOSE
        req.write(str(c.keepalives))
        return apache.OK
    """


def test_keepalives(httpd):
    """keepalives counts the requests of the connection before this one."""
    site = httpd.site("SetHandler python-program\nPythonHandler keeping", {"keeping.py": KEEPING})
    with site.connect() as connection:
        counts = []
        for _ in range(3):
            connection.send(f"GET {site.prefix}x HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            counts.append(connection.response().body)
    assert counts == [b"0", b"1", b"2"]


def test_closing_the_connection(httpd):
    """With keepalive set to -1 the server closes after the response."""
    site = httpd.site("SetHandler python-program\nPythonHandler keeping", {"keeping.py": KEEPING})
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}x?close HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert connection.read_all().endswith(b"0")


def test_notes_live_as_long_as_the_connection(httpd):
    """notes are there in the connection's next request, and only there."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler noting",
        {
            "noting.py": """
                from mod_python import apache

                def handler(req):
                    value = req.connection.notes.get("spam", "none")
                    req.connection.notes["spam"] = "eggs"
                    req.set_content_length(4)
                    req.write(value)
                    return apache.OK
                """
        },
    )
    with site.connect() as connection:
        values = []
        for _ in range(2):
            connection.send(f"GET {site.prefix}x HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            values.append(connection.response().body)
    assert values == [b"none", b"eggs"]
    assert site.get("x").text == "none"


@pytest.mark.parametrize("name", READ_ONLY)
def test_read_only(httpd, name):
    """A read-only member refuses assignment."""
    assert (
        httpd.run(
            f"""
        try:
            req.connection.{name} = 1
        except (AttributeError, TypeError):
            return "refused"
        """
        )
        == "refused"
    )


def test_user(httpd):
    """connection.user is the old spelling of req.user."""
    assert httpd.run("req.user = 'spam'\nreturn req.connection.user") == "spam"


# reading and writing


def test_outside_a_connection_handler(httpd):
    """A request's connection is not for reading and writing: RuntimeError says so."""
    kinds = httpd.run(
        """
        answers = []
        for call in ("read(1)", "readline()", "write('x')"):
            try:
                eval("req.connection." + call)
            except RuntimeError as error:
                answers.append("connection handler" in str(error))
        return answers
        """
    )
    assert kinds == [True] * 3


@pytest.mark.parametrize(
    "use", ["read(1)", "readline()", "write(b'x')", "remote_ip", "notes", "notes.get('x')"]
)
def test_use_after_the_connection(httpd, use):
    """A connection object that is kept raises when it is used later."""
    code = f"""
        kept = []

        def connectionhandler(conn):
            line = conn.readline()
            if line == b"keep\\n":
                kept.append(conn)
                conn.write("kept")
            if line != b"use\\n":
                return
            try:
                kept.pop().{use}
            except Exception as error:
                conn.write(type(error).__name__)
        """
    server = httpd(PROTOCOL, {"lib/spam.py": code})
    with server.connect() as connection:
        connection.send(b"keep\n")
        assert connection.read_all() == b"kept"
    with server.connect() as connection:
        connection.send(b"use\n")
        assert connection.read_all() in (b"RuntimeError", b"ReferenceError", b"ValueError")
