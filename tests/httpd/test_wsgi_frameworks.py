"""Flask and Django, as they come from PyPI."""

import hashlib
import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from plugins.client import TIMEOUT, http_client

CONFIG = """
    PythonInterpreter main_interpreter
    PythonPath "['{directory}'] + sys.path"
    <Location "/mount">
        SetHandler python-program
        PythonHandler mod_python.wsgi
        PythonOption mod_python.wsgi.application {application}
    </Location>
    """

FLASK = """
import hashlib
import io
from flask import Flask, abort, redirect, request, send_file, session, stream_with_context, url_for
from markupsafe import escape

app = Flask(__name__)
app.secret_key = "not very"

@app.get("/")
def hello():
    return "<p>Hello, World!</p>"

@app.route("/form", methods=["GET", "POST"])
def form():
    return {"name": request.form.get("name"), "all": request.form.getlist("all"), "q": request.args.get("q")}

@app.post("/upload")
def upload():
    file = request.files["file"]
    return {"name": file.filename, "digest": hashlib.sha256(file.read()).hexdigest()}

@app.post("/chunks")
def chunks():
    return {"length": len(request.get_data())}

@app.get("/count")
def count():
    session["n"] = session.get("n", 0) + 1
    response = app.make_response(str(session["n"]))
    response.set_cookie("other", "yes")
    return response

@app.get("/away")
def away():
    return redirect(url_for("hello"))

@app.get("/teapot")
def teapot():
    abort(418)

@app.get("/fail")
def fail():
    raise RuntimeError("a fine mess")

@app.get("/stream")
def stream():
    def blocks():
        block = bytes(range(256)) * 4096
        for n in range(100):
            yield block
    return app.response_class(stream_with_context(blocks()), mimetype="application/octet-stream")

@app.get("/file")
def file():
    return send_file(__file__, conditional=True)

@app.get("/memory")
def memory():
    return send_file(io.BytesIO(b"0123456789"), mimetype="text/plain")

@app.get("/hello/<path:name>")
def greet(name):
    return f"{escape(name)} {request.script_root} {request.url}"
"""


@pytest.fixture(scope="session")
def flask_directory() -> Iterator[Path]:
    """A directory with a Flask application, that Apache's children can read."""
    with tempfile.TemporaryDirectory(prefix="kukulkan-test-") as name:
        root = Path(name)
        root.chmod(0o755)
        (root / "flask_site.py").write_text(FLASK)
        yield root


@pytest.fixture
def flask(httpd, flask_directory):
    """The Flask application, below /mount."""
    config = CONFIG.format(directory=flask_directory, application="flask_site::app")
    server = httpd(config)
    server.url_of = lambda path: f"{server.url}mount{path}"
    return server


def test_flask_start(flask):
    """The quick start's page."""
    assert flask.get("mount/").text == "<p>Hello, World!</p>"


def test_flask_head(flask):
    """HEAD has its length."""
    response = flask.head("mount/")
    assert (response.content, response.headers["Content-Length"]) == (b"", "20")


def test_flask_forms(flask):
    """Fields of URL and body."""
    data = {"name": "späm", "all": ["1", "2"]}
    assert flask.post("mount/form?q=%C3%A4", data=data).json() == {**data, "q": "ä"}


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_flask_upload(flask, size):
    """Files, small and large."""
    content = bytes(range(250)) * (size // 250) + b"\r\n--"
    response = flask.post("mount/upload", files={"file": ("näme.bin", io.BytesIO(content))})
    assert response.json() == {"name": "näme.bin", "digest": hashlib.sha256(content).hexdigest()}


def test_flask_chunked_body(flask):
    """A body in chunks, which has no length."""
    response = flask.post("mount/chunks", content=iter([b"x" * 100000] * 5))
    assert response.json() == {"length": 500000}


def test_flask_cookies(flask):
    """Its session, and another cookie."""
    with http_client(1) as client:
        assert [client.get(flask.url_of("/count")).text for _ in range(3)] == ["1", "2", "3"]
        assert client.cookies["other"] == "yes"
        assert "session" in client.cookies


def test_flask_redirect(flask):
    """To the URL below the mount point."""
    response = flask.get("mount/away")
    assert (response.status_code, response.headers["Location"]) == (302, "/mount/")


def test_flask_urls(flask):
    """Paths in any script of the world."""
    text = flask.get("mount/hello/%E7%8C%AB/a%20b").text
    assert text == f"猫/a b /mount {flask.url}mount/hello/猫/a%20b"


def test_flask_abort(flask):
    """Its own error page."""
    response = flask.get("mount/teapot")
    assert (response.status_code, "I&#39;m a teapot" in response.text) == (418, True)


def test_flask_not_found(flask):
    """Its own, too."""
    assert "Not Found" in flask.get("mount/nothing").text


def test_flask_failure(flask):
    """An exception: Flask's page, and its traceback in the log by wsgi.errors."""
    assert flask.get("mount/fail").status_code == 500
    flask.expect_log("RuntimeError: a fine mess")
    flask.expect_log("", times=len(flask.error_log.find("")))  # each line of it is a record


def test_flask_stream(flask):
    """100 MB, byte for byte."""
    digest, length = hashlib.sha256(), 0
    with httpx.stream("GET", flask.url_of("/stream"), timeout=6 * TIMEOUT, trust_env=False) as response:
        for data in response.iter_raw():
            digest.update(data)
            length += len(data)
    assert length == 100 << 20
    assert digest.hexdigest() == hashlib.sha256(bytes(range(256)) * 409600).hexdigest()


def test_flask_files(flask):
    """Files, whole, in part and not at all."""
    whole = flask.get("mount/file")
    assert whole.text == FLASK
    assert whole.headers["Content-Length"] == str(len(FLASK))
    part = flask.get("mount/file", headers={"Range": "bytes=1-6"})
    assert (part.status_code, part.text) == (206, FLASK[1:7])
    same = flask.get("mount/file", headers={"If-None-Match": whole.headers["ETag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert flask.get("mount/memory").text == "0123456789"


# Django

DJANGO_URLS = """
from django.contrib import admin
from django.http import FileResponse, StreamingHttpResponse
from django.urls import path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("file", lambda request: FileResponse(open(__file__, "rb"))),
    path("stream", lambda request: StreamingHttpResponse(map(str, range(1000)))),
]
"""


@pytest.fixture(scope="session")
def django_directory() -> Iterator[Path]:
    """What `django-admin startproject` makes, with a database and an administrator."""
    with tempfile.TemporaryDirectory(prefix="kukulkan-test-") as name:
        root = Path(name)
        root.chmod(0o777)
        manage = [sys.executable, "manage.py"]
        environ = {"DJANGO_SUPERUSER_PASSWORD": "pass word", "PATH": "/usr/bin:/bin"}
        commands = [
            [sys.executable, "-m", "django", "startproject", "mysite", name],
            [*manage, "migrate", "-v", "0"],
            [*manage, "createsuperuser", "--noinput", "--username", "root", "--email", "r@example.com"],
        ]
        for command in commands:
            subprocess.run(command, cwd=root, env=environ, check=True, capture_output=True)
        (root / "mysite" / "more_urls.py").write_text(DJANGO_URLS)
        with (root / "mysite" / "settings.py").open("a") as settings:
            settings.write("\nALLOWED_HOSTS = ['*']\nLOGGING_CONFIG = None\n")
        for path in (root / "db.sqlite3", *root.glob("mysite/*.py")):
            path.chmod(0o666)
        yield root


@pytest.fixture
def django(httpd, django_directory):
    """The project, below /mount."""
    return httpd(CONFIG.format(directory=django_directory, application="mysite.wsgi"))


@pytest.fixture
def more(django_directory, httpd):
    """The same with URLs of its own."""
    (django_directory / "more_wsgi.py").write_text(
        "import os\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'more_settings'\n"
        "from django.core.wsgi import get_wsgi_application\n"
        "application = get_wsgi_application()\n"
    )
    (django_directory / "more_settings.py").write_text(
        "from mysite.settings import *\nROOT_URLCONF = 'mysite.more_urls'\n"
    )
    return httpd(CONFIG.format(directory=django_directory, application="more_wsgi"))


def test_django_start(django):
    """The page of a new project."""
    response = django.get("mount/")
    assert response.status_code == 200
    assert "The install worked successfully! Congratulations!" in response.text
    assert response.headers["Content-Length"] == str(len(response.content))


def test_django_not_found(django):
    """Its page for what is not there; URLs are below the mount point."""
    response = django.get("mount/nothing")
    assert response.status_code == 404
    assert f"{django.url}mount/nothing" in response.text
    django.expect_log("Not Found: /mount/nothing")


def test_django_admin(django):
    """Logging in to the administration: forms, cookies, redirects, the database."""
    with http_client(1) as client:
        url = f"{django.url}mount/admin/"
        page = client.get(url, follow_redirects=True)
        assert page.url.path == "/mount/admin/login/"
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        assert token
        data = {"username": "root", "password": "pass word", "csrfmiddlewaretoken": token[1], "next": url}
        wrong = client.post(page.url, data={**data, "password": "wrong"})
        assert "Please enter the correct username" in wrong.text
        answer = client.post(page.url, data=data)
        assert answer.status_code == 302
        index = client.get(url)
        assert "Site administration" in index.text
        users = client.get(f"{url}auth/user/")
        assert "r@example.com" in users.text


def test_django_needs_its_token(django):
    """Without the token of its form a POST is refused."""
    response = django.post("mount/admin/login/", data={"username": "root", "password": "pass word"})
    assert response.status_code == 403
    django.expect_log("Forbidden .CSRF cookie not set")


def test_django_file(more):
    """A FileResponse: by wsgi.file_wrapper, and closed by Django."""
    response = more.get("mount/file")
    assert response.text == DJANGO_URLS
    assert response.headers["Content-Length"] == str(len(DJANGO_URLS))


def test_django_stream(more):
    """A StreamingHttpResponse."""
    assert more.get("mount/stream").text == "".join(map(str, range(1000)))
