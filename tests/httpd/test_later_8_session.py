"""LATER, section 8: sessions, in each of the stores that come with Python."""

import os
import re
import sys
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from plugins.config import dedent
from plugins.process import wait_for
from plugins.tls import TLS, TLSConnection, certificate

STORES = ("MemorySession", "FileSession", "DbmSession")
SID = re.compile("[0-9a-f]{32}")

HANDLER = """
    import json, os, time
    from mod_python import apache, Session

    def handler(req):
        session = Session.Session(req)
        number = session.get("number", 0)
        time.sleep(float(req.args or 0))
        session["number"] = number + 1
        session.save()
        req.content_type = "application/json"
        req.write(json.dumps({
            "type": type(session).__name__, "new": session.is_new(), "number": number,
            "id": session.id(), "pid": os.getpid(),
        }))
        return apache.OK
    """
#: Of the interpreter, for as long as it lives.
SHIFT = "import time\nshift, now = [0], time.time\ntime.time = lambda: now() + shift[0]\n"
CONFIG = """
    PythonOption mod_python.session.session_type {store}
    PythonOption mod_python.session.database_directory ${{root}}/logs
    <Directory "${{htdocs}}">
        SetHandler python-program
        PythonHandler counter
    </Directory>
    """


@pytest.fixture(params=STORES)
def store(request):
    """The name of a store."""
    return request.param


def counting(httpd, store, config="", **settings):
    """A server whose pages count the requests of a session."""
    files = {"htdocs/counter.py": HANDLER}
    return httpd(CONFIG.format(store=store) + config, files, **settings)


def options(store):
    """The directives for Httpd.run()."""
    return f"PythonOption mod_python.session.session_type {store}\n" + (
        "PythonOption mod_python.session.database_directory ${root}/logs\n"
    )


def run(server, code, store="MemorySession", **more):
    """What the code returns, with `Session` and `Cookie`."""
    return server.run(
        "from mod_python import Session, Cookie\n" + more.pop("before", "") + code,
        config=options(store) + more.pop("config", ""),
        **more,
    )


def cookie_of(response):
    """Name and value of the cookie that a response sets."""
    return response.headers["Set-Cookie"].partition(";")[0]


def test_it_lasts(httpd, store):
    """What was saved is there at the browser's next request."""
    server = counting(httpd, store)
    first = server.get("x")
    answer = first.json()
    assert answer["type"] == store
    assert (answer["new"], answer["number"]) == (True, 0)
    assert SID.fullmatch(answer["id"])
    cookie = cookie_of(first)
    assert cookie == f"pysid={answer['id']}"
    for number in (1, 2):
        again = server.get("x", headers={"Cookie": cookie})
        assert again.json() == answer | {"new": False, "number": number, "pid": again.json()["pid"]}
        assert "Set-Cookie" not in again.headers


def test_cookie(httpd):
    """The cookie is for this directory, this site's own requests, and no script."""
    server = counting(httpd, "MemorySession")
    headers = server.get("x").headers
    assert re.fullmatch("pysid=[0-9a-f]{32}; path=/; samesite=Lax; httponly", headers["Set-Cookie"])
    assert headers["Cache-Control"] == 'no-cache="set-cookie"'


def test_no_update_is_lost(httpd, store):
    """Requests of one session at the same time, in several processes, come one by one."""
    if store == "MemorySession" and httpd.mpm == "prefork":
        pytest.skip("each process has its own memory")
    server = counting(httpd, store, workers=4)
    cookie = {"Cookie": cookie_of(server.get("x"))}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: server.get("x?0.002", headers=cookie).json(), range(40)))
    assert sorted(answer["number"] for answer in answers) == list(range(1, 41))
    pids = {answer["pid"] for answer in answers}
    assert (len(pids) > 1) is (httpd.mpm == "prefork")


@pytest.mark.parametrize(
    "sid",
    [
        "0" * 32,
        "0" * 31,
        "0" * 33,
        "A" * 32,
        "g" * 32,
        "../../../../../../../../etc/pwd",
        "..%2f..%2f..%2f..%2f..%2fetc/passwd",
        "/" * 32,
        "",
        "0" * 32 + "\t",
        '"' + "0" * 32 + '"',
        "x" * 7000,
        "\xe9" * 32,
        "0" * 31 + "\xb2",
    ],
)
def test_ids_of_clients_are_not_adopted(httpd, store, sid):
    """An id that is unknown or cannot be one is replaced, with a new cookie."""
    server = counting(httpd, store)
    answer = server.raw_request(b"x", headers={b"Cookie": b"pysid=" + sid.encode("latin-1")})
    assert answer.status == 200
    assert f"pysid={sid};" not in answer.headers["Set-Cookie"]
    assert SID.search(answer.headers["Set-Cookie"])


def test_save_only_stores(httpd, store):
    """Without save() nothing is stored."""
    server = httpd(f"# {store}")
    sid = run(server, "s = Session.Session(req)\ns['a'] = 1\nreturn s.id()", store)
    assert run(server, f"return Session.Session(req, sid={sid!r}).is_new()", store)


def test_sid_argument(httpd, store):
    """A session can be asked for by its id; what cannot be one is ValueError."""
    server = httpd(f"# {store} sid")
    sid = run(server, "s = Session.Session(req)\ns['a'] = 1\ns.save()\nreturn s.id()", store)
    assert run(server, f"return Session.Session(req, sid={sid!r})['a']", store) == 1
    code = "try:\n    Session.Session(req, sid={!r})\nexcept ValueError:\n    return 'refused'\n"
    for bad in ("../" * 11, sid.upper() + "0", 1, sid[:31], sid.encode(), sid + "\n"):
        assert run(server, code.format(bad), store) == "refused"


def test_expiry(httpd, store):
    """A session that was not saved for its timeout is not found; each save() begins it anew."""
    server = httpd(f"# {store} expiry")
    code = """
        s = Session.Session(req, timeout=100)
        s["a"] = 1
        s.save()
        found = []
        for seconds in (90, 90, 110):
            shift[0] += seconds
            later = Session.Session(req, sid=s.id())
            found.append((later.is_new(), later.timeout()))
            later.save()
        return found
        """
    found = run(server, dedent(code), store, before=SHIFT)
    server.changed = True
    assert found == [[False, 100], [False, 100], [True, 1800]]


def test_members(httpd, store):
    """It is a dict, and knows about itself."""
    server = httpd(f"# {store} members")
    values = run(
        server,
        "import time\n"
        "s = Session.Session(req, timeout=7)\n"
        "s.update(a=1, b=[2])\n"
        "before = s.last_accessed()\n"
        "s.save()\n"
        "s.set_timeout(50)\n"
        "s.save()\n"
        "t = Session.Session(req, sid=s.id())\n"
        "return [isinstance(s, dict), abs(s.created() - time.time()) < 9, s.last_accessed() >= before,\n"
        "        s.is_new(), t.is_new(), t.timeout(), dict(t), t.created() == s.created(), t.load()]\n",
        store,
    )
    assert values == [True, True, True, True, False, 50, {"a": 1, "b": [2]}, True, True]


def test_delete_and_invalidate(httpd, store):
    """delete() removes it; invalidate() has the browser forget the cookie, and turns saves off."""
    server = httpd(f"# {store} delete")
    code = (
        "s = Session.Session(req)\n"
        "s['a'] = 1\n"
        "s.save()\n"
        "s.{}()\n"
        "s['a'] = 2\n"
        "s.save()\n"
        "t = Session.Session(req, sid=s.id())\n"
        "return [t.is_new(), dict(t), req.headers_out['Set-Cookie']]\n"
    )
    is_new, content, _ = run(server, code.format("delete"), store)
    assert (is_new, content) == (False, {"a": 2})
    is_new, content, cookies = run(server, code.format("invalidate"), store)
    assert (is_new, content) == (True, {})
    assert re.fullmatch(
        "pysid=[0-9a-f]{32}; path=/site[0-9]+; expires=Thu, 01-Jan-1970 00:00:00 GMT; samesite=Lax; httponly",
        cookies[1],
    )


def test_replayed_cookie(httpd, store):
    """The cookie of a session that was invalidated begins a new one."""
    server = httpd(f"# {store} replay")
    sid = run(server, "s = Session.Session(req)\ns['a'] = 1\ns.save()\ns.invalidate()\nreturn s.id()", store)
    again = run(
        server,
        "s = Session.Session(req)\nreturn [s.id(), s.is_new(), dict(s)]",
        store,
        headers={"Cookie": f"pysid={sid}"},
    )
    assert again[0] != sid
    assert again[1:] == [True, {}]


def test_two_in_one_request(httpd, store):
    """A second session of the same id does not wait for the first, and both let go."""
    server = httpd(f"# {store} two")
    code = (
        "s = Session.Session(req)\ns.save()\n"
        "t = Session.Session(req, sid=s.id())\n"
        "t.unlock()\ns.unlock()\ns.unlock()\nt.lock()\nreturn s.id()\n"
    )
    sid = run(server, code, store)
    assert run(server, f"return Session.Session(req, sid={sid!r}).id()", store) == sid


def test_signed(httpd, store):
    """With a secret the cookie is signed; one that is not, or otherwise, is ignored."""
    server = httpd(f"# {store} signed")
    sid, cookie = run(
        server,
        "s = Session.Session(req, secret='spam')\ns['a'] = 1\ns.save()\n"
        "return s.id(), req.headers_out['Set-Cookie'].partition(';')[0]",
        store,
    )
    signature = cookie.removeprefix("pysid=").removesuffix(sid)
    assert re.fullmatch("[0-9a-f]{64}", signature)
    code = "return Session.Session(req, secret={!r}).is_new()"

    def is_new(cookie, secret="spam"):
        return run(server, code.format(secret), store, headers={"Cookie": cookie})

    assert not is_new(cookie)
    assert not is_new(cookie, b"spam")
    assert is_new(cookie, "other")
    assert is_new(f"pysid={sid}")
    assert is_new(f"pysid={signature[1:]}0{sid}")
    assert is_new(f"pysid={signature}")
    assert is_new(f"pysid={signature * 90}{sid}")


def test_default_store(httpd):
    """One process with threads: memory. Else a file."""
    server = httpd("PythonOption mod_python.session.database_directory ${root}/logs", workers=2)
    name = server.run("from mod_python import Session\nreturn type(Session.Session(req)).__name__")
    assert name == {"event": "MemorySession", "prefork": "DbmSession"}[httpd.mpm]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="needs Python 3.13")
def test_default_store_of_a_pool(httpd):
    """Where several interpreters take turns, none's memory is enough."""
    config = "PythonOption mod_python.session.database_directory ${root}/logs\nPythonInterpPool "
    code = "from mod_python import Session\nreturn type(Session.Session(req)).__name__"
    assert httpd(config + "2", workers=2).run(code) == "DbmSession"
    assert (
        httpd(config + "1", workers=2).run(code)
        == {"event": "MemorySession", "prefork": "DbmSession"}[httpd.mpm]
    )


def test_unknown_store(httpd):
    """Another name is ValueError."""
    code = "try:\n    Session.Session(req)\nexcept ValueError as error:\n    return str(error)\n"
    assert "'SpamSession' is none of" in run(httpd, code, "SpamSession")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("session", "session_cookie_name", "ApplicationPath"), "spam=.*; path=/eggs; domain=.example.com;"),
        (
            (
                "mod_python.session.session_type",
                "mod_python.session.cookie_name",
                "mod_python.session.application_path",
            ),
            "spam=.*; path=/eggs; domain=.example.com;",
        ),
    ],
)
def test_options(httpd, names, expected):
    """The keys of PythonOption, and their old names."""
    kind, cookie, path = names
    config = (
        f"PythonOption {kind} FileSession\nPythonOption {cookie} spam\nPythonOption {path} /eggs\n"
        "PythonOption mod_python.session.application_domain .example.com\n"
        "PythonOption session_directory ${root}/logs\n"
    )
    name, sent = httpd.run(
        "from mod_python import Session\ns = Session.Session(req)\n"
        "return type(s).__name__, req.headers_out['Set-Cookie']",
        config=config,
    )
    assert name == "FileSession"
    assert re.match(expected, sent)


COUNTED = """
    from mod_python import apache, Session

    def handler(req):
        session = Session.MemorySession(req)
        session["visits"] = session.get("visits", 0) + 1
        session.save()
        req.write(str(session["visits"]))
        return apache.OK
    """


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("a b", "a%20b"),
        ("größe", "gr%C3%B6%C3%9Fe"),
        ("日本", "%E6%97%A5%E6%9C%AC"),
        ("50%", "50%25"),
        ("it's-[1]~(x)+,@=:!$&*", "it's-[1]~(x)+,@=:!$&*"),
        ("a;b", None),
        (os.fsdecode(b"\xff"), "%FF"),
    ],
    ids=ascii,
)
def test_path_is_as_browsers_send_it(httpd, name, sent):
    """The cookie comes back, and the session with it."""
    server = httpd("", {})
    site = server.site()
    (site.directory / name).mkdir()
    site.write(f"{name}/.htaccess", "SetHandler python-program\nPythonHandler counted\n")
    site.write(f"{name}/counted.py", COUNTED)
    path = f"{urllib.parse.quote(name.encode('utf-8', 'surrogateescape'))}/x"
    answer = site.get(path)
    assert answer.text == "1"
    cookie = answer.headers["Set-Cookie"]
    assert re.search("path=([^;]*)", cookie)[1] == (f"{site.prefix}{sent}" if sent else "/")
    assert site.get(path, headers={"Cookie": cookie.partition(";")[0]}).text == "2"


def test_path_of_a_location(httpd):
    """In a Location, and where the directory is none of the URI's, the path is "/"."""
    code = """
        from mod_python import apache, Session

        def handler(req):
            Session.MemorySession(req)
            return apache.OK
        """
    server = httpd(
        """
        PythonPath "sys.path + ['${htdocs}/a']"
        <Directory "${htdocs}/a">
            SetHandler python-program
            PythonHandler located
        </Directory>
        <Location /b/c>
            SetHandler python-program
            PythonHandler located
        </Location>
        Alias /d ${htdocs}/a
        """,
        {"htdocs/a/located.py": code, "htdocs/a/e/x": ""},
    )
    paths = {
        path: re.search("path=([^;]*)", server.get(path).headers["Set-Cookie"])[1]
        for path in ("a/x", "a/e/x", "b/c/x", "d/x")
    }
    assert paths == {"a/x": "/a", "a/e/x": "/a", "b/c/x": "/", "d/x": "/"}


def test_a_store_of_ones_own(httpd):
    """A subclass of BaseSession stores by four methods."""
    before = (
        "kept = {}\n"
        "class Own(Session.BaseSession):\n"
        "    def init_lock(self): self.calls = ['init_lock']\n"
        "    def do_load(self): return kept.get(self.id())\n"
        "    def do_save(self, d): kept[self.id()] = d\n"
        "    def do_delete(self): kept.pop(self.id(), None)\n"
        "    def do_cleanup(self): self.calls.append('cleanup')\n"
    )
    code = (
        "chance, Session.CLEANUP_CHANCE = Session.CLEANUP_CHANCE, 10**9\n"
        "s = Own(req, 0, None, 1, 60)\n"
        "s['a'] = 1\n"
        "s.save()\n"
        "s.cleanup()\n"
        "t = Own(req, sid=s.id())\n"
        "Session.CLEANUP_CHANCE = chance\n"
        "[record] = kept.values()\n"
        "return s.calls, t['a'], t.timeout(), sorted(record)\n"
    )
    assert run(httpd, code, before=before) == [
        ["init_lock", "cleanup"],
        1,
        60,
        ["_accessed", "_created", "_data", "_timeout"],
    ]


def test_an_error_in_the_handler(httpd, store):
    """A handler that raises leaves no lock behind."""
    failing = """
        from mod_python import Session

        def handler(req):
            session = Session.Session(req, sid=req.args or 0)
            session.save()
            req.err_headers_out["X-Sid"] = session.id()
            1 / 0
        """
    server = httpd(f"# {store} error")
    site = server.site(
        options(store) + "SetHandler python-program\nPythonHandler failing", {"failing.py": failing}
    )
    sid = site.get("x").headers["X-Sid"]
    assert site.get(f"x?{sid}").status_code == 500
    server.expect_log("KK0101.*ZeroDivisionError", 2)


@pytest.mark.parametrize("count", [500])
def test_cleanup(httpd, store, count):
    """cleanup() removes what has expired, and only that; after the response."""
    server = httpd(f"# {store} cleanup")
    flag = server.root / "logs" / "cleaned"
    make = (
        "shift[0] = -10000\n"
        f"old = [Session.Session(req) for _ in range({count})]\n"
        "[s.save() for s in old]\n"
        "shift[0] = 0\n"
        "young = [Session.Session(req) for _ in range(3)]\n"
        "[s.save() for s in young]\n"
        "long = Session.Session(req, timeout=10**6)\n"
        "long.save()\n"
        f"req.register_cleanup(lambda path: open(path, 'w').close(), {str(flag)!r})\n"
        "long.cleanup()\n"
        "return [s.id() for s in old], [s.id() for s in [*young, long]]\n"
    )
    config = "PythonOption session_fast_cleanup no\nPythonOption session_cleanup_time_limit 0\n"
    old, kept = run(server, make, store, before=SHIFT, config=config)
    wait_for(flag.exists, "the cleanup to end")
    server.changed = True
    find = (
        "def found(sid):\n"
        "    s = Session.Session(req, lock=0)\n"
        "    s._sid = sid\n"
        "    return s.do_load() is not None\n"
        f"return [sid for sid in {old + kept!r} if found(sid)]\n"
    )
    assert run(server, find, store) == kept


def test_cleanup_by_chance(httpd):
    """One request in CLEANUP_CHANCE has it done."""
    before = "class Own(Session.MemorySession):\n    def do_cleanup(self): cleaned.append(1)\ncleaned = []\n"
    code = (
        "chance, Session.CLEANUP_CHANCE = Session.CLEANUP_CHANCE, {}\n"
        "[Own(req, lock=0) for _ in range(100)]\n"
        "Session.CLEANUP_CHANCE = chance\n"
        "return len(cleaned)\n"
    )
    server = httpd()
    assert run(server, code.format(1), before=before) == 100
    assert run(server, code.format(10**9), before=before) == 0


def test_over_tls(httpd):
    """Over TLS the cookie is for TLS only; req.is_https() says so in any phase."""
    code = """
        from mod_python import apache, Session

        def accesshandler(req):
            req.early = req.is_https()
            return apache.OK

        def handler(req):
            Session.MemorySession(req)
            req.write(f"{req.early} {req.is_https()}")
            return apache.OK
        """
    config = """
        <Directory "${htdocs}">
            SetHandler python-program
            PythonAccessHandler secured
            PythonHandler secured
        </Directory>
        """
    files = {"htdocs/secured.py": code}
    server = httpd(TLS + config, files | certificate(), modules=("ssl",))
    with TLSConnection(server.port) as connection:
        connection.send(b"GET /x HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n")
        response = connection.response()
    assert response.body == b"1 1"
    assert re.search("; secure; samesite=Lax; httponly$", response.headers["Set-Cookie"])
    assert httpd(config, files).get("x").text == "0 0"


SAMPLES = Path(__file__).parents[2] / "docs" / "samples"


def sample(httpd, name):
    """A site with a sample of the documentation."""
    files = {f"{name}.py": (SAMPLES / f"{name}.py").read_bytes()}
    return httpd(options("MemorySession")).site(f"SetHandler python-program\nPythonHandler {name}", files)


def test_sample_visits(httpd):
    """The first sample of docs/sessions.md counts visits."""
    site = sample(httpd, "visits")
    first = site.get("x")
    assert first.text == "You were here 1 times.\n"
    assert site.get("x", headers={"Cookie": cookie_of(first)}).text == "You were here 2 times.\n"


def test_sample_basket(httpd):
    """The second one keeps a list at the client, which cannot change it."""
    site = sample(httpd, "basket")
    first = site.get("x?spam")
    second = site.get("x?eggs", headers={"Cookie": cookie_of(first)})
    assert second.text == "spam\neggs\n"
    forged = cookie_of(second)[:-1] + "x"
    assert site.get("x", headers={"Cookie": forged}).text == "\n"


def test_constants(httpd):
    """The module's constants."""
    names = ("COOKIE_NAME", "DFT_TIMEOUT", "DFT_LOCK", "CLEANUP_CHANCE")
    assert run(httpd, f"return [getattr(Session, name) for name in {names}]") == ["pysid", 1800, True, 1000]
