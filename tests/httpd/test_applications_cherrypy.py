"""CherryPy's tutorial behind its own front end, cherrypy._cpmodpy: docs/migration.md names it.

That front end was not made for Python 3 in one point: of CherryPy's headers, which are bytes, it
does not know the type of the content, so that all pages are sent as text/plain.
"""

import concurrent.futures
import re

import pytest

from plugins.applications import environment, user

REQUIREMENTS = ("CherryPy==18.10.0",)

CONFIG = """
    PythonHome "HOME"
    <Location "/cherry">
        SetHandler python-program
        PythonHandler cherrypy._cpmodpy::handler
        PythonPath "sys.path + ['${root}/site']"
        PythonOption cherrypy.setup tutorial::setup_server
        Require all granted
    </Location>
    <Location "/cherry/private">
        AuthType Basic
        AuthName "CherryPy"
        AuthUserFile "${root}/passwords"
        Require valid-user
    </Location>
    """

# What a site writes to have the tutorial served.
SITE = """
    import os.path

    import cherrypy
    from cherrypy import tutorial
    from cherrypy.tutorial import tut03_get_and_post, tut05_derived_objects, tut06_default_method
    from cherrypy.tutorial import tut07_sessions, tut08_generators_and_yield, tut09_files, tut10_http_errors

    PAGES = {
        "welcome": tut03_get_and_post.WelcomePage,
        "derived": tut05_derived_objects.HomePage,
        "users": tut06_default_method.UsersPage,
        "sessions": tut07_sessions.HitCounter,
        "generators": tut08_generators_and_yield.GeneratorDemo,
        "files": tut09_files.FileDemo,
        "errors": tut10_http_errors.HTTPErrorDemo,
        "private": tut03_get_and_post.WelcomePage,
    }
    STATIC = {
        "/": {
            "tools.staticdir.on": True,
            "tools.staticdir.dir": os.path.dirname(tutorial.__file__),
            "tools.etags.on": True,
            "tools.etags.autotags": True,
            "tools.gzip.on": True,
            "tools.gzip.mime_types": ["text/*"],
        }
    }


    class Failing:
        @cherrypy.expose
        def index(self):
            1 / 0

        @cherrypy.expose
        def inner(self):
            raise cherrypy.InternalRedirect("/greetUser", "name=inside")

        greetUser = tut03_get_and_post.WelcomePage.greetUser


    def setup_server():
        for name, page in PAGES.items():
            cherrypy.tree.mount(page(), "/cherry/" + name)
        cherrypy.tree.mount(None, "/cherry/static", STATIC)
        cherrypy.tree.mount(Failing(), "/cherry/failing")
        cherrypy.config.update({"environment": "production", "log.screen": False})
    """


@pytest.fixture
def server(httpd):
    """A server with CherryPy's tutorial."""
    home = environment("cherrypy", *REQUIREMENTS)
    return httpd(
        CONFIG.replace("HOME", str(home)),
        {"site/tutorial.py": SITE, "passwords": "spam:{SHA}kGByAB793z4R5tK1eC9Hd/4Dhzk=\n"},
        modules=("authn_file",),
        workers=25 if httpd.mpm == "event" else 6,
        environ=(("PYTHONWARNINGS", "ignore"),),
    )


@pytest.fixture
def anybody(server):
    """Somebody with a browser."""
    with user(server.url + "cherry/") as someone:
        yield someone


def test_form(anybody):
    """A form by GET and by POST; text of the world arrives and returns."""
    page = anybody.get("welcome/")
    assert "What is your name" in page.text
    for method in ("GET", "POST"):
        fields = {"params" if method == "GET" else "data": {"name": "Jürgen ☃ 漢字 🐍"}}
        page = anybody.request(method, "welcome/greetUser", **fields)
        assert page.response.content.decode() == "Hey Jürgen ☃ 漢字 🐍, what's up?"


def test_objects(anybody):
    """Pages of derived classes, a default method that takes the rest of the path, a generator."""
    assert "Another Page" in anybody.get("derived/another/").text
    assert "Lorenzo Lamas" in anybody.get("users/lorenzo").text
    assert "Unknown user" in anybody.get("users/jürgen ☃").text
    assert "hendrik" in anybody.get("generators/").response.text.lower()


def test_sessions(anybody, server):
    """A cookie finds the session again; another browser has another one."""
    for turn in (1, 2, 3):
        assert f"{turn} times" in anybody.get("sessions/").text
    with user(server.url + "cherry/") as other:
        assert "1 times" in other.get("sessions/").text


@pytest.mark.only_mpm("event")  # the sessions are in the memory of a process
def test_users_at_once(server):
    """Users at once count for themselves."""

    def work(number):
        with user(server.url + "cherry/") as someone:
            pages = [someone.get("sessions/").text for _ in range(10)]
        return [int(re.search(r"(\d+) times", page)[1]) for page in pages]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [list(range(1, 11))] * 8


@pytest.mark.parametrize("data", [b"", b"\0", b"\r\n\0" * 2731, b"\r\n--" * 800_000], ids=len)
def test_upload(anybody, data):
    """An upload is complete; its name and type arrive."""
    page = anybody.post("files/upload", files={"myFile": ("Bild.bin", data, "image/x-spam")})
    assert f"myFile length: {len(data)}" in page.text
    assert "myFile filename: Bild.bin" in page.text
    assert "myFile mime-type: image/x-spam" in page.text


def test_upload_in_chunks(anybody):
    """A body without a length is read, too."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    page = anybody.post("welcome/greetUser", content=iter([b"name=in+", b"chunks"]), headers=kind)
    assert "Hey in chunks" in page.text


def test_download(server, anybody):
    """A file comes byte for byte; what the client has is not sent again; HEAD has no body."""
    home = environment("cherrypy", *REQUIREMENTS)
    (file,) = home.rglob("cherrypy/tutorial/pdf_file.pdf")
    answer = anybody.get("files/download").response
    assert answer.content == file.read_bytes()
    assert answer.headers["Content-Disposition"] == 'attachment; filename="pdf_file.pdf"'
    known = {"If-Modified-Since": answer.headers["Last-Modified"]}
    again = anybody.get("files/download", headers=known).response
    assert (again.status_code, again.content) == (304, b"")
    head = anybody.request("HEAD", "files/download").response
    assert (head.headers["Content-Length"], head.content) == (str(len(answer.content)), b"")
    part = anybody.get("files/download", headers={"Range": "bytes=0-9"}).response
    assert part.content in (answer.content, answer.content[:10])


def test_static(anybody):
    """A directory with an ETag, compressed as it is asked for."""
    answer = anybody.get("static/custom_error.html").response
    assert "You can't do that" in answer.text
    again = anybody.get("static/custom_error.html", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status == 304
    assert anybody.get("static/%2e%2e/_cpmodpy.py").status in (403, 404)
    assert anybody.get("static/nothing").status == 404


@pytest.mark.parametrize("code", [400, 401, 402, 403, 500])
def test_errors(anybody, code):
    """CherryPy's own pages of errors, and the tutorial's, with their status."""
    page = anybody.get("errors/error", params={"code": code})
    assert page.status == code
    assert ("You can't do that!" if code == 403 else "Powered by CherryPy") in page.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("errors/nothing", 404),
        ("nothing", 404),
        ("welcome/greetUser?nme=x", 404),
        ("welcome/greetUser?name=%FF", 404),
        ("users/a/b", 404),
    ],
)
def test_not_found(anybody, path, status):
    """So are those of what is not there, and of queries that are none."""
    assert anybody.get(path).status == status


def test_redirect(anybody):
    """Elsewhere, as the client sees it and as it does not."""
    page = anybody.get("errors/toggleTracebacks", follow_redirects=False)
    assert page.status == 303
    assert page.response.headers["Location"].startswith("http://127.0.0.1:")
    anybody.get("errors/toggleTracebacks", follow_redirects=False)
    assert anybody.get("welcome", follow_redirects=False).status in (301, 303)


def test_internal_redirect(anybody):
    """A page may hand over to another one of its application."""
    assert anybody.get("failing/inner").status in (200, 404)


def test_exception(server, anybody):
    """An exception is CherryPy's page and a record in the log; the next request is as ever."""
    page = anybody.get("failing/")
    assert page.status == 500
    assert "Powered by CherryPy" in page.text
    assert "ZeroDivisionError" not in page.text
    assert anybody.get("welcome/").status == 200


def test_malformed_form(anybody):
    """A body that is no form does not stay without an answer."""
    page = anybody.post("files/upload", content=b"--x\r\n", headers={"Content-Type": "multipart/form-data"})
    assert page.status >= 400
    assert anybody.get("welcome/").status == 200


def test_password(anybody, server):
    """Apache asks for the password of a part of the site."""
    assert anybody.get("private/").status == 401
    assert anybody.get("private/", auth=("spam", "geheim")).status == 200


def test_several_requests_of_a_connection(server):
    """A connection is kept: pages, files and errors follow each other in it."""
    with server.connect() as connection:
        for path in ("welcome/", "nothing", "files/download", "sessions/") * 2:
            connection.send(f"GET /cherry/{path} HTTP/1.1\r\nHost: www.example.com\r\n\r\n".encode())
            assert connection.response().status == (404 if path == "nothing" else 200)
