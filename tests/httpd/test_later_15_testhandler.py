"""LATER 15, testhandler: what it shows, and what it does not."""

import platform

import pytest

CONFIG = """
    SetEnv DATABASE_PASSWORD hunter2
    SetEnv PLAIN "<b>plain</b>"
    <Directory "${htdocs}">
        SetHandler python-program
        PythonHandler mod_python.testhandler
        PythonDebug On
        PythonOption colour blue
        PythonOption db.secret hunter3
        PythonOption database "postgres://me:hunter4@db/x"
        PythonOption cache "redis://me:p@hunter11@cache/0"
        PythonOption mail "smtp://me@example.org:p/hunter12?#@relay/"
        PythonOption service "http://service:8080/~me@home"
    </Directory>
    <Directory "${htdocs}/off">
        PythonDebug Off
    </Directory>
    """

SECRETS = {
    "Authorization": "Basic aHVudGVyOmh1bnRlcjU=",
    "Cookie": "pysid=hunter6",
    "X-Api-Key": "hunter7",
    "Referer": "http://me:hunter8@example.com/?password=hunter9&page=3",
}


@pytest.fixture
def server(httpd):
    return httpd(CONFIG, {"htdocs/off/x": ""}, environ=(("KK_API_TOKEN", "hunter1"), ("OLDPWD", "/old")))


def test_it_shows_what_there_is(server, mpm):
    """Versions, headers, environment, configuration, options."""
    answer = server.get("some/path?a=1", headers={"X-Kind": "<i>kind</i>"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    for part in (
        "Kukulkan",
        f"<dd>{mpm}: ",
        f"<dd>{platform.python_version()}</dd>",
        "<dt>Apache</dt><dd>2.4.",
        "Apache/2.4",
        "GET /some/path?a=1 HTTP/1.1",
        "&lt;i&gt;kind&lt;/i&gt;",
        "&lt;b&gt;plain&lt;/b&gt;",
        "<th>OLDPWD</th><td>/old</td>",
        "<th>colour</th><td>blue</td>",
        "<th>PythonDebug</th><td>1</td>",
    ):
        assert part in answer.text, part
    assert "<i>" not in answer.text and "<b>plain" not in answer.text


def test_credentials_are_masked(server):
    """Passwords, tokens and cookies are not on the page, wherever they come from."""
    answer = server.get("x?token=hunter10&page=3", headers=SECRETS)
    assert answer.status_code == 200
    assert "hunter" not in answer.text and "aHVudGVy" not in answer.text
    for kept in (
        "page=3",
        "postgres://me:",
        "example.com",
        "DATABASE_PASSWORD",
        "X-Api-Key",
        "@cache/0",
        "service:8080/~me@home",
    ):
        assert kept in answer.text, kept


def test_no_page_without_debug(server):
    """PythonDebug Off: there is nothing, not even the log."""
    for path in ("off/x", "off/x?view_log=1"):
        answer = server.get(path)
        assert answer.status_code == 404 and "Kukulkan" not in answer.text


VIRTUAL = """
    <VirtualHost *>
        ServerName x.example
        DocumentRoot "${{htdocs}}"
        ErrorLog {log}
        SetHandler python-program
        PythonHandler mod_python.testhandler
        PythonDebug On
    </VirtualHost>
    """


def log_of(httpd, log):
    """The page with a virtual host's log."""
    server = httpd.unstarted(VIRTUAL.format(log=log))
    (server.root / "logs" / "hidden").mkdir(mode=0o700)
    lines = [f"[x:info] number {number} of <many> password=hunter11\n" for number in range(150)]
    (server.root / "logs" / "shown_log").write_text("".join(lines))
    server.start()
    answer = server.get("?view_log=1", headers={"Host": "x.example"})
    assert answer.status_code == 200
    return answer.text


def test_log(httpd):
    """view_log=1 shows the last 100 lines of the error log, escaped and masked."""
    text = log_of(httpd, "logs/shown_log")
    assert "number 149 of &lt;many&gt; password=" in text and "number 50 " in text
    assert "number 49 " not in text
    assert "hunter" not in text


@pytest.mark.parametrize(
    ("log", "what"),
    [("syslog:local7", "not a file"), ("logs/hidden/error_log", "cannot be read")],
)
def test_log_that_cannot_be_shown(httpd, log, what):
    """A log that is no file, or not for Apache's children to read, is said to be so."""
    assert what in log_of(httpd, log)
