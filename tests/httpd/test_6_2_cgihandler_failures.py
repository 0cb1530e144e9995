"""Manual 6.2, the CGI handler: scripts that are missing, fail, or print what is no response."""

import base64

import pytest

from .cgi_scripts import PYTHON, responding, script


def test_missing(httpd):
    """A script that is not there is 404, whatever module of that name there is."""
    site = httpd.site(PYTHON, {"x.py": ""})
    for path in ("os", "os.py", "string", "no/x.py", "%2e%2e/x.py"):
        assert site.get(path).status_code == 404


def test_directory(httpd):
    """A directory is no script."""
    site = httpd.site(PYTHON, {"sub/x.txt": ""})
    assert site.get("sub/").status_code == 403


def test_path_info_rejected(httpd):
    """AcceptPathInfo Off holds for scripts."""
    site = script(httpd, "print('X: 1\\n')", config="AcceptPathInfo Off\n")
    assert (site.get("script.py").status_code, site.get("script.py/x").status_code) == (200, 404)


def test_exception(httpd):
    """An exception is one record, with the traceback of the script, and nothing of it is
    shown; nor what was printed."""
    site = script(httpd, "print('Content-Type: text/plain\\n\\nprinted')\n1 / 0\n")
    answer = site.get("script.py")
    assert answer.status_code == 500
    assert "printed" not in answer.text
    assert "Zero" not in answer.text
    record = site.expect_log("KK0101.*ZeroDivisionError")
    assert "script.py" in record.message
    assert "_cgi.py" not in record.message


def test_exception_shown(httpd):
    """With PythonDebug the traceback is the response."""
    site = script(httpd, "def f():\n    spam\nf()\n", config="PythonDebug On\n")
    assert "NameError: name 'spam' is not defined" in site.get("script.py").text
    site.expect_log("KK0101.*NameError")


def test_syntax_error(httpd):
    """So is a script that is no Python."""
    site = script(httpd, "echo spam\n")
    assert site.get("script.py").status_code == 500
    site.expect_log("KK0101.*SyntaxError.*script.py:1")


def test_corrected(httpd):
    """A script that has changed is run as it is now."""
    site = script(httpd, "spam")
    assert site.get("script.py").status_code == 500
    site.expect_log("KK0101.*NameError")
    site.write("script.py", "print('X: 1\\n\\nbetter')")
    assert site.get("script.py").text == "better\n"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("<html>\n\n", "'<html>' is no 'Name: value'"),
        ("Content-Type text/plain\n\n", "is no 'Name: value'"),
        ("Two words: x\n\n", "is no 'Name: value'"),
        (": x\n\n", "is no 'Name: value'"),
        ("X: a\n b\n\n", "is no 'Name: value'"),
        ("X: a\x01b\n\n", "contains a control character"),
        ("X: a\x00b\n\n", "contains NUL"),
        ("X: a\rSet-Cookie: b\n\n", "contains a control character"),
        ("Status: fine\n\n", "names no status"),
        ("Status: 99\n\n", "names no status"),
        ("Status: 100\n\n", "names no status"),
        ("Status: 2000\n\n", "names no status"),
        ("X: " + "a" * 9000 + "\n\n", "is too long"),
        ("X: a\n" * 20000, "is longer than 65536 bytes"),
    ],
)
def test_malformed_header(httpd, header, reason):
    """A header that is none is 500; the log says what is wrong with it."""
    assert responding(httpd, header).status_code == 500
    assert reason in httpd().expect_log("KK0140: malformed header from script").message


@pytest.mark.parametrize("text", ["", "Content-Type: text/plain\n", "body"])
def test_no_empty_line(httpd, text):
    """So is one without an end."""
    assert responding(httpd, text, "").status_code == 500
    httpd().expect_log("KK0141: .*script.py ended before its header did")


def test_endless_malformed_output(httpd):
    """A script whose output cannot become a response is told so when it prints."""
    site = script(httpd, "while True:\n    print('x' * 1000)\n")
    assert site.get("script.py").status_code == 500
    site.expect_log("KK0140.*is longer than")


def test_client_gone(httpd):
    """When the client has gone the script is told, as by a closed pipe; no traceback is logged
    as an error."""
    site = script(
        httpd,
        "print('Content-Type: text/plain\\n', flush=True)\nwhile True:\n    print('x' * 10000, flush=True)\n",
    )
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}script.py HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        connection.read_until(b"xxx")
        connection.reset()
    assert site.get("missing.py").status_code == 404  # the prefork child is free again
    site.expect_log("KK0108: PythonHandler mod_python.cgihandler: .*client closed connection")


def test_basic_authentication(httpd):
    """Apache's own authentication stands before scripts; they know the user."""
    site = script(
        httpd,
        "import os\nprint('X: 1\\n')\nprint(os.environ['REMOTE_USER'], os.environ['AUTH_TYPE'])",
        config="AuthType Basic\nAuthName x\nRequire valid-user\nPythonAuthenHandler authen\n",
    )
    site.write(
        "authen.py", "def authenhandler(req):\n    return 0 if req.get_basic_auth_pw() == 'eggs' else 401\n"
    )
    assert site.get("script.py").status_code == 401
    token = base64.b64encode(b"spam:eggs").decode()
    assert site.get("script.py", headers={"Authorization": f"Basic {token}"}).text == "spam Basic\n"
