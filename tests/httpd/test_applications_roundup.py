"""Roundup behind its own front end, roundup.cgi.apache; docs/migration.md has its configuration."""

import concurrent.futures
import random

import pytest

from plugins.applications import environment, give_to_everybody, run, user

REQUIREMENTS = ("roundup==2.6.0",)

# As Roundup's installation guide has it, with Apache 2.4's Require.
CONFIG = """
    PythonHome "HOME"
    AliasMatch "^/roundup/(.+)/@@file/(.*)" "${root}/trackers/$1/html/$2"
    AliasMatch "^/roundup/([^/]+)/(?!@@file/)(.*)" "${root}/trackers/$1/dummy.py/$2"
    RedirectMatch permanent "^/roundup/([^/]+)$" "/roundup/$1/"
    <Directory "${root}/trackers">
        Require all granted
        AllowOverride None
        Options None
        AddHandler python-program .py
        PythonHandler roundup.cgi.apache
        CGIPassAuth On
    </Directory>
    <Directory "${root}/trackers/spam">
        PythonOption TrackerHome "${root}/trackers/spam"
    </Directory>
    <Directory "${root}/trackers/debug">
        PythonOption TrackerHome "${root}/trackers/spam"
        PythonOption TrackerDebug yes
        PythonOption TrackerTiming comment
    </Directory>
    <Directory "${root}/trackers/missing">
        PythonOption TrackerHome "${root}/nothing"
    </Directory>
    """

TITLE = "Größe ☃ 漢字 🐍"
ISSUE = 'form[enctype]:has([name="title"])'
LOG_IN = 'form:has(input[name="__login_name"])'


def make_tracker(home, tracker, url):
    """A tracker, made by Roundup's own tool; it writes its mails to a file."""
    admin = (home / "bin/python", "-W", "ignore", home / "bin/roundup-admin", "-i", tracker)
    settings = {
        "tracker_web": url,
        "mail_domain": "example.com",
        "mail_host": "localhost",
        "mail_debug": tracker / "mails",
    }
    tracker.parent.mkdir()
    given = ",".join(f"{name}={value}" for name, value in settings.items())
    # Its other back end is not for several processes where Python has dbm.dumb or dbm.sqlite3 only.
    run(*admin, "install", "classic", "sqlite", given)
    run(*admin, "initialise", "secret")
    for number in range(4):
        words = f"username=u{number} password=geheim address=u{number}@example.com roles=User"
        run(*admin, "create", "user", *words.split())
    for name in ("debug", "missing"):
        tracker.with_name(name).mkdir()
    (tracker / "extensions/failing.py").write_text(EXTENSION)
    give_to_everybody(tracker.parent)


# What a tracker adds to Roundup: an action that fails.
EXTENSION = """
from roundup.cgi.actions import Action


class Failing(Action):
    def handle(self):
        1 / 0


def init(instance):
    instance.registerAction("failing", Failing)
"""


@pytest.fixture
def server(httpd):
    """A server with a tracker that all tests share."""
    home = environment("roundup", *REQUIREMENTS)
    server = httpd(
        CONFIG.replace("HOME", str(home)),
        workers=25 if httpd.mpm == "event" else 6,
        environ=(("PYTHONWARNINGS", "ignore"),),
    )
    if not (server.root / "trackers").exists():
        make_tracker(home, server.root / "trackers/spam", server.url + "roundup/spam/")
    return server


@pytest.fixture
def anybody(server):
    """Somebody who has not logged in."""
    with user(server.url + "roundup/spam/") as someone:
        yield someone


@pytest.fixture
def brian(server):
    """A user who has logged in."""
    with logged_in(server, "u0") as someone:
        yield someone


def logged_in(server, name, password="geheim"):
    """A user of the tracker who has logged in by its form."""
    someone = user(server.url + "roundup/spam/")
    page = log_in(someone, name, password)
    assert f"Hello, {name}" in page.text
    return someone


def log_in(someone, name, password):
    """The page behind the form for logging in."""
    values = {"__login_name": name, "__login_password": password, "@action": "Login"}
    return someone.get("").submit(LOG_IN, values)


def new_issue(someone, title, note="", files=None):
    """The page of an issue that somebody files."""
    values = {"title": title, "priority": "3", "@note": note}
    page = someone.get("issue?@template=item").submit(ISSUE, values, files=files)
    assert title in page.find("title").get_text(), page.text
    return page


def test_log_in_and_out(anybody):
    """The form asks for the password; a cookie keeps who it is."""
    page = log_in(anybody, "u0", "wrong")
    assert "Invalid login" in page.text
    assert "Hello" not in anybody.get("").text
    page = log_in(anybody, "u0", "geheim")
    assert "Hello, u0" in page.text
    assert "Hello, u0" in anybody.get("issue").text
    anybody.get("?@action=logout")
    assert "Hello" not in anybody.get("").text


def test_redirect(server):
    """Without a slash it is the same tracker."""
    with user(server.url) as someone:
        page = someone.get("roundup/spam")
        assert [answer.status_code for answer in page.response.history] == [301]
        assert "List of issues" in page.text


def test_issue(brian):
    """An issue is filed, changed, and tells its history."""
    page = new_issue(brian, TITLE, "Straße: ≠ ∑\r\nzweite Zeile")
    assert "Straße: ≠ ∑" in page.text
    page = page.submit(ISSUE, {"title": TITLE + " 2", "status": "8", "@note": "erledigt ✓"})
    assert page.fields(ISSUE)["title"] == TITLE + " 2"
    assert "erledigt ✓" in page.text
    assert page.find("select[name=status] option[selected]").get_text().strip() == "resolved"
    assert f"{TITLE} -> {TITLE} 2" in page.text


def test_user(server):
    """The administrator makes a user, who changes her name and logs in."""
    with logged_in(server, "admin", "secret") as admin:
        values = {"username": "juergen", "realname": TITLE, "address": "j@example.com", "roles": "User"}
        values |= {"password": "Straße ☃", "@confirm@password": "Straße ☃"}
        page = admin.get("user?@template=item").submit("form[enctype]", values)
        assert page.fields("form[enctype]")["realname"] == TITLE
    with logged_in(server, "juergen", "Straße ☃") as juergen:
        assert TITLE in juergen.get(juergen.get("").address('a[href^="user"]')).response.text


@pytest.mark.parametrize(
    "data",
    [b"\0", b"\r\n\0" * 2731, random.Random(1).randbytes(8192), random.Random(2).randbytes(3_000_001)],
    ids=len,
)
def test_file(brian, data):
    """What is uploaded comes back byte for byte, all of it, none of it or a part."""
    name = f"Bild ä☃ {len(data)}.bin"
    page = new_issue(brian, "with a file", files={"@file": (name, data)})
    assert name in page.text
    address = page.address(f'a[href$="{len(data)}.bin"]')
    answer = brian.get(address).response
    assert answer.content == data
    assert answer.headers["Content-Length"] == str(len(data))
    head = brian.request("HEAD", address).response
    assert (head.status_code, head.content) == (200, b"")
    again = brian.get(address, headers={"If-None-Match": answer.headers["ETag"]}).response
    assert (again.status_code, again.content) == (304, b"")
    last = min(len(data), 100) - 1
    part = brian.get(address, headers={"Range": f"bytes=0-{last}"}).response
    assert (part.status_code, part.content) == (206, data[:100])
    assert part.headers["Content-Range"] == f"bytes 0-{last}/{len(data)}"


def test_search(brian, anybody):
    """Search finds what is not ASCII, in titles and in notes."""
    new_issue(brian, "Überschwemmung", "ein Hochwässerchen")
    for words in ("Überschwemmung", "Hochwässerchen"):
        for someone in (brian, anybody):
            page = someone.get("").submit(
                'form[action="issue"]:has([name="@search_text"])', {"@search_text": words}
            )
            assert "Überschwemmung" in page.text
    assert "Überschwemmung" not in anybody.get("issue?@search_text=nichts&@columns=id,title").text


def test_table_as_csv(brian):
    """The export is in UTF-8."""
    new_issue(brian, TITLE)
    answer = brian.get("issue?@action=export_csv&@columns=id,title&@sort=id").response
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert TITLE in answer.content.decode()


def test_static(anybody):
    """What Apache sends by itself, and what Roundup sends."""
    answer = anybody.get("@@file/style.css").response
    assert answer.status_code == 200
    assert "text/css" in answer.headers.get("Content-Type", "text/css")
    again = anybody.get("@@file/style.css", headers={"If-None-Match": answer.headers["ETag"]}).response
    assert again.status_code == 304
    assert "Roundup" in anybody.get("xmlrpc").text
    assert anybody.get("@@file/nothing").status == 404


def test_rest_interface(server):
    """JSON, and other methods than GET and POST; its front end takes fields of forms only."""
    url = server.url + "roundup/spam/rest/data/"
    headers = {"X-Requested-With": "rest", "Referer": url, "Origin": server.url.rstrip("/")}
    with user(url, auth=("u1", "geheim"), headers=headers) as program:
        answer = program.post("issue", data={"title": TITLE, "priority": "3"}).response
        assert answer.status_code == 201, answer.text
        address = answer.json()["data"]["link"]
        answer = program.get(address).response
        assert answer.json()["data"]["attributes"]["title"] == TITLE
        etag = {"If-Match": answer.headers["ETag"]}
        changed = program.request("PUT", address + "/title", data={"data": "neu ☃"}, headers=etag)
        assert changed.status == 200, changed.response.text
        assert program.get(address + "/title").response.json()["data"]["data"] == "neu ☃"
        assert program.request("DELETE", address).status == 403
        assert program.get("issue/99999").status == 404
        assert program.request("OPTIONS", "issue").response.headers["Allow"] == "OPTIONS, GET, POST"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("issue99999", 404),
        ("issue?@template=nothing", 400),
        ("rest/data/user", 403),
        ("issue?@filter=%FF&@search_text=%FF%FE", 200),
        ("issue?@startwith=x&@pagesize=-1", 200),
        ("user1", 200),  # a page that says that it may not be seen
    ],
)
def test_errors(anybody, path, status):
    """Roundup's own pages of errors, with their status."""
    page = anybody.get(path)
    assert page.status == status
    assert "admin@" not in page.text


@pytest.mark.parametrize("path", ["nothing", "%FF", "file99999/x.bin", "@@file/%2e%2e/config.ini"])
def test_not_found(server, anybody, path):
    """What is neither class nor item Roundup leaves to its front end, which leaves it to the server."""
    assert anybody.get(path).status == 500
    server.expect_log("KK0101: PythonHandler roundup.cgi.apache: roundup.cgi.exceptions.NotFound")


def test_form_without_token(server, anybody, brian):
    """What another site has a browser send is refused, and nothing is filed."""
    values = {"title": "forged", "priority": "3", "@action": "new"}
    assert anybody.post("issue", data=values).status == 403
    page = brian.post("issue", data=values, headers={"Referer": "http://evil.example/"})
    assert "Invalid Referer: http://evil.example/" in page.text
    server.expect_log("csrf Referer header check failed")
    page = brian.post("issue", data=values | {"@csrf": "forged"})
    assert "csrf failure" in page.text
    server.expect_log("Csrf mismatch user")
    assert "forged" not in brian.get("issue?@columns=id,title").text


def test_malformed_form(server, anybody):
    """A body that is no form fails in the front end; the next request is as ever."""
    page = anybody.post("issue1", content=b"%", headers={"Content-Type": "multipart/form-data"})
    assert page.status == 500
    server.expect_log("KK0101: .*ValueError: Invalid boundary in multipart form")
    assert anybody.get("").status == 200


def test_exception(server, brian):
    """An exception inside becomes Roundup's page, and the next request is as ever."""
    page = brian.get("issue?@action=failing")
    assert "An error has occurred" in page.text or "ZeroDivisionError" in page.text
    assert brian.get("").status == 200


def test_options(server):
    """Timing and debugging come from options; a home that is missing is 500, with its reason in the log."""
    with user(server.url + "roundup/debug/") as someone:
        assert "<!-- Time elapsed: " in someone.get("").response.text
    assert server.get("roundup/missing/").status_code == 500
    server.expect_log("PythonOption TrackerHome missing or invalid for /roundup/missing/")


def test_several_requests_of_a_connection(server):
    """A connection is kept: pages, files and errors follow each other in it."""
    with server.connect() as connection:
        for path in ("", "issue99999", "@@file/style.css", "issue") * 2:
            connection.send(f"GET /roundup/spam/{path} HTTP/1.1\r\nHost: www.example.com\r\n\r\n".encode())
            assert connection.response().status == (404 if path == "issue99999" else 200)


def test_users_at_once(server):
    """Four users file and read at once: every word of theirs is there."""

    def work(name):
        with logged_in(server, name) as someone:
            for turn in range(3):
                page = new_issue(someone, f"{name} {turn} ä", f"{name} says {turn}")
                assert f"{name} says {turn}" in page.text

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(work, [f"u{number}" for number in range(4)]))
    with user(server.url + "roundup/spam/") as someone:
        found = someone.get("issue?@columns=id,title&@pagesize=500").text
    for name in range(4):
        for turn in range(3):
            assert found.count(f"u{name} {turn} ä") == 1
