"""PythonInterpPool: several interpreters with a GIL each behind one name."""

import sys
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from plugins.config import dedent

from .interp_handlers import HOLD, PYTHON, WAIT, customized, held, waiting

pytestmark = pytest.mark.skipif(sys.version_info < (3, 13), reason="needs Python 3.13")
threads = pytest.mark.only_mpm("event")

LIB = "PythonPath \"sys.path + ['${root}/lib']\"\n"

# Every phase notes where it is, and that it finds what the one before left.
STAY = """
    from mod_python import apache

    def note(req):
        first = req
        while first.main or first.prev:
            first = first.main or first.prev
        if not hasattr(first, "seen"):
            first.seen = []
        first.seen.append(req.interpreter_index)
        return first.seen

    def postreadrequesthandler(req):
        note(req)
        sum(range(2000))
        return apache.OK

    transhandler = accesshandler = fixuphandler = typehandler = None
    def transhandler(req):
        note(req)
        return apache.DECLINED

    def accesshandler(req):
        note(req)
        req.register_cleanup(check, req)
        return apache.OK

    def fixuphandler(req):
        note(req)
        return apache.OK

    def handler(req):
        sum(range(20000))
        seen = note(req)
        if req.args == "redirect":
            req.internal_redirect(req.uri + "?target")
            return apache.OK
        req.add_handler("PythonLogHandler", "stay::loghandler")
        req.content_type = "text/plain"
        req.write(" ".join(map(str, seen)))
        return apache.OK

    def outputfilter(filter):
        while data := filter.read():
            note(filter.req)
            filter.write(data + b"f" + str(filter.req.interpreter_index).encode())
        if data is None:
            filter.close()

    def loghandler(req):
        check(req)
        return apache.OK

    def cleanuphandler(req):
        check(req)
        return apache.OK

    def check(req):
        if len(set(note(req))) != 1:
            apache.log_error(f"strayed: {note(req)}")
    """

STAY_CONFIG = """
    PythonInterpPool 3
    PythonPostReadRequestHandler stay
    PythonTransHandler stay
    <Location />
        SetHandler python-program
        PythonAccessHandler stay
        PythonFixupHandler stay
        PythonHandler stay
        PythonCleanupHandler stay
        PythonOutputFilter stay STAY
        SetOutputFilter STAY
    </Location>
    """


@threads
def test_the_least_busy_takes_it(httpd):
    """Requests at the same time are in different interpreters while there are some, and
    then in equal numbers."""
    site = httpd("PythonInterpPool 4").site(PYTHON + "PythonInterpreter least\n", {"spam.py": WAIT})
    with waiting(site, 8) as (members, answers):
        assert sorted(members[:4]) == [0, 1, 2, 3]
        assert sorted(members[4:]) == [0, 1, 2, 3]
    assert answers == [f"least {member}" for member in members]


def test_made_when_needed(httpd):
    """While requests come one after the other, one interpreter is enough."""
    server = httpd("PythonInterpPool 4")
    where = {server.run("return req.interpreter_index", config="PythonInterpreter needed") for _ in range(5)}
    assert where == {0}


def test_name_and_index(httpd):
    """The name is the pool's; the index is there without a request, too."""
    server = httpd("PythonInterpPool 2 spam", gil="shared")
    probe = "import _apache\nreturn [req.interpreter, req.interpreter_index, bool(_apache._own_gil)]"
    assert server.run(probe, config="PythonInterpreter spam") == ["spam", 0, True]
    assert server.run(probe) == ["www.example.com", 0, False]
    assert server.run("return [apache.interpreter, apache.interpreter_index]") == ["www.example.com", 0]


def test_own_leaves_the_pool(httpd):
    """PythonInterpGIL Own of an inner scope leaves a pool, Shared does not."""
    config = """
        PythonInterpPool 2
        <VirtualHost *:${port}>
            ServerName one.example
            DocumentRoot "${htdocs}"
            PythonInterpGIL Own
        </VirtualHost>
        <VirtualHost *:${port}>
            ServerName two.example
            DocumentRoot "${htdocs}"
            PythonInterpGIL Shared
        </VirtualHost>
        """
    server = httpd(config)
    code = "return [req.server.get_config().get(k) for k in ('PythonInterpGIL', 'PythonInterpPool')]"
    assert server.run(code, headers={"Host": "one.example"}) == ["Own", "2"]
    assert server.run(code, headers={"Host": "two.example"}) == ["Shared", None]


@threads
def test_a_handler_that_never_returns(httpd):
    """One that keeps its GIL holds one thread and one interpreter; the others go on."""
    files = {"hold/spam.py": HOLD, "wait/spam.py": WAIT}
    files |= {f"{name}/.htaccess": PYTHON + "PythonInterpreter never\n" for name in ("hold", "wait")}
    site = httpd("PythonInterpPool 3").site(files=files)
    with waiting(site, 3, "wait/"):
        pass  # all three are there
    with ThreadPoolExecutor(2) as executor, held(site, "hold/") as member:
        answers = set(executor.map(lambda n: site.get(f"hold/x?{n}").text, range(40)))
    assert f"never {member}" not in answers
    assert answers <= {"never 0", "never 1", "never 2"}


@threads
def test_no_queue_for_one_that_is_stuck(httpd):
    """Where a request waits in vain for a GIL no other is sent, though fewer are there."""
    spam = {"hold/spam.py": HOLD, "wait/spam.py": WAIT}
    spam |= {f"{name}/.htaccess": PYTHON + "PythonInterpreter stuck\n" for name in ("hold", "wait")}
    site = httpd("PythonInterpPool 2").site(files=spam)
    assert site.get("hold/x").status_code == 200
    with ThreadPoolExecutor(1) as executor, held(site, "hold/"):
        with waiting(site, 1, "wait/") as (free, _):
            # Both have one: by turns the next is sent to either.
            while in_vain := executor.submit(site.get, "hold/x"):
                if wait([in_vain], timeout=2).not_done:
                    break
            with waiting(site, 5, "wait/", "y") as (members, _):
                assert members == free * 5
        assert not in_vain.done()


def answer_of(n):
    """What request n asks for: a redirect each second time."""
    return "x?redirect" if n % 2 else "x"


def test_a_request_stays(httpd, mpm):
    """All phases of a request, its redirects, filters, cleanups and log handlers are in one
    interpreter and find the attributes of the phases before."""
    site = httpd(LIB + STAY_CONFIG, {"lib/stay.py": STAY}).site(files={"x": ""})
    with ThreadPoolExecutor(12 if mpm == "event" else 1) as executor:
        texts = list(executor.map(lambda n: site.get(answer_of(n)).text, range(60)))
    for n, text in enumerate(texts):
        phases, index = text.split("f")[0], text.split("f")[1]
        # early, translation, access, fixup, content; a redirect's are not early
        assert phases.split() == [index] * (9 if n % 2 else 5), text


def test_a_subrequest_stays(httpd):
    """A subrequest is in the interpreter of its main request."""
    config = "Options +Includes\nSetOutputFilter INCLUDES\nPythonFixupHandler stay\n<Files x>\nSetOutputFilter none\nSetHandler python-program\nPythonHandler stay\n</Files>\n"
    server = httpd("PythonInterpPool 3", modules=("include", "filter"))
    site = server.site(
        config.replace("SetOutputFilter none\n", ""),
        {"stay.py": STAY, "x": "", "page.html": '<!--#include virtual="x" -->'},
    )
    with ThreadPoolExecutor(6) as executor:
        texts = list(executor.map(lambda n: site.get("page.html").text, range(30)))
    for text in texts:
        assert len(text.split()) == 3 and len(set(text.split())) == 1, text


ERROR_PAGES = """
    from mod_python import apache

    def fixuphandler(req):
        first = req
        while first.prev:
            first = first.prev
        if not hasattr(first, "seen"):
            first.seen = []
        first.seen.append(str(req.interpreter_index))
        return apache.OK

    def handler(req):
        if req.args == "refused":
            return apache.HTTP_FORBIDDEN
        req.write(" ".join(req.prev.seen))
        return apache.OK
    """


def test_an_error_document_stays(httpd, mpm):
    """An error page is made in the interpreter of the request it is for."""
    site = httpd("PythonInterpPool 3").site(files={"spam.py": ERROR_PAGES, "page": ""})
    site.write(
        ".htaccess", f"{PYTHON}PythonFixupHandler spam\nErrorDocument 403 /{site.directory.name}/page\n"
    )
    with ThreadPoolExecutor(8 if mpm == "event" else 1) as executor:
        texts = set(executor.map(lambda n: site.get("x?refused").text, range(40)))
    assert texts <= {"0 0", "1 1", "2 2"}


CONNECTIONS = """
    from mod_python import apache

    def connectionhandler(conn):
        while conn.readline():
            conn.write(f"{apache.interpreter_index}\\n")
        return apache.OK
    """


@threads
def test_a_connection_stays(httpd):
    """A connection handler is in one interpreter, the next connection in another."""
    config = LIB + "PythonInterpPool 2\nPythonConnectionHandler spam\n"
    server = httpd(config, {"lib/spam.py": CONNECTIONS})

    def ask(connection):
        connection.send(b"where\n")
        return connection.read_until(b"\n")

    with server.connect() as one, server.connect() as two:
        assert {ask(one), ask(two)} == {b"0\n", b"1\n"}
        for connection in (one, two):
            assert len({ask(connection) for _ in range(5)}) == 1


CONNECTION_FILTERS = """
    from mod_python import apache

    def inputfilter(filter):
        filter.connection.notes["member"] = str(apache.interpreter_index)
        filter.pass_on()

    def outputfilter(filter):
        if filter.connection.notes["member"] != str(apache.interpreter_index):
            apache.log_error("strayed")
        filter.pass_on()
    """


@threads
def test_filters_of_a_connection_stay(httpd):
    """The filters of a connection are in one interpreter."""
    config = LIB + (
        "PythonInterpPool 2\nPythonConnectionInputFilter spam\nPythonConnectionOutputFilter spam::outputfilter OUT\n"
    )
    site = httpd(config, {"lib/spam.py": CONNECTION_FILTERS}).site(files={"page.txt": "spam"})
    with ThreadPoolExecutor(8) as executor:
        assert set(executor.map(lambda n: site.get("page.txt").text, range(40))) == {"spam"}


EARLY = """
    import atexit
    from mod_python import apache

    def tell(what):
        apache.log_error(f"{what} {apache.interpreter} {apache.interpreter_index}", apache.APLOG_NOTICE)

    tell("imported")
    atexit.register(tell, "ended")
    """


@pytest.mark.parametrize("named", ["", " www.example.com"])
def test_imported_into_each(httpd, named):
    """PythonImport imports into each of them when a child starts; each ends with it."""
    config = f"{LIB}PythonInterpPool 3{named}\nPythonImport early www.example.com\n"
    server = httpd(config, {"lib/early.py": EARLY}, gil="shared")
    for member in range(3):
        server.expect_log(f"imported www.example.com {member}")
    server.get("x")
    server.graceful()
    for member in range(3):
        server.expect_log(f"ended www.example.com {member}")
        server.expect_log(f"imported www.example.com {member}")
    assert not server.error_log.find("imported ")


def test_imported_where_the_host_has_a_pool(httpd):
    """A name that is a virtual host's is what it is there."""
    config = f"""
        {LIB}
        PythonImport early one.example
        <VirtualHost *:${{port}}>
            ServerName one.example
            PythonInterpPool 2
        </VirtualHost>
        """
    server = httpd(config, {"lib/early.py": EARLY})
    for member in range(2):
        server.expect_log(f"imported one.example {member}")
    assert not server.error_log.find("imported ")
    server.changed = True


@threads
def test_each_reloads(httpd):
    """A module that has changed is new in each of them."""
    site = httpd("PythonInterpPool 3").site(PYTHON + "PythonInterpreter each\n", {"spam.py": WAIT})
    with waiting(site, 3) as (_, answers):
        pass
    assert sorted(answers) == ["each 0", "each 1", "each 2"]
    site.write("spam.py", WAIT.replace("{req.interpreter} ", "changed "))
    with waiting(site, 3) as (_, answers):
        pass
    assert sorted(answers) == ["changed 0", "changed 1", "changed 2"]


def test_cleanups_of_the_server(httpd):
    """Functions of server.register_cleanup() run where they were registered."""
    server = httpd("PythonInterpPool 2\n# cleanups")
    server.run(
        """
        def bye(data):
            apache.log_error(f"bye {data} {apache.interpreter_index}", apache.APLOG_NOTICE)
        req.server.register_cleanup(req, bye, req.interpreter_index)
        """
    )
    server.graceful()
    server.expect_log("bye 0 0")


@threads
def test_a_further_one_cannot_be_made(httpd):
    """The pool gets along with those it has; that is logged once, not with each request."""
    with customized() as directory:
        server = httpd("PythonInterpPool 3", environ=(("PYTHONPATH", str(directory)),))
        server.changed = True
        site = server.site(PYTHON, {"spam.py": WAIT})
        with waiting(site, 1) as (members, _):
            assert members == [0]
        (directory / "no_dispatch").touch()
        with waiting(site, 4) as (members, answers):
            assert members == [0] * 4
        assert answers == ["www.example.com 0"] * 4
        assert "www.example.com" in server.expect_log("KK0160").message


STRESS = """
    import json, sqlite3, time
    from mod_python import apache
    VERSION = {version}

    def fixuphandler(req):
        req.token = req.args
        req.notes["token"] = req.args
        return apache.OK

    def done(token):
        if token != token.strip():
            apache.log_error("mixed up")

    def handler(req):
        version = VERSION
        body = json.loads(req.read())
        req.register_cleanup(done, req.token)
        for _ in range(50):
            req.headers_out["X-Token"] = req.token
            value = {{str(n): [n, str(n)] for n in range(30)}}
        rows = sqlite3.connect(":memory:").execute("select ?", (req.args,)).fetchone()
        ok = rows[0] == body["token"] == req.token == req.notes["token"] and version == VERSION
        req.write(json.dumps([req.args, req.interpreter_index, ok, len(value)]))
        return apache.OK

    def outputfilter(filter):
        while data := filter.read():
            filter.write(data.upper())
        if data is None:
            filter.close()

    def loghandler(req):
        if req.token != req.notes["token"]:
            apache.log_error("mixed up")
        return apache.OK
    """

STRESS_CONFIG = """
    PythonInterpPool 4
    <Directory "${htdocs}">
        SetHandler python-program
        PythonFixupHandler stress
        PythonHandler stress
        PythonLogHandler stress
        PythonOutputFilter stress STRESS
        SetOutputFilter STRESS
    </Directory>
    """


@threads
def test_sixteen_clients(httpd):
    """Requests of 16 clients do not mix, while the module is reloaded under them."""

    def version(n):
        return dedent(STRESS).format(version=n)

    server = httpd(STRESS_CONFIG, {"htdocs/stress.py": version(0)})
    server.changed = True

    def call(n):
        if n % 40 == 20:
            server.write(f"htdocs/stress{n}.tmp", version(n)).rename(server.htdocs / "stress.py")
            return None
        answer = server.post(f"x?token{n}", json={"token": f"token{n}"})
        assert answer.headers["X-Token"] == f"token{n}"
        token, member, ok, size = answer.text.strip("[]").split(", ")
        assert (token, ok, size) == (f'"TOKEN{n}"', "TRUE", "30")
        return int(member)

    with ThreadPoolExecutor(16) as executor:
        members = set(executor.map(call, range(800)))
    assert members <= {None, 0, 1, 2, 3}
