"""What CGI programs know of a request: req.add_cgi_vars() and apache.build_cgi_env()."""

import pytest


def variables(httpd, path="x", **options):
    """What req.add_cgi_vars() leaves in subprocess_env."""
    return httpd.run("req.add_cgi_vars()\nreturn dict(req.subprocess_env)", path, **options)


def built(httpd, path="x", **options):
    """What apache.build_cgi_env() returns."""
    return httpd.run("return dict(apache.build_cgi_env(req))", path, **options)


def test_names(httpd):
    """The variables of RFC 3875, 4.1, and those of add_common_vars()."""
    env = variables(httpd, "x?a=1&b=%20", headers={"X-Spam": "eggs"})
    assert env["GATEWAY_INTERFACE"] == "CGI/1.1"
    assert env["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert env["REQUEST_METHOD"] == "GET"
    assert env["QUERY_STRING"] == "a=1&b=%20"
    assert env["REQUEST_URI"] == env["SCRIPT_NAME"] + "?a=1&b=%20"
    assert env["HTTP_X_SPAM"] == "eggs"
    assert env["REMOTE_ADDR"] == "127.0.0.1"
    assert "PATH_INFO" not in env
    assert "PATH_TRANSLATED" not in env


def test_empty_query(httpd):
    """QUERY_STRING is there without a query, too."""
    assert variables(httpd)["QUERY_STRING"] == ""


def test_path_info(httpd):
    """PATH_INFO is what follows the file; it is no part of SCRIPT_NAME; no request is
    made up to find PATH_TRANSLATED."""
    env = variables(httpd, "snippet.py/more/and%20more")
    assert env["PATH_INFO"] == "/more/and more"
    assert env["SCRIPT_NAME"].endswith("/snippet.py")
    assert env["REQUEST_URI"].endswith("/snippet.py/more/and%20more")
    assert "PATH_TRANSLATED" not in env


def test_no_authorization(httpd):
    """The password is not in subprocess_env, as with any CGI."""
    env = variables(httpd, headers={"Authorization": "Basic c3BhbTplZ2dz"})
    assert "HTTP_AUTHORIZATION" not in env


@pytest.mark.parametrize("host", [b"http://www.example.com", b"http://www.example.com:81"])
def test_absolute_uri(httpd, host):
    """Of an absolute URI REQUEST_URI has path and query."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler x",
        {
            "x.py": "def handler(req):\n    req.add_cgi_vars()\n    req.write(req.subprocess_env['REQUEST_URI'])\n    return 0\n"
        },
    )
    path = site.prefix.encode() + b"y?http://z"
    answer = site.raw(
        b"GET " + host + path + b" HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n"
    )
    assert answer.body == path


def test_build(httpd):
    """build_cgi_env() has the password and an interface of its own name."""
    env = built(httpd, "snippet.py/info?q", headers={"Authorization": "Basic c3BhbTplZ2dz"})
    assert env["GATEWAY_INTERFACE"] == "Python-CGI/1.1"
    assert env["HTTP_AUTHORIZATION"] == "Basic c3BhbTplZ2dz"
    assert env["SCRIPT_NAME"].endswith("/snippet.py")
    assert (env["PATH_INFO"], env["QUERY_STRING"]) == ("/info", "q")


def test_build_copies(httpd):
    """What build_cgi_env() returns is a copy, which dict() and update() take."""
    assert httpd.run(
        """
        env = apache.build_cgi_env(req)
        env["SPAM"] = "eggs"
        table = apache.table()
        table.update(env)
        return "SPAM" in req.subprocess_env, dict(env) == dict(table), table["SPAM"]
        """
    ) == [False, True, "eggs"]


def test_build_beyond_latin_1(httpd):
    """A path in any script of the world survives, as bytes of UTF-8."""
    env = built(httpd, "snippet.py/%E7%8C%AB")
    assert env["PATH_INFO"].encode("latin-1").decode() == "/猫"


def test_request_uri_of_a_redirect(httpd):
    """After an internal redirect, REQUEST_URI is still what the client asked for."""
    code = """
        from mod_python import apache
        def handler(req):
            if not req.prev:
                req.internal_redirect(req.uri + "/other?q")
                return apache.OK
            req.add_cgi_vars()
            req.write(req.subprocess_env["REQUEST_URI"] + " " + req.subprocess_env["QUERY_STRING"])
            return apache.OK
        """
    site = httpd.site("SetHandler python-program\nPythonHandler again", {"again.py": code})
    assert site.get("x?p").text == f"{site.prefix}x?p q"
