"""Trac behind its own front end, trac.web.modpython_frontend; docs/migration.md has its configuration."""

import base64
import concurrent.futures
import hashlib
import io
import random
import zipfile

import pytest

from plugins.applications import environment, give_to_everybody, run, user

REQUIREMENTS = ("Trac==1.6", "Jinja2==3.1.6", "setuptools==80.9.0", "multipart==1.2.1", "legacy-cgi==2.6.4")

CONFIG = """
    PythonHome "HOME"
    Alias "/spam" "${root}/projects/spam/VERSION"
    <Directory "${root}/projects">
        Require all granted
    </Directory>
    <Location "/spam">
        SetHandler mod_python
        PythonInterpreter main_interpreter
        PythonHandler trac.web.modpython_frontend
        PythonOption TracEnv "${root}/projects/spam"
    </Location>
    <Location "/spam/login">
        AuthType Basic
        AuthName "Trac"
        AuthUserFile "${root}/passwords"
        Require valid-user
    </Location>
    <Location "/projects">
        SetHandler mod_python
        PythonInterpreter main_interpreter
        PythonHandler trac.web.modpython_frontend
        PythonOption TracEnvParentDir "${root}/projects"
        PythonOption TracUriRoot /projects
        Require all granted
    </Location>
    """

SETTINGS = "[attachment]\nmax_size = 20000000\nmax_zip_size = 20000000\n[ticket]\ndefault_owner =\n"

# What a project adds to Trac: a page that fails.
PLUGIN = """
from trac.core import Component, implements
from trac.web.api import IRequestHandler


class Failing(Component):
    implements(IRequestHandler)

    def match_request(self, req):
        return req.path_info == "/failing"

    def process_request(self, req):
        1 / 0
"""

TITLE = "Größe ☃ 漢字 🐍"


def passwords(*names):
    """A file of users, whose password is `geheim`."""
    digest = base64.b64encode(hashlib.sha1(b"geheim").digest())
    return b"".join(name + b":{SHA}" + digest + b"\n" for name in names)


def make_project(home, project):
    """A project, made by Trac's own tool."""
    project.parent.mkdir()
    settings = project.with_name("trac.ini")
    settings.write_text(SETTINGS)
    python = (home / "bin/python", "-W", "ignore", home / "bin/trac-admin", project)
    run(*python, "initenv", f"--config={settings}", "Späm 漢字", "sqlite:db/trac.db")
    run(*python, "permission", "add", "admin", "TRAC_ADMIN")
    (project / "plugins/failing.py").write_text(PLUGIN)
    give_to_everybody(project.parent)


@pytest.fixture
def server(httpd):
    """A server with a project that all tests share."""
    home = environment("trac", *REQUIREMENTS)
    server = httpd(
        CONFIG.replace("HOME", str(home)),
        {"passwords": passwords(b"admin", b"alice", "jürgen".encode("latin-1"), b"u0", b"u1", b"u2", b"u3")},
        modules=("authn_file",),
        workers=25 if httpd.mpm == "event" else 6,
        environ=(("PYTHONWARNINGS", "ignore"),),
    )
    if not (server.root / "projects").exists():
        make_project(home, server.root / "projects/spam")
    return server


@pytest.fixture
def anybody(server):
    """Somebody who has not logged in."""
    with user(server.url + "spam/") as someone:
        yield someone


@pytest.fixture
def alice(server):
    """A user who has logged in."""
    with logged_in(server, "alice") as someone:
        yield someone


def logged_in(server, name):
    """A user of the project who has logged in; the password is sent then only, as browsers do."""
    someone = user(server.url + "spam/")
    page = someone.get("login", auth=(name, "geheim"))
    assert page.status == 200, page.response.text
    return someone


def new_ticket(someone, title, text="text"):
    """The page of a ticket that somebody files."""
    page = someone.get("newticket")
    values = {"field_summary": title, "field_description": text, "submit": "Create"}
    return page.submit("#propertyform", values)


def attach(someone, name, data, ticket=1):
    """The page of attachments behind an upload."""
    page = someone.get(f"attachment/ticket/{ticket}/?action=new")
    return page.submit("#attachment", {"description": "Übung"}, files={"attachment": (name, data)})


def test_log_in_and_out(server, anybody):
    """Apache asks for the password; Trac keeps who it is in a cookie."""
    assert "Späm 漢字" in anybody.get("").text
    assert anybody.get("login").status == 401
    assert anybody.get("login", auth=("alice", "wrong")).status == 401
    server.expect_log("AH01617: user alice: authentication failure")
    page = anybody.get("login", auth=("alice", "geheim"))
    assert [answer.status_code for answer in page.response.history] == [302]
    assert "logged in as alice" in page.text
    assert "logged in as alice" in anybody.get("wiki").text
    page = page.submit("form.trac-logout")
    assert "logged in as" not in page.text
    assert "Login" in anybody.get("wiki").text


def test_user_beyond_ascii(server):
    """A name that the browser sends in ISO-8859-1, and a full name of the world."""
    with user(server.url + "spam/") as someone:
        page = someone.get("login", auth=("jürgen".encode("latin-1"), b"geheim"))
        assert "logged in as jürgen" in page.text
        page = someone.get("prefs").submit("#userprefs", {"name": TITLE, "email": "j@example.com"})
        assert page.fields("#userprefs")["name"] == TITLE


def test_ticket(alice):
    """A ticket is filed, found in a query, changed, and tells its history."""
    page = new_ticket(alice, TITLE, "Ein **Fehler** für 5 €\r\n * Zeile")
    assert TITLE in page.text
    assert page.find("strong").get_text() == "Fehler"
    number = str(page.response.url).rpartition("/")[2].partition("#")[0]
    values = {"comment": "Straße: ≠ ∑", "field_summary": TITLE + " 2", "submit": "Submit changes"}
    page = page.submit("#propertyform", values)
    assert "Straße: ≠ ∑" in page.text
    assert f"{TITLE} → {TITLE} 2" in page.text
    assert f"#{number}" in alice.get("query", params={"summary": "~" + TITLE}).text
    csv = alice.get(f"ticket/{number}?format=csv").response
    assert csv.headers["Content-Type"] == "text/csv;charset=utf-8"
    assert TITLE in csv.content.decode("utf-8-sig")
    assert TITLE in alice.get(f"ticket/{number}?format=rss").response.text


def test_wiki(alice, anybody):
    """A page is written, changed, compared, and read by others."""
    name = "wiki/Größe/漢字☃"
    page = alice.get(name, params={"action": "edit"})
    page = page.submit("#edit", {"text": "= Grüße =\r\n[[BR]]☃ 漢字", "comment": "für alle", "save": "Save"})
    assert page.response.url.path == "/spam/" + name
    page = alice.get(name, params={"action": "edit"})
    assert page.fields("#edit")["text"].splitlines() == ["= Grüße =", "[[BR]]☃ 漢字"]
    page.submit("#edit", {"text": "= Grüße =\r\nneu 🐍", "save": "Save"})
    assert "neu 🐍" in anybody.get(name).text
    assert "für alle" in anybody.get(name, params={"action": "history"}).text
    difference = anybody.get(name, params={"action": "diff", "version": 2, "old_version": 1})
    assert "漢字" in difference.find("table").get_text()
    raw = anybody.get(name, params={"version": 1, "format": "txt"}).response
    assert raw.text.splitlines() == ["= Grüße =", "[[BR]]☃ 漢字"]


def test_wiki_conflict(alice):
    """Of two who edit the same version the second is told."""
    first, second = (alice.get("wiki/Streit?action=edit") for _ in range(2))
    first.submit("#edit", {"text": "eins", "save": "Save"})
    page = second.submit("#edit", {"text": "zwei", "save": "Save"})
    assert "Streit (collision)" in page.text
    assert "eins" in alice.get("wiki/Streit").text


@pytest.mark.parametrize(
    "data",
    [b"\0", b"\r\n\0" * 2731, random.Random(1).randbytes(8192), random.Random(2).randbytes(3_000_001)],
    ids=len,
)
def test_attachment(alice, data):
    """What is uploaded comes back byte for byte."""
    new_ticket(alice, "with an attachment")
    name = f"Bild ä☃ {len(data)}.bin"
    assert name in attach(alice, name, data).text
    answer = alice.get(f"raw-attachment/ticket/1/{name}").response
    assert answer.content == data
    assert answer.headers["Content-Length"] == str(len(data))
    head = alice.request("HEAD", f"raw-attachment/ticket/1/{name}").response
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(data))
    archive = alice.get("zip-attachment/ticket/1/").response.content
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        assert file.read(name) == data


def test_attachment_that_is_text(server, alice):
    """A text is shown with its lines; who wrote it may replace it, and only an administrator delete it."""
    new_ticket(alice, "with a text")
    for text in ("erste Zeile", "zweite Fassung\n漢字"):
        page = alice.get("attachment/ticket/1/?action=new")
        values = {"replace": "on", "description": "Übung"}
        page.submit("#attachment", values, files={"attachment": ("grün.txt", text.encode())})
    page = alice.get("attachment/ticket/1/grün.txt")
    assert "zweite Fassung" in page.text
    assert "漢字" in page.text
    with logged_in(server, "admin") as admin:
        page = admin.get("attachment/ticket/1/grün.txt?action=delete")
        page.submit("form:has(input[name=action][value=delete])", {"delete": "Delete"})
    assert alice.get("attachment/ticket/1/grün.txt").status == 404


def test_conditional_requests(alice):
    """What the client has already is not sent again; a range is answered as a whole, or as asked for."""
    new_ticket(alice, "with an attachment")
    data = random.Random(3).randbytes(20_000)
    attach(alice, "twice.bin", data)
    for path in ("raw-attachment/ticket/1/twice.bin", "chrome/common/css/trac.css"):
        answer = alice.get(path).response
        again = alice.get(path, headers={"If-Modified-Since": answer.headers["Last-Modified"]}).response
        assert (again.status_code, again.content) == (304, b"")
        part = alice.get(path, headers={"Range": "bytes=10-19"}).response
        assert (part.status_code, part.content) in [(200, answer.content), (206, answer.content[10:20])]


def test_search(alice, anybody):
    """Search finds in tickets and in pages what is not ASCII."""
    new_ticket(alice, "Überschwemmung")
    page = alice.get("wiki/Suche?action=edit")
    page.submit("#edit", {"text": "eine Überschwemmung", "save": "Save"})
    page = anybody.get("").submit("#search", {"q": "Überschw"})
    titles = [tag.get_text() for tag in page.soup.select("#results dt a")]
    assert any("Überschwemmung" in title for title in titles)
    assert any(title.startswith("Suche") for title in titles)


def test_static(anybody):
    """All that the first page asks for is there, of the right type and complete."""
    addresses = anybody.get("").addresses("link[rel=stylesheet], script[src]")
    assert len(addresses) > 4
    for address in addresses:
        answer = anybody.get(address).response
        assert answer.status_code == 200
        assert answer.headers["Content-Length"] == str(len(answer.content))
        assert "css" in answer.headers["Content-Type"] or "javascript" in answer.headers["Content-Type"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("nothing", 404),
        ("ticket/99999", 404),
        ("ticket/abc", 404),
        ("wiki/WikiStart?version=99", 404),
        ("raw-attachment/ticket/1/none.bin", 404),
        ("chrome/common/nothing.css", 404),
        ("chrome/common/%2e%2e/%2e%2e/conf/trac.ini", 404),
        ("wiki/%FF", 404),
        ("search?q=%FF", 400),
        ("query?status=%FF%FE", 400),
        ("wiki/WikiStart?action=delete", 403),
        ("wiki/WikiStart?action=rename", 403),
    ],
)
def test_errors(anybody, path, status):
    """Trac's own pages of errors, with their status."""
    page = anybody.get(path)
    assert page.status == status
    assert "Powered by Trac" in page.text


def test_form_without_token(alice):
    """What another site has a browser send is refused, and nothing is filed."""
    page = alice.post("newticket", data={"field_summary": "forged", "action": "create", "submit": "Create"})
    assert page.status == 400
    assert "form token" in page.text
    assert "forged" not in alice.get("query?order=id").text


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/x-www-form-urlencoded", b"%&=&&%zz=%FF", 500),
        ("text/plain", b"\0\xff", 200),
        ("multipart/form-data; boundary=x", b"--x\r\nmalformed", 500),
    ],
)
def test_malformed_forms(server, alice, kind, body, status):
    """What Trac makes of bodies that are no forms; the next request is as ever.

    An exception while it describes an exception leaves its front end without a response.
    """
    page = alice.post("newticket", content=body, headers={"Content-Type": kind})
    assert page.status == status
    if kind.startswith("multipart"):
        server.expect_log("KK0101: .*AssertionError: Response not started")
    assert alice.get("").status == 200


def test_exception(alice):
    """An exception in a plugin becomes Trac's page, and the next request is as ever."""
    for _ in range(2):
        page = alice.get("failing")
        assert page.status == 500
        assert "ZeroDivisionError: division by zero" in page.text
    assert alice.get("").status == 200


def test_several_requests_of_a_connection(server):
    """A connection is kept: pages, files and errors follow each other in it."""
    with server.connect() as connection:
        for path in ("", "/nothing", "/chrome/common/css/trac.css", "/wiki") * 2:
            connection.send(f"GET /spam{path} HTTP/1.1\r\nHost: www.example.com\r\n\r\n".encode())
            answer = connection.response()
            assert answer.status == (404 if path == "/nothing" else 200)


def test_users_at_once(server):
    """Four users file, comment and read at once: every word of theirs is there."""

    def work(name):
        with logged_in(server, name) as someone:
            for turn in range(2):
                page = new_ticket(someone, f"{name} {turn} ä")
                assert page.status == 200
                page = page.submit("#propertyform", {"comment": f"{name} says {turn}", "submit": "Submit"})
                assert f"{name} says {turn}" in page.text

    names = ["u0", "u1", "u2", "u3"]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(work, names))
    with user(server.url + "spam/") as someone:
        found = someone.get("query?order=id&max=0&col=summary&status=!closed").text
        for name in names:
            for turn in range(2):
                assert found.count(f"{name} {turn} ä") == 1


def test_several_projects(server):
    """TracEnvParentDir lists the projects; TracUriRoot says where they are."""
    with user(server.url) as someone:
        page = someone.get("projects")
        assert "Späm 漢字" in page.text
        page = someone.get(page.address("li a"))
        assert page.response.url.path == "/projects/spam"
        assert "Späm 漢字" in page.text
        assert someone.get("projects/spam/nothing").status == 404
        assert someone.get("projects/nothing").status == 404
        # The front end decodes as UTF-8 what Trac takes for ISO-8859-1.
        assert someone.get("projects/spam/wiki/Größe").status == 404
        assert someone.get("projects/spam/wiki/漢字").status == 500
    server.expect_log("KK0101: .*AssertionError: Response not started")
