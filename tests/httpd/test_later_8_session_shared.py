"""Sessions that several servers share, in Redis and memcached (LATER, section 8)."""

import http.client
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from plugins.client import TIMEOUT
from plugins.process import wait_for
from plugins.store import Store

HANDLER = """
    import json, os
    from mod_python import apache, Session

    def handler(req):
        session = Session.Session(req)
        session["number"] = session.get("number", 0) + 1
        session.save()
        req.content_type = "application/json"
        req.write(json.dumps({"number": session["number"], "id": session.id(), "pid": os.getpid()}), 0)
        return apache.OK
    """
PAGES = """
    <Directory "${htdocs}">
        SetHandler python-program
        PythonHandler counter
    </Directory>
    """
DEPLOYMENT = Path(__file__).parents[2] / "docs" / "deployment.md"
#: Those that it names: two servers and a store.
MACHINES = ("http://one.example.com:8080", "http://two.example.com:8080", "redis://redis.example.com:6379/0")
BALANCER_MODULES = ("proxy", "proxy_http", "proxy_balancer", "lbmethod_byrequests", "slotmem_shm")
TYPES = {"redis": "RedisSession", "memcached": "MemcachedSession"}
#: Of the balancer test.
REQUESTS = 2000
CLIENTS = 6
SESSIONS = 3


def started(kind):
    if not Store.is_installed(kind):
        pytest.skip(f"no {kind} is installed")
    store = Store(kind)
    store.start()
    return store


@pytest.fixture(params=TYPES)
def store(request):
    """A server of sessions, of each kind."""
    store = started(request.param)
    yield store
    store.remove()


@pytest.fixture
def redis_store():
    """A server of sessions, Redis."""
    store = started("redis")
    yield store
    store.remove()


def documented(*urls):
    """What docs/deployment.md has for each server and for the one in front, with these MACHINES."""
    text = DEPLOYMENT.read_text().partition("## More than one machine")[2]
    for name, url in zip(MACHINES, urls, strict=True):
        assert name in text
        text = text.replace(name, url)
    server, front = re.findall("```apache\n(.*?)```", text.partition("\n## ")[0], re.DOTALL)
    return server, front


def options(store):
    return (
        f"PythonOption mod_python.session.session_type {TYPES[store.kind]}\n"
        f"PythonOption mod_python.session.cache_url {store.url}\n"
    )


def counting(httpd, store, config="", **settings):
    """A server, of this test alone, whose pages count the requests of a session."""
    server = httpd(options(store) + PAGES + config, {"htdocs/counter.py": HANDLER}, **settings)
    server.changed = True
    return server


def run(httpd, store, code, config="", **more):
    """What the code returns, with `s`, a session."""
    server = httpd("# shared")
    server.changed = True
    code = f"from mod_python import Session\ns = Session.Session(req, {more.pop('arguments', '')})\n" + code
    return server.run(code, config=options(store) + config, **more)


def client_of(store):
    redis = pytest.importorskip("redis")
    return redis.Redis(port=store.port)


def begin(server):
    """The Cookie header of a new session."""
    return {"Cookie": server.get("x").headers["Set-Cookie"].partition(";")[0]}


def test_it_lasts(httpd, store):
    """What was saved is there at the next request; what was deleted is not."""
    save = "s['a'] = {'b': (1, 2.5, None, b'x')}\ns.save()\nreturn s.id()"
    sid = run(httpd, store, save)
    find = "return repr(dict(s)), s.is_new()"
    assert run(httpd, store, find, arguments=f"{sid!r}") == ["{'a': {'b': (1, 2.5, None, b'x')}}", False]
    run(httpd, store, "s.invalidate()\ns.save()", arguments=f"{sid!r}")
    assert run(httpd, store, find, arguments=f"{sid!r}") == ["{}", True]


@pytest.mark.parametrize("sid", ["0" * 32, "../" * 11, "mp_sess.lock:", "", "x" * 7000, "\xe9" * 32])
def test_ids_of_clients_are_not_adopted(httpd, redis_store, sid):
    """An id that is unknown or cannot be one is replaced, and asks nothing else of the store."""
    client = client_of(redis_store)
    client.set(f"mp_sess:{sid[:1]}", "another's")
    server = counting(httpd, redis_store)
    answer = server.raw_request(b"x", headers={b"Cookie": b"pysid=" + sid.encode("latin-1")})
    assert answer.status == 200
    found = json.loads(answer.body)["id"]
    assert re.fullmatch("[0-9a-f]{32}", found) and found != sid
    assert set(client.keys("mp_sess:*")) == {f"mp_sess:{key}".encode() for key in (found, sid[:1])}


def test_no_update_is_lost(httpd, store):
    """Requests of one session at the same time come one by one."""
    server = counting(httpd, store, workers=4)
    cookie = begin(server)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: server.get("x", headers=cookie).json(), range(30)))
    assert sorted(answer["number"] for answer in answers) == list(range(2, 32))


def test_two_in_one_request(httpd, store):
    """A second session of the same id does not wait for the first."""
    code = (
        "s.save()\nt = Session.Session(req, s.id())\nt.unlock()\n"
        "s['a'] = 1\ns.save()\ns.unlock()\ns.lock()\nreturn t.is_new()"
    )
    assert run(httpd, store, code) is False


def test_the_store_is_down(httpd, store):
    """Without the store: 500 and one record that says so; with it again, all is well."""
    server = counting(httpd, store)
    cookie = begin(server)
    store.stop()
    assert server.get("x", headers=cookie).status_code == 500
    record = server.expect_log("KK0101.*StoreError: the store of sessions, .*, cannot be used")
    assert record.level == "error"
    store.start()
    assert server.get("x", headers=cookie).json()["number"] == 1
    assert server.get("x").json()["number"] == 1


def test_the_store_goes_down_meanwhile(httpd, redis_store):
    """What is lost with the store is one response; its lock is no further error."""
    code = """
        import os, time
        from mod_python import apache, Session

        def handler(req):
            session = Session.Session(req)
            req.write("x")
            while not os.path.exists(req.args):
                time.sleep(0.01)
            return apache.OK
        """
    server = httpd(options(redis_store) + PAGES, {"htdocs/counter.py": code})
    server.changed = True
    flag = server.root / "logs" / "flag"
    with server.connect() as connection:
        connection.send(f"GET /x?{flag} HTTP/1.0\r\n\r\n".encode())
        connection.read_until(b"\n\r\nx")
        redis_store.stop()
        flag.write_text("")
        assert connection.read_all() == b""


def test_passwords_are_not_shown(httpd, redis_store):
    """The error about a store does not contain the URL's password."""
    config = (
        f"PythonOption mod_python.session.cache_url redis://me:spam@127.0.0.1:{redis_store.port}/0?db=1\n"
    )
    with pytest.raises(AssertionError, match="StoreError") as caught:
        run(httpd, redis_store, "", config)
    assert "spam" not in str(caught.value)


def test_passwords_of_other_stores_are_not_shown(httpd):
    """Nor does the error about a URL that is of another store."""
    code = (
        "from mod_python import Session\ntry:\n    Session.MemcachedSession(req)\n"
        "except ValueError as error:\n    return str(error)"
    )
    config = "PythonOption mod_python.session.cache_url redis://me:spam@x:1/0\n"
    assert "'redis://x:1/0' is no memcached://HOST:PORT" in httpd.run(code, config=config)


def test_records_without_key(httpd, redis_store):
    """Without a key file records are JSON, and what is none is never unpickled."""
    sid = run(httpd, redis_store, "s['a'] = 1\ns.save()\nreturn s.id()")
    client = client_of(redis_store)
    assert json.loads(client.get(f"mp_sess:{sid}"))
    assert 0 < client.ttl(f"mp_sess:{sid}") <= 1800
    for forged in (b"!\x80\x04.", b"cos\nsystem\n(S'true'\ntR.", b"", b"{", b"[]", b'{"d":[]}', b"\xff" * 99):
        client.set(f"mp_sess:{sid}", forged)
        assert run(httpd, redis_store, "return s.is_new()", arguments=f"{sid!r}") is True
    httpd("# shared").expect_log("KK0182", 7)
    with pytest.raises(AssertionError, match="ValueError: None, bool, int"):
        run(httpd, redis_store, "s['a'] = {1}\ns.save()")


def test_records_with_key(httpd, redis_store):
    """With a key file, which the servers share, all that can be pickled is stored, and sealed."""
    server = httpd("# shared")
    key = server.write("logs/key", b"k" * 32)
    config = f"PythonOption mod_python.session.cache_key_file {key}\n"
    sid = run(httpd, redis_store, "s['a'] = {1}\ns.save()\nreturn s.id()", config)
    find = "return s.is_new() or repr(s['a'])"
    assert run(httpd, redis_store, find, config, arguments=f"{sid!r}") == "{1}"
    client = client_of(redis_store)
    data = client.get(f"mp_sess:{sid}")
    client.set(f"mp_sess:{sid}", data[:-1] + b"x")
    assert run(httpd, redis_store, find, config, arguments=f"{sid!r}") is True
    client.set(f"mp_sess:{sid}", data)
    key.write_bytes(b"j" * 32)
    assert run(httpd, redis_store, find, config, arguments=f"{sid!r}") is True
    server.expect_log("KK0182", 2)
    key.write_bytes(b"short")
    with pytest.raises(AssertionError, match=r"ValueError.*less than 32 bytes"):
        run(httpd, redis_store, find, config)


def test_a_lock_that_has_ended(httpd, redis_store):
    """A session whose lock has ended is not saved: another may have changed it."""
    code = (
        "s.save()\ns._store._client.delete('mp_sess.lock:' + s.id())\n"
        "try:\n    s.save()\nexcept OSError as error:\n    return str(error)\n"
    )
    assert "locked for longer than 30 s" in run(httpd, redis_store, code)


def test_a_server_that_died(httpd, redis_store):
    """The lock of a server that has died ends by itself."""
    sid = run(httpd, redis_store, "s.save()\nreturn s.id()")
    client = client_of(redis_store)
    client.set(f"mp_sess.lock:{sid}", "another", px=1000)
    started = time.monotonic()
    assert run(httpd, redis_store, "return s.is_new()", arguments=f"{sid!r}") is False
    assert time.monotonic() - started > 0.1


def test_locked_for_too_long(httpd, redis_store):
    """A request waits for a lock as long as Apache's Timeout says, then fails."""
    server = counting(httpd, redis_store, "Timeout 1\n")
    first = server.get("x")
    client_of(redis_store).set(f"mp_sess.lock:{first.json()['id']}", "another")
    cookie = first.headers["Set-Cookie"].partition(";")[0]
    assert server.get("x", headers={"Cookie": cookie}).status_code == 500
    server.expect_log("KK0101.*StoreError: a session was locked by others for 1 s")


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:1", "http://127.0.0.1", "memcached:", "memcached://x:y", ""]
)
def test_bad_urls(httpd, url):
    """Each URL that is none, or of another kind, is one error."""
    for name in TYPES.values():
        code = (
            f"from mod_python import Session\ntry:\n    Session.{name}(req)\n"
            "except (ValueError, OSError) as error:\n    return str(error)"
        )
        assert httpd.run(code, config=f"PythonOption mod_python.session.cache_url {url or '/'}")


def test_without_the_libraries(httpd):
    """Where they are not installed, the error says what to install."""
    server = httpd("# without cachelib")
    server.changed = True
    code = (
        "import sys\nsys.modules['cachelib'] = None\nfrom mod_python import Session\n"
        "try:\n    Session.RedisSession\nexcept ImportError as error:\n    return str(error)"
    )
    assert "/bin/pip install cachelib pymemcache redis" in server.run(code)


class Browser(threading.Thread):
    """A client of the balancer that keeps its connection and its session."""

    def __init__(self, port, cookie, count):
        super().__init__()
        self.port, self.cookie, self.count = port, cookie, count
        self.answers = []
        self.failures = []

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=6 * TIMEOUT)
        for _ in range(self.count):
            connection.request("GET", "/x", headers=self.cookie)
            response = connection.getresponse()
            body = response.read()
            if response.status == 200:
                self.answers.append(json.loads(body))
            else:
                self.failures.append((response.status, body))
        connection.close()


def test_two_servers_behind_a_balancer(httpd, redis_store):
    """Two servers without stickiness lose no update, while one of them is restarted gracefully;
    configured as docs/deployment.md has it."""
    config, _ = documented("", "", redis_store.url)
    files = {"htdocs/counter.py": HANDLER}
    one, two = (httpd(f"{config}{PAGES}# {name}", files, workers=4) for name in ("one", "two"))
    _, config = documented(*(f"http://127.0.0.1:{server.port}" for server in (one, two)), "")
    front = httpd(config, modules=BALANCER_MODULES, python=False, workers=8)
    for server in (one, two, front):
        server.changed = True
    cookies = [begin(front) for _ in range(SESSIONS)]
    browsers = [Browser(front.port, cookies[i % SESSIONS], REQUESTS // CLIENTS + 1) for i in range(CLIENTS)]
    before = set(one.child_pids())
    for browser in browsers:
        browser.start()
    wait_for(lambda: sum(len(browser.answers) for browser in browsers) > REQUESTS // 10, "some answers")
    one.graceful()
    for browser in browsers:
        browser.join()
    assert [browser.failures for browser in browsers] == [[]] * CLIENTS
    answers = [answer for browser in browsers for answer in browser.answers]
    assert len(answers) >= REQUESTS
    for cookie in cookies:
        sid = cookie["Cookie"].removeprefix("pysid=")
        numbers = sorted(answer["number"] for answer in answers if answer["id"] == sid)
        assert numbers == list(range(2, len(numbers) + 2))
    pids = {answer["pid"] for answer in answers}
    assert pids & before, "no request was before the restart"
    assert pids & set(one.child_pids()), "no request was after the restart"
    assert pids - before - set(one.child_pids()), "no request went to the other server"
    assert re.fullmatch("pysid=[0-9a-f]{32}", cookies[0]["Cookie"])
