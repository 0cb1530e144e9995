"""Manual 3.4, Now something More Complicated - Authentication."""

import pytest

MYSCRIPT = """
    from mod_python import apache

    def handler(req):
        req.content_type = "text/plain"
        req.write("Hello World!")
        return apache.OK

    def authenhandler(req):
        user = req.user
        pw = req.get_basic_auth_pw()

        if user == "spam" and pw == "eggs":
            return apache.OK
        else:
            return apache.HTTP_UNAUTHORIZED
    """

PASSWORD_FIRST = MYSCRIPT.replace(
    "        user = req.user\n        pw = req.get_basic_auth_pw()\n",
    "        pw = req.get_basic_auth_pw()\n        user = req.user\n",
)

CONFIG = """
    <Directory "${htdocs}/mywebdir">
        AddHandler python-program .py
        PythonHandler myscript
        PythonAuthenHandler myscript
        PythonDebug On
        AuthType Basic
        AuthName "Restricted Area"
        Require valid-user
    </Directory>
    """


@pytest.fixture(params=[MYSCRIPT, PASSWORD_FIRST], ids=["user first", "password first"])
def server(request, httpd):
    return httpd(CONFIG, {"htdocs/mywebdir/myscript.py": request.param})


def test_right_password(server):
    """The example lets spam with eggs in."""
    answer = server.get("mywebdir/x.py", auth=("spam", "eggs"))
    assert (answer.status_code, answer.text) == (200, "Hello World!")


def test_wrong_password(server):
    """Another password is refused, and the browser is told to ask."""
    answer = server.get("mywebdir/x.py", auth=("spam", "bacon"))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="Restricted Area"'
    assert "Hello" not in answer.text


def test_no_password(server):
    """A request without credentials is refused in the same way."""
    answer = server.get("mywebdir/x.py")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="Restricted Area"'
