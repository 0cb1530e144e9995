"""Manual 4.5.6, the server object."""

import pytest

CONFIG = """
    ServerAdmin spam@example.com
    Timeout 33
    KeepAliveTimeout 7
    MaxKeepAliveRequests 77
    SendBufferSize 65536
    <VirtualHost *:${port}>
        ServerName one.example
        ServerPath /path
        DocumentRoot "${htdocs}"
        ErrorLog logs/one_log
        LogLevel debug
    </VirtualHost>
    """

VALUES = {
    "server_admin": "spam@example.com",
    "server_hostname": "www.example.com",
    "timeout": 33,
    "keep_alive_timeout": 7,
    "keep_alive_max": 77,
    "is_virtual": 0,
    "loglevel": 6,
    "path": None,
    "pathlen": 0,
    "error_fname": "logs/error_log",
}

READ_ONLY = [
    "defn_name",
    "defn_line_number",
    "srm_confname",
    "server_admin",
    "server_hostname",
    "port",
    "error_fname",
    "loglevel",
    "is_virtual",
    "timeout",
    "keep_alive_timeout",
    "keep_alive_max",
    "send_buffer_size",
    "path",
    "pathlen",
    "server_uid",
    "server_gid",
]


def host(server, code):
    """What the code returns in the virtual host."""
    return server.run(code, headers={"Host": "one.example"})


def test_main_server(httpd):
    """The members of the main server have the values of its directives."""
    code = f"return {{name: getattr(apache.main_server, name) for name in {list(VALUES)!r}}}"
    assert httpd(CONFIG).run(code) == VALUES


def test_port(httpd):
    """port is ServerName's."""
    server = httpd()
    assert server.run("return req.server.port") == server.port


def test_virtual_host(httpd):
    """Those of a virtual host likewise; it knows where it was defined."""
    server = httpd(CONFIG)
    name, virtual, path, length, log, level, file, line = host(
        server,
        """
        s = req.server
        return [s.server_hostname, s.is_virtual, s.path, s.pathlen, s.error_fname, s.loglevel,
                s.defn_name, s.defn_line_number]
        """,
    )
    assert (name, virtual, path, length) == ("one.example", 1, "/path", 5)
    assert (log, level) == ("logs/one_log", 7)
    assert file == f"{server.root}/conf/test.conf"
    assert line == 6


def test_what_apache_no_longer_knows(httpd):
    """Members from Apache's past exist."""
    values = httpd.run("s = req.server\nreturn [s.srm_confname, s.server_uid, s.server_gid]")
    assert values[0] is None
    assert all(value is None or isinstance(value, int) for value in values[1:])
    assert isinstance(httpd.run("return req.server.send_buffer_size"), int)


def test_get_options(httpd):
    """get_options has the server level only; a virtual host's includes the main one's."""
    config = """
        PythonOption main 1
        PythonOption both main
        <VirtualHost *:${port}>
            ServerName one.example
            DocumentRoot "${htdocs}"
            PythonOption host 2
            PythonOption both host
        </VirtualHost>
        <Directory "${htdocs}">
            PythonOption directory 3
        </Directory>
        """
    server = httpd(config)
    code = "return dict(req.server.get_options())"
    assert server.run(code, headers={"Host": "one.example"}, config="PythonOption inner 4") == {
        "main": "1",
        "host": "2",
        "both": "host",
    }
    assert server.run("return dict(apache.main_server.get_options())") == {
        "main": "1",
        "both": "main",
    }


def test_get_config(httpd):
    """get_config ignores directories."""
    config = """
        PythonDebug On
        <Directory "${htdocs}">
            PythonDebug Off
        </Directory>
        """
    value = httpd(config).run("return [dict(req.server.get_config()), req.get_config()['PythonDebug']]")
    assert value[0]["PythonDebug"] == "1"
    assert value[1] == "0"


def test_options_are_live(httpd):
    """A key stored in the main server's options stays for the child's life."""
    server = httpd("# live options")
    server.run("apache.main_server.get_options()['stored'] = 'here'")
    assert server.run("return apache.main_server.get_options()['stored']") == "here"
    server.changed = True


def test_register_cleanup(httpd):
    """A cleanup of the server runs when the child ends."""
    server = httpd("# server cleanup")
    server.run(
        """
        def bye(data):
            apache.log_error("server cleanup " + data, apache.APLOG_NOTICE)
        req.server.register_cleanup(req, bye, "done")
        """
    )
    server.graceful()
    server.expect_log("server cleanup done")


def test_register_cleanup_that_fails(httpd):
    """Its errors are logged, and the others still run."""
    server = httpd("# failing server cleanup")
    server.run(
        """
        def bye(data):
            apache.log_error("the other " + data, apache.APLOG_NOTICE)
        req.server.register_cleanup(req, bye, "behind")
        req.server.register_cleanup(req, lambda data: 1 / 0)
        req.server.register_cleanup(req, bye, "before")
        """
    )
    server.graceful()
    server.expect_log("KK0107.*ZeroDivisionError")
    server.expect_log("the other", times=2)
    noted = [r.message for r in server.error_log.recent() if "the other" in r.message]
    assert [text.split()[-1] for text in noted] == ["before", "behind"]


def test_end_of_threads(httpd):
    """Behind it, what CPython calls before it waits for threads is called in CPython's order, the
    last first."""
    server = httpd("# ends of threads")
    server.run(
        """
        import threading
        def bye(data):
            apache.log_error("ends: " + data, apache.APLOG_NOTICE)
        threading._register_atexit(bye, "third")
        threading._register_atexit(bye, "second")
        req.server.register_cleanup(req, bye, "first")
        """
    )
    server.graceful()
    server.expect_log("ends: ", times=3)
    noted = [r.message.split()[-1] for r in server.error_log.recent() if "ends: " in r.message]
    assert noted == ["first", "second", "third"]


def test_register_cleanup_arguments(httpd):
    """What cannot be called is a ValueError."""
    assert (
        httpd.run(
            """
        try:
            req.server.register_cleanup(req, "spam")
        except ValueError:
            return "refused"
        """
        )
        == "refused"
    )


@pytest.mark.parametrize("name", READ_ONLY)
def test_read_only(httpd, name):
    """Members refuse assignment."""
    assert (
        httpd.run(
            f"""
        try:
            req.server.{name} = 1
        except (AttributeError, TypeError):
            return "refused"
        """
        )
        == "refused"
    )
