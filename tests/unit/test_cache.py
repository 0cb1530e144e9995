"""Caches that build what they do not have (LATER, section 15)."""

import gc
import http.server
import subprocess
import sys
import threading
import time
import weakref
from email.utils import formatdate

import pytest


@pytest.fixture
def cache(own):
    return own("cache")


@pytest.fixture
def counting(cache):
    """A kind of cache that builds upper-case names, and counts what it does."""

    class Counting(cache.Cache):
        def __init__(self, max_size=0):
            super().__init__(max_size)
            self.built, self.commits = [], 0

        def key(self, name):
            return name.lower()

        def build(self, key, name, opened, entry):
            self.built.append(key)
            if key == "bad":
                raise ValueError(key)
            return key.upper()

        def commit(self):
            self.commits += 1

    return Counting


def test_builds_once(counting):
    """A value is built when it is first asked for; key() says what is the same."""
    made = counting()
    assert [made["a"], made["A"], made["b"]] == ["A", "A", "B"]
    assert made.built == ["a", "b"]
    assert made.commits == 2
    assert len(made) == 2 and "A" in made and "c" not in made


ASKS_AT_ITS_END = """
import faulthandler
from mod_python.cache import FunctionCache

faulthandler.dump_traceback_later(20, exit=True)

class Value:
    def __del__(self):
        ends.append(made("other"))

ends = []
made = FunctionCache(lambda name: name if name == "other" else Value(), max_size=2)
for name in "abcd":
    made(name)
del made[("d",), ()]
made("e")
made.clear()
print(len(ends), len(made))
"""


def test_values_whose_end_asks_the_cache(cache):
    """What leaves a cache may use it: nobody waits for a lock that the thread itself has."""
    done = subprocess.run(
        [sys.executable, "-c", ASKS_AT_ITS_END], capture_output=True, text=True, check=False
    )
    assert done.stdout == "5 1\n", done.stderr


def test_least_recently_used_leaves(counting):
    """Beyond max_size the one that was not asked for the longest is dropped."""
    made = counting(2)
    assert [made[name] for name in "abac"] == list("ABAC")
    assert list(made.mru()) == ["c", "a"]
    assert list(made.lru()) == ["a", "c"]
    made["b"]
    assert made.built == ["a", "b", "c", "b"]
    assert len(made) == 2


def test_removal(counting):
    """del and clear() have it built again; del of nothing is KeyError."""
    made = counting()
    made["a"]
    del made["A"]
    made["a"]
    made.clear()
    made["a"]
    assert made.built == ["a"] * 3
    with pytest.raises(KeyError):
        del made["other"]


def test_failure_is_not_kept(counting):
    """What build() raises comes through, each time anew."""
    made = counting()
    for _ in range(2):
        with pytest.raises(ValueError, match="bad"):
            made["bad"]
    assert made.built == ["bad", "bad"] and len(made) == 0


def test_check_decides(cache):
    """What check() returns, if it is not None, is what build() gets."""

    class Doubling(cache.Cache):
        opened = 1

        def check(self, key, name, entry):
            return self.opened

        def build(self, key, name, opened, entry):
            return opened * 2

    made = Doubling()
    assert made["x"] == 2
    made.opened = 5
    assert made["x"] == 10
    made.opened = None
    assert made["x"] == 10


def test_one_thread_builds(cache):
    """Of threads that ask for one key one builds; other keys do not wait for it."""
    begun, go_on, built = threading.Event(), threading.Event(), []

    class Slow(cache.Cache):
        def build(self, key, name, opened, entry):
            if key == "slow":
                begun.set()
                assert go_on.wait(20)
            built.append(key)
            return object()

    made, results = Slow(), []
    threads = [threading.Thread(target=lambda: results.append(made["slow"])) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert begun.wait(20)
    made["quick"]
    assert built == ["quick"]
    go_on.set()
    for thread in threads:
        thread.join()
    assert built == ["quick", "slow"]
    assert len({id(result) for result in results}) == 1


def test_failure_while_others_wait(cache):
    """Of the threads that have waited for one that failed, one builds, and that is kept."""
    begun, go_on, built = threading.Event(), threading.Event(), []

    class Failing(cache.Cache):
        def build(self, key, name, opened, entry):
            built.append(key)
            begun.set()
            if len(built) == 1:
                assert go_on.wait(20)
                raise ValueError
            return object()

    made, results = Failing(), []

    def ask():
        try:
            results.append(made["x"])
        except ValueError:
            results.append(None)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert begun.wait(20)
    while made._entries["x"].users < 4:
        time.sleep(0.001)
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(built) == 2 and results.count(None) == 1 and len(set(results)) == 2
    assert made["x"] in results and len(built) == 2


def test_what_is_being_built_stays(cache):
    """An entry that a thread is building does not leave: the next to ask would build it, too."""
    begun, go_on, built = threading.Event(), threading.Event(), []

    class Slow(cache.Cache):
        def build(self, key, name, opened, entry):
            built.append(key)
            if key == "slow":
                begun.set()
                assert go_on.wait(20)
            return key

    made = Slow(1)
    threads = [threading.Thread(target=lambda: made["slow"]) for _ in range(2)]
    threads[0].start()
    assert begun.wait(20)
    assert made["other"] == "other"
    threads[1].start()
    while made._entries["slow"].users < 2:
        time.sleep(0.001)
    go_on.set()
    for thread in threads:
        thread.join()
    assert built.count("slow") == 1 and len(made) == 1


def test_weak_cache(cache):
    """Values live as long as somebody has them, and leave nothing behind."""

    class Thing:
        pass

    class Things(cache.WeakCache):
        def build(self, key, name, opened, entry):
            return Thing()

    things = Things()
    first = things["a"]
    assert things["a"] is first
    watched = weakref.ref(first)
    del first
    gc.collect()
    assert watched() is None
    assert isinstance(things["a"], Thing)
    for n in range(1000):
        things[n]
    gc.collect()
    assert len(things) < 200


def test_file_cache(cache, tmp_path):
    """Contents are read again when the file has changed, and gone when it has."""
    path = tmp_path / "file"
    path.write_text("é")
    files, texts = cache.FileCache(), cache.FileCache(mode="r")
    assert files[str(path)] == "é".encode()
    assert files[str(path)] is files[str(path)]
    assert texts[str(path)] == "é"
    path.write_text("other")
    assert files[str(path)] == b"other"
    path.unlink()
    with pytest.raises(FileNotFoundError):
        files[str(path)]
    assert len(files) == 0


def test_module_cache(cache, tmp_path):
    """Modules are made from files, and again when those change; sys.modules has none."""
    path = tmp_path / "some_module.py"
    path.write_text("VALUE = __name__\n")
    modules = cache.ModuleCache(3)
    module = modules[str(path)]
    assert (module.VALUE, module.__file__) == ("some_module", str(path))
    assert modules[str(path)] is module
    assert "some_module" not in sys.modules
    path.write_text("VALUE = 'changed'\n")
    assert modules[str(path)].VALUE == "changed"
    path.write_text("VALUE = = 1\n")
    with pytest.raises(SyntaxError):
        modules[str(path)]


def test_function_cache(cache):
    """The function is called once for each arguments."""
    calls = []

    def function(*args, **kw):
        calls.append((args, kw))
        return args, kw

    cached = cache.FunctionCache(function, max_size=2)
    assert cached(1, a=2, b=3) == cached(1, b=3, a=2) == ((1,), {"a": 2, "b": 3})
    assert cached(1) == ((1,), {})
    assert len(calls) == 2
    with pytest.raises(TypeError):
        cached([])


# HTTP


class Server(http.server.ThreadingHTTPServer):
    """Answers with what `pages` has: status and headers; keeps the conditions it is asked with."""

    def __init__(self):
        self.pages = {}
        self.asked = []
        super().__init__(("127.0.0.1", 0), Handler)

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        conditions = [self.headers[name] for name in ("If-None-Match", "If-Modified-Since")]
        self.server.asked.append([condition for condition in conditions if condition])
        status, headers = self.server.pages[self.path]
        if self.server.asked[-1] and status == 200:
            status = 304
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if status == 200:
            self.wfile.write(b"number %d" % len(self.server.asked))

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


NOW = formatdate(usegmt=True)
LATER = formatdate(2_000_000_000, usegmt=True)
EARLIER = "Thu, 01 Jan 1970 00:00:00 GMT"

FRESH = {
    "max-age": {"Cache-Control": "public, max-age=600"},
    "max-age and no Expires": {"Cache-Control": 'max-age="600"', "Expires": EARLIER},
    "Expires": {"Expires": LATER, "Date": NOW},
    "Expires without Date": {"Expires": LATER},
}
STALE = {
    "nothing": {},
    "no-cache": {"Cache-Control": "max-age=600, no-cache"},
    "max-age of 0": {"Cache-Control": "max-age=0", "Expires": LATER},
    "an Age beyond it": {"Cache-Control": "max-age=600", "Age": "601"},
    "nonsense": {"Cache-Control": "max-age=soon"},
    "Expires of 0": {"Expires": "0"},
    "Expires in the past": {"Expires": EARLIER, "Date": NOW},
}


@pytest.mark.parametrize("headers", FRESH.values(), ids=FRESH)
def test_what_is_fresh_is_not_asked_for(cache, server, headers):
    """One request, as long as the headers say."""
    server.pages["/x"] = 200, headers
    pages = cache.HTTPCache()
    first = pages[server.url("x")]
    assert first.entity == b"number 1"
    assert pages[server.url("x")] is first
    assert len(server.asked) == 1


@pytest.mark.parametrize("headers", STALE.values(), ids=STALE)
def test_what_is_stale_is_asked_for(cache, server, headers):
    """A request each time."""
    server.pages["/x"] = 200, headers
    pages = cache.HTTPCache()
    assert [pages[server.url("x")].entity for _ in range(2)] == [b"number 1", b"number 2"]


def test_validation(cache, server):
    """ETag and Last-Modified are sent back; 304 keeps the entity, and may make it fresh."""
    server.pages["/x"] = 200, {"ETag": '"a"', "Last-Modified": EARLIER}
    pages = cache.HTTPCache()
    first = pages[server.url("x")]
    server.pages["/x"] = 200, {"ETag": '"a"', "Cache-Control": "max-age=600"}
    assert pages[server.url("x")] is first
    assert pages[server.url("x")] is first
    assert server.asked == [[], ['"a"', EARLIER]]
    assert first.metadata["ETag"] == '"a"'


def test_refusals(cache, server, tmp_path):
    """Other schemes are ValueError, by redirection too; a status is an OSError."""
    (tmp_path / "secret").write_text("x")
    pages = cache.HTTPCache()
    for url in (f"file://{tmp_path}/secret", "ftp://127.0.0.1/x", "data:,x", "/etc/passwd"):
        with pytest.raises(ValueError, match="http and https"):
            pages[url]
    for url in (f"file://{tmp_path}/secret", "ftp://127.0.0.1/x"):
        server.pages["/x"] = 302, {"Location": url}
        with pytest.raises((OSError, ValueError), match=r"not allowed|http and https"):
            pages[server.url("x")]
    server.pages["/y"] = 404, {}
    with pytest.raises(OSError, match="404"):
        pages[server.url("y")]
    server.pages["/z"] = 302, {"Location": "/w"}
    server.pages["/w"] = 200, {}
    assert pages[server.url("z")].entity


def test_rfc822_time(cache):
    """UTC seconds, whatever the zone; nonsense is ValueError."""
    assert cache.parseRFC822Time("Thu, 01 Jan 1970 00:01:00 GMT") == 60
    assert cache.parseRFC822Time("01 Jan 1970 02:00:00 +0100") == 3600
    for text in ("", "soon", "Thu, 99 Jan 1970 00:00:00 GMT"):
        with pytest.raises(ValueError):
            cache.parseRFC822Time(text)


def test_outside_httpd():
    """The package, cache, httpdconf and version import without `_apache`."""
    code = "import mod_python, mod_python.cache, mod_python.httpdconf, mod_python.version; print('fine')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "fine\n", done.stderr
