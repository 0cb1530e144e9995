"""Where RequestTimeout does not come: amid what would be left locked or half done."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from plugins.process import wait_for

CONFIG = """
    PythonPath "sys.path + ['${root}/lib']"
    SetHandler python-program
    PythonHandler places
    <LocationMatch "/(holds|ends|begins|asked|free)">
        PythonRequestTimeout 0
    </LocationMatch>
    PythonRequestTimeout 100ms
    """

HANDLERS = """
    import _imp, logging, threading, time
    from mod_python import apache

    taken, over = threading.Event(), threading.Event()
    condition = threading.Condition()
    logger = logging.StreamHandler(open("/dev/null", "w"))

    def handler(req):
        globals()[req.uri.strip("/")](req)
        while req.uri.startswith(("/uses", "/waits")):
            pass
        return apache.OK

    def hold(acquire, release):
        def run():
            acquire()
            taken.set()
            over.wait(%s)
            release()
        taken.clear()
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        taken.wait(10)

    def holds(req):
        locks = {
            "import": (_imp.acquire_lock, _imp.release_lock),
            "condition": (condition.acquire, condition.release),
            "logging": (logger.acquire, logger.release),
        }
        hold(*locks[req.args])

    def ends(req):
        over.set()

    def uses_import(req):
        import places_other

    def uses_condition(req):
        with condition:
            pass

    def uses_logging(req):
        logger.handle(logging.makeLogRecord({}))

    def begins(req):
        import places_slow
        req.write("done")

    def asked(req):
        while "places_slow" not in __import__("sys").modules:
            time.sleep(0.01)

    def waits(req):
        import places_slow

    def free(req):
        import places_other, places_slow
        if condition.acquire(timeout=1) and logger.lock.acquire(timeout=1):
            condition.release()
            logger.lock.release()
            req.write("free")
    """
FILES = {"lib/places_other.py": "", "lib/places_slow.py": "import time\ntime.sleep(0.7)\n"}
TIMEOUT = "KK0190: PythonHandler places: mod_python.apache.RequestTimeout"


def serve(httpd, seconds):
    """An Apache whose locks are held for so long; nobody else's."""
    server = httpd(CONFIG, {**FILES, "lib/places.py": HANDLERS % seconds})
    server.changed = True
    return server


@pytest.mark.only_mpm("event")
@pytest.mark.parametrize(("lock", "seconds"), [("import", 60), ("condition", 0.5), ("logging", 0.5)])
def test_no_lock_stays_taken(httpd, lock, seconds):
    """A handler whose time ends while Python waits for a lock, to note then that it has it."""
    server = serve(httpd, seconds)
    assert server.get(f"holds?{lock}").status_code == 200
    with ThreadPoolExecutor(1) as executor:
        answer = executor.submit(server.get, f"uses_{lock}", timeout=60)
        if lock == "import":
            told = "KK0191: PythonHandler of .GET /uses_import.*waits for an import"
            wait_for(lambda: server.error_log.find(told), told)
            server.expect_log(told)
            assert server.get("ends").status_code == 200
        assert answer.result().status_code == 504
    server.expect_log(TIMEOUT)
    assert server.get("free").text == "free"


@pytest.mark.only_mpm("event")
def test_waiting_for_an_import(httpd):
    """Handlers whose time ends while they wait for a module that another one imports."""
    server = serve(httpd, 0)
    with ThreadPoolExecutor(5) as executor:
        first = executor.submit(server.get, "begins")
        assert server.get("asked").status_code == 200
        others = [executor.submit(server.get, "waits") for _ in range(4)]
        assert {other.result().status_code for other in others} == {504}
        assert first.result().text == "done"
    server.expect_log(TIMEOUT, times=4)
    assert server.get("free").text == "free"


ENDLESS = "while True:\n    pass\n"
CUT = {
    "lib/cut/__init__.py": "from .first import *\nfrom .second import *\nnames = first.names + second.names\n",
    "lib/cut/first.py": "names = ['first']\n",
    "lib/cut/second.py": "import time\ntime.sleep(0.4)\nnames = ['second']\n",
    "lib/imports_cut.py": """
    from mod_python import apache

    def handler(req):
        import cut
        while not req.args:
            pass
        req.write(repr(cut.names))
        return apache.OK
    """,
}


def test_an_import_is_finished(httpd):
    """A package that has got its first submodule cannot be imported again: that is still
    there, and so it is not made an attribute of the new package."""
    config = """
        PythonPath "sys.path + ['${root}/lib']"
        SetHandler python-program
        PythonHandler imports_cut
        <Location /first>
            PythonRequestTimeout 100ms
        </Location>
        """
    server = httpd(config, CUT)
    assert server.get("first").status_code == 504
    server.expect_log("KK0190: PythonHandler imports_cut: mod_python.apache.RequestTimeout")
    assert server.get("second?1").text == "['first', 'second']"


@pytest.mark.only_mpm("event")
def test_an_import_that_does_not_end(httpd):
    """It gets ten seconds more; what waits for the same module waits no longer than that."""
    config = """
        SetHandler python-program
        PythonHandler mod_python.publisher
        PythonRequestTimeout 100ms
        """
    server = httpd(config, {"htdocs/imported.py": ENDLESS})
    begun = time.monotonic()
    with ThreadPoolExecutor(2) as executor:
        answers = [executor.submit(server.get, "imported.py/call", timeout=60) for _ in range(2)]
        assert {answer.result().status_code for answer in answers} == {504}
    assert time.monotonic() - begun >= 10
    server.expect_log("KK0190: PythonHandler mod_python.publisher: ", times=2)


NESTED = """
    from mod_python import apache

    def outer(req):
        req.internal_redirect("/inner")
        while True:
            pass

    def inner(req):
        for n in range(100):
            req.write(f"{n} ")
        return apache.OK
    """
NESTED_CONFIG = """
    PythonPath "sys.path + ['${root}/lib']"
    SetHandler python-program
    RewriteEngine On
    RewriteMap slow "prg:/bin/sh ${root}/lib/slow.sh"
    RewriteRule ^/inner$ ${slow:/inner}
    <Location /outer>
        PythonHandler nested::outer
        PythonRequestTimeout 100ms
    </Location>
    <Location /inner>
        PythonHandler nested::inner
    </Location>
    """
SLOW = "while read line; do sleep 0.5; echo $line; done\n"


def test_what_is_nested_is_not_hit(httpd):
    """An exception that is raised while its handler is in Apache waits for the handler, and
    does not hit what Apache calls meanwhile."""
    server = httpd(NESTED_CONFIG, {"lib/nested.py": NESTED, "lib/slow.sh": SLOW}, modules=("rewrite",))
    with server.connect() as connection:
        connection.send(b"GET /outer HTTP/1.0\r\n\r\n")
        assert b"98 99 " in connection.read_all()
    server.expect_log("KK0190: PythonHandler nested::outer")


STANDARD = {
    "pages/page.psp": ("psp", "<%\nwhile True:\n    pass\n%>"),
    "pages/script.py": ("cgihandler", ENDLESS),
    "pages/printed.py": ("cgihandler", "print('X: 1\\n')\n" + ENDLESS),
    "pages/public.py/call": ("publisher", "def call():\n    while True:\n        pass\n"),
    "pages/wsgi": ("wsgi", "def application(environ, start_response):\n    while True:\n        pass\n"),
}


@pytest.mark.parametrize("path", STANDARD)
def test_standard_handlers(httpd, path):
    """What they run is ended, again and again; what comes after it is served."""
    handler, code = STANDARD[path]
    config = f"""
        PythonPath "sys.path + ['${{root}}/lib']"
        <Location /pages>
            PythonRequestTimeout 100ms
            PythonOption mod_python.wsgi.application endless
            SetHandler python-program
            PythonHandler mod_python.{handler}
        </Location>
        """
    server = httpd(config, {"htdocs/" + path.removesuffix("/call"): code, "lib/endless.py": code})
    for _ in range(3):
        assert server.get(path).status_code == 504
        server.expect_log(f"KK0190: PythonHandler mod_python.{handler}: ")
    assert server.run("return 'served'") == "served"


@pytest.mark.only_mpm("event")
def test_files_have_the_names_that_code_has(httpd):
    """The places are told by the file of the code that runs."""
    assert httpd.run(
        """
        import importlib, logging, queue, threading
        from mod_python import _cgi, _delicate
        functions = (
            importlib._bootstrap._find_and_load,
            importlib._bootstrap_external.FileFinder.find_spec,
            threading.Condition.wait,
            queue.Queue.get,
            logging.Handler.handle,
            _cgi.begin,
            handler,
        )
        return [_delicate.DELICATE_FILES.get(each.__code__.co_filename) for each in functions]
        """
    ) == [True, False, False, False, False, False, None]
