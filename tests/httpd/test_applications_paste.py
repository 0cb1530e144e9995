"""Paste behind its own front end, paste.modpython; docs/migration.md names it."""

import concurrent.futures
import random

import httpx
import pytest

from plugins.applications import environment, user

REQUIREMENTS = ("Paste==3.10.1", "PasteDeploy==3.1.0", "setuptools==80.9.0", "legacy-cgi==2.6.4")

CONFIG = """
    PythonHome "HOME"
    PythonPath "sys.path + ['${root}/site']"
    <Location "/paste">
        SetHandler python-program
        PythonHandler paste.modpython
        PythonOption paste.ini "${root}/site/paste.ini"
        PythonOption SCRIPT_NAME /paste
        Require all granted
    </Location>
    <Location "/other">
        SetHandler python-program
        PythonHandler paste.modpython
        PythonOption wsgi.application site_hooks::application
        PythonOption wsgi.startup site_hooks::start
        PythonOption wsgi.cleanup site_hooks::clean
        Require all granted
    </Location>
    """

INI = """
    [composite:main]
    use = egg:Paste#urlmap
    /files = files
    /private = private
    /secret = secret
    /scripts = scripts
    /test = test
    /failing = failing

    [app:files]
    use = egg:Paste#static
    document_root = %(here)s/files

    [app:private]
    use = egg:Paste#static
    document_root = %(here)s/files
    filter-with = password

    [filter:password]
    use = egg:Paste#auth_digest
    realm = spam
    authfunc = site_hooks:digest

    [app:secret]
    use = egg:Paste#static
    document_root = %(here)s/files
    filter-with = basic

    [filter:basic]
    use = egg:Paste#auth_basic
    realm = spam
    authfunc = site_hooks:basic

    [app:scripts]
    use = egg:Paste#cgi
    script = %(here)s/script.cgi

    [app:test]
    use = egg:Paste#test

    [app:failing]
    paste.app_factory = site_hooks:make_failing
    filter-with = errors

    [filter:errors]
    use = egg:Paste#error_catcher
    debug = true
    show_exceptions_in_wsgi_errors = false
    """

HOOKS = """
    from mod_python import apache
    from paste.auth.digest import digest_password
    from paste.debug.debugapp import SimpleApplication

    application = SimpleApplication()


    def digest(environ, realm, username):
        return digest_password(realm, username, "geheim ☃")


    def basic(environ, username, password):
        return password == "geheim"


    def failing(environ, start_response):
        1 / 0


    def make_failing(global_conf):
        return failing


    def start(req):
        apache.log_error("site_hooks has started", apache.APLOG_NOTICE, req.server)


    def clean():
        apache.log_error("site_hooks has ended", apache.APLOG_NOTICE)
    """

# What egg:Paste#cgi runs: a process for each request.
SCRIPT = """\
#!/usr/bin/env python3
import os, sys
data = sys.stdin.buffer.read(int(os.environ.get("CONTENT_LENGTH") or 0))
sys.stdout.buffer.write(b"Content-Type: application/octet-stream\\nX-Query: ")
sys.stdout.buffer.write(os.environ["QUERY_STRING"].encode() + b"\\n\\n" + data)
"""

NAME = "nöt ☃ 漢字.bin"
FILES = {
    NAME: random.Random(1).randbytes(1_500_001),
    "lines.txt": b"\r\n\0\n" * 1000,
    "empty.txt": b"",
    "index.html": "<h1>Grüße</h1>".encode(),
}


@pytest.fixture
def server(httpd):
    """A server with Paste's applications."""
    home = environment("paste", *REQUIREMENTS)
    files = {f"site/files/{name}": data for name, data in FILES.items()}
    files |= {"site/paste.ini": INI, "site/site_hooks.py": HOOKS, "site/script.cgi": SCRIPT}
    server = httpd(
        CONFIG.replace("HOME", str(home)),
        files,
        workers=25 if httpd.mpm == "event" else 6,
        environ=(("PYTHONWARNINGS", "ignore"),),
    )
    (server.root / "site/script.cgi").chmod(0o755)
    return server


@pytest.fixture
def anybody(server):
    """Somebody with a browser."""
    with user(server.url + "paste/") as someone:
        yield someone


@pytest.mark.parametrize("name", FILES)
def test_files(anybody, name):
    """A file byte for byte, its length, a part of it, and nothing if the client has it."""
    data = FILES[name]
    answer = anybody.get(f"files/{name}").response
    assert (answer.status_code, answer.content) == (200, data)
    head = anybody.request("HEAD", f"files/{name}").response
    assert (head.status_code, head.content) == (200, b"")
    again = anybody.get(f"files/{name}", headers={"If-None-Match": answer.headers["ETag"]}).response
    assert (again.status_code, again.content) == (304, b"")
    if data:
        part = anybody.get(f"files/{name}", headers={"Range": "bytes=3-12"}).response
        assert (part.status_code, part.content) == (206, data[3:13])
        assert part.headers["Content-Range"] == f"bytes 3-12/{len(data)}"


def test_directory(anybody):
    """A directory's index; its address without a slash leads to it."""
    page = anybody.get("files")
    assert page.response.content == FILES["index.html"]
    assert page.response.url.path == "/paste/files/"


@pytest.mark.parametrize(
    "path", ["nothing", "files/nothing", "files/%2e%2e/paste.ini", "files/../site_hooks.py"]
)
def test_not_found(anybody, path):
    """Neither what is not there, nor what lies elsewhere."""
    page = anybody.get(path)
    assert page.status == 404
    assert "SimpleApplication" not in page.text
    assert "egg:Paste" not in page.text


def test_methods(anybody):
    """What a file does not take is refused."""
    page = anybody.post("files/lines.txt", data={"a": "b"})
    assert page.status == 405
    assert "GET" in page.response.headers["Allow"]


def test_digest(anybody):
    """Digest authentication by Paste itself."""
    assert anybody.get("private/index.html").status == 401
    wrong = httpx.DigestAuth("spam", "wrong")
    assert anybody.get("private/index.html", auth=wrong).status == 401
    right = httpx.DigestAuth("spam", "geheim ☃".encode())
    assert anybody.get("private/index.html", auth=right).response.content == FILES["index.html"]


def test_basic(anybody):
    """Basic authentication by Paste itself: the password reaches it."""
    page = anybody.get("secret/index.html")
    assert page.status == 401
    assert page.response.headers["WWW-Authenticate"] == 'Basic realm="spam"'
    assert anybody.get("secret/index.html", auth=("spam", "wrong")).status == 401
    page = anybody.get("secret/index.html", auth=("spam", "geheim"))
    assert page.response.content == FILES["index.html"]


@pytest.mark.parametrize("data", [b"", b"\0", b"\r\n\0" * 2731, FILES[NAME]], ids=len)
def test_upload(server, anybody, data):
    """What is sent to a CGI script of Paste's comes back byte for byte."""
    answer = anybody.post("scripts/?a=%C3%A4", content=data).response
    server.expect_log(r"\] $")  # what the script has written to stderr
    assert answer.status_code == 200, answer.text
    assert answer.content == data
    assert answer.headers["X-Query"] == "a=%C3%A4"


def test_exception(server, anybody):
    """Paste's page of the exception; the next request is as ever."""
    page = anybody.get("failing/")
    assert page.status == 500
    assert "ZeroDivisionError" in page.text
    server.expect_log("ZeroDivisionError: division by zero")
    assert anybody.get("test").response.content == b"<html><body>simple</body></html>"


def test_options(httpd):
    """An application of a module, with functions that are called at its start and end."""
    home = environment("paste", *REQUIREMENTS)
    files = {"site/site_hooks.py": HOOKS, "site/paste.ini": INI}
    server = httpd.unstarted(
        CONFIG.replace("HOME", str(home)), files, environ=(("PYTHONWARNINGS", "ignore"),)
    )
    server.start()
    for _ in range(2):
        assert server.get("other/x").text == "<html><body>simple</body></html>"
    server.expect_log("site_hooks has started")
    server.graceful()
    server.expect_log("site_hooks has ended")


def test_users_at_once(server):
    """Many at once, each has what he asked for."""

    def work(number):
        name, data = list(FILES.items())[number % len(FILES)]
        with user(server.url + "paste/") as someone:
            return all(someone.get(f"files/{name}").response.content == data for _ in range(5))

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(12)))
