"""PythonInterpGIL: interpreters with a GIL of their own, and how interpreters are made."""

import os
import re
import sys

import pytest

from plugins.installation import SANITIZED

from .interp_handlers import HOLD, PYTHON, customized, held

OWN_GIL = sys.version_info >= (3, 13)
needs_own_gil = pytest.mark.skipif(not OWN_GIL, reason="needs Python 3.13")

#: Which interpreter, and whether it has a GIL of its own.
PROBE = "import _apache\nreturn [req.interpreter, bool(_apache._own_gil)]"

VHOSTS = """
    <VirtualHost *:${port}>
        ServerName one.example
        DocumentRoot "${htdocs}"
    </VirtualHost>
    <VirtualHost *:${port}>
        ServerName two.example
        DocumentRoot "${htdocs}"
        PythonInterpGIL Shared
    </VirtualHost>
    """

# The directives

WRONG = [
    ("PythonInterpGIL", "PythonInterpGIL.*takes 1-2 arguments"),
    ("PythonInterpGIL Mine", "PythonInterpGIL.*Mine.*Shared.*Own"),
    ("PythonInterpGIL Own a b", "PythonInterpGIL.*takes 1-2 arguments"),
    ("PythonInterpPool", "PythonInterpPool.*takes 1-2 arguments"),
    ("PythonInterpPool 0", "PythonInterpPool.*from 1 to"),
    ("PythonInterpPool -3", "PythonInterpPool.*from 1 to"),
    ("PythonInterpPool 257", "PythonInterpPool.*from 1 to"),
    ("PythonInterpPool 99999999999999999999", "PythonInterpPool.*from 1 to"),
    ("PythonInterpPool many", "PythonInterpPool.*number"),
    ("PythonInterpPool x2", "PythonInterpPool.*number"),
    ("<Directory />\nPythonInterpGIL Shared\n</Directory>", "PythonInterpGIL not allowed"),
    ("<Location />\nPythonInterpPool 2\n</Location>", "PythonInterpPool not allowed"),
]
WRONG_WITH_OWN = [
    ("PythonInterpGIL Own main_interpreter", "main interpreter"),
    ("PythonInterpPool 2 main_interpreter", "main interpreter"),
    ("PythonInterpreter main_interpreter\nPythonInterpGIL Own", "main interpreter"),
    ("PythonInterpGIL Own\nPythonInterpreter main_interpreter", "main interpreter"),
    ("PythonInterpGIL Shared\nPythonInterpPool 2", "PythonInterpPool.*Shared"),
    ("PythonInterpPool 2\nPythonInterpGIL Shared", "Shared"),
    ("PythonInterpPool 2 spam\nPythonInterpGIL Shared spam", "Shared"),
]


def fails(httpd, directives, *messages):
    """The directives are refused, with the file and all of the messages."""
    status, text = httpd.configtest(directives, gil="shared")
    assert status != 0, text
    flat = " ".join(text.split())
    assert "conf/test.conf" in flat
    for message in messages:
        assert re.search(message, flat), text


@pytest.mark.only_mpm("event")
@pytest.mark.parametrize(("directive", "message"), WRONG)
def test_wrong_directive(httpd, directive, message):
    """configtest says what would be right."""
    fails(httpd, directive, message)


@needs_own_gil
@pytest.mark.only_mpm("event")
@pytest.mark.parametrize(("directive", "message"), WRONG_WITH_OWN)
def test_contradiction(httpd, directive, message):
    """So does it where two directives contradict each other."""
    fails(httpd, directive, message)


@pytest.mark.skipif(OWN_GIL, reason="this Python can")
@pytest.mark.only_mpm("event")
@pytest.mark.parametrize(
    "directive",
    ["PythonInterpGIL Own", "PythonInterpPool 2", "PythonInterpGIL own spam", "PythonInterpPool 1 a"],
)
def test_older_python(httpd, directive):
    """Before Python 3.13 configtest says what is needed, and what does without."""
    fails(httpd, directive, "Python 3[.]13 or later", "PythonInterpGIL Shared", "line 1 of")


@pytest.mark.only_mpm("event")
def test_shared_is_always_right(httpd):
    """PythonInterpGIL Shared passes everywhere, for the main interpreter too."""
    status, text = httpd.configtest(
        "PythonInterpGIL Shared\nPythonInterpGIL shared spam\nPythonInterpGIL Shared main_interpreter",
        gil="shared",
    )
    assert status == 0, text


def test_shared_by_default(httpd):
    """Without directive interpreters share the main GIL."""
    assert httpd("# shared", gil="shared").run(PROBE) == ["www.example.com", False]
    assert httpd.run("return req.interpreter_index") == 0


@needs_own_gil
def test_own(httpd):
    """At server level it is for all interpreters, but the main one."""
    server = httpd("PythonInterpGIL Own")
    assert server.run(PROBE) == ["www.example.com", True]
    assert server.run(PROBE, config="PythonInterpreter spam") == ["spam", True]
    assert server.run(PROBE, config="PythonInterpreter main_interpreter") == ["main_interpreter", False]


@needs_own_gil
def test_own_by_virtual_host(httpd):
    """A virtual host inherits it, or has its own."""
    server = httpd("PythonInterpGIL Own\n" + VHOSTS)
    assert server.run(PROBE, headers={"Host": "one.example"}) == ["one.example", True]
    assert server.run(PROBE, headers={"Host": "two.example"}) == ["two.example", False]


@needs_own_gil
def test_own_by_name(httpd):
    """For an interpreter that is named, it holds wherever that is used."""
    server = httpd(
        "PythonInterpGIL Own spam\nPythonInterpGIL Shared eggs\nPythonInterpGIL Own bacon", gil="shared"
    )
    assert server.run(PROBE, config="PythonInterpreter spam") == ["spam", True]
    assert server.run(PROBE, config="PythonInterpreter eggs") == ["eggs", False]
    assert server.run(PROBE, config="PythonInterpreter bacon") == ["bacon", True]
    assert server.run(PROBE) == ["www.example.com", False]


@needs_own_gil
def test_same_name_in_two_hosts(httpd):
    """Where two hosts say different things of a name, it stands for two interpreters."""
    server = httpd("PythonInterpGIL Own\nPythonInterpreter same\n" + VHOSTS)
    assert server.run(PROBE, headers={"Host": "one.example"}) == ["same", True]
    assert server.run(PROBE, headers={"Host": "two.example"}) == ["same", False]
    assert server.run(PROBE, headers={"Host": "one.example"}) == ["same", True]


@needs_own_gil
def test_in_get_config(httpd):
    """get_config() tells."""
    server = httpd("PythonInterpPool 2\nPythonInterpGIL Own", gil="shared")
    config = server.run("return dict(req.server.get_config())")
    assert config == {"PythonInterpGIL": "Own", "PythonInterpPool": "2"}


# What it is for


@needs_own_gil
@pytest.mark.only_mpm("event")
def test_gils_are_separate(httpd):
    """While one interpreter holds its GIL the others work, and new ones are made."""
    names = ("one", "two", "main_interpreter")
    files = {f"{name}/.htaccess": f"{PYTHON}PythonInterpreter {name}\n" for name in (*names, "three")}
    files |= {f"{name}/spam.py": HOLD for name in (*names, "three")}
    site = httpd("PythonInterpGIL Own\n# separate").site(files=files)
    for name in names:
        assert site.get(f"{name}/x").text == f"{name} 0"
    with held(site, "one/"):
        for name in (*names[1:], "three"):
            assert site.get(f"{name}/x").text == f"{name} 0"
    assert site.get("one/x").text == "one 0"


@needs_own_gil
@pytest.mark.only_mpm("event")
def test_server_options_are_each_interpreters_own(httpd):
    """Live options of a server are the interpreter's own: no table has two GILs."""
    server = httpd("PythonInterpGIL Own\nPythonOption key value")
    code = "o = req.server.get_options()\no[req.args] = 'x'\nreturn sorted(o.keys())"
    assert server.run(code, "x?one", config="PythonInterpreter one") == ["key", "one"]
    assert server.run(code, "x?two", config="PythonInterpreter two") == ["key", "two"]
    assert server.run(code, "x?more", config="PythonInterpreter one") == ["key", "more", "one"]
    server.changed = True


# What works there


@needs_own_gil
def test_standard_library(httpd):
    """What a web program takes of the standard library loads."""
    assert httpd("PythonInterpGIL Own").run(
        """
        import array, asyncio, bz2, concurrent.futures, contextvars, csv, ctypes, datetime, decimal
        import email, fcntl, grp, hashlib, http.client, json, logging, lzma, mmap, multiprocessing
        import pdb, pickle, pwd, queue, random, resource, select, socket, sqlite3, ssl, struct
        import syslog, termios, unicodedata, urllib.request, uuid, xml.etree.ElementTree, zlib, zoneinfo
        with concurrent.futures.ThreadPoolExecutor(2) as executor:
            numbers = list(executor.map(abs, (-1, -2)))
        async def main():
            await asyncio.sleep(0)
            return 3
        connection = sqlite3.connect(":memory:")
        return numbers + [asyncio.run(main())] + list(connection.execute("select 4").fetchone())
        """
    ) == [1, 2, 3, 4]


@needs_own_gil
def test_processes(httpd):
    """Programs can be started; fork() is refused, since the child would lack the rest."""
    server = httpd("PythonInterpGIL Own")
    code = "import subprocess\nreturn subprocess.run(['echo', 'spam'], capture_output=True).stdout.decode()"
    assert server.run(code) == "spam\n"
    code = "import os\ntry:\n    os.fork()\nexcept RuntimeError as error:\n    return str(error)"
    assert "fork" in server.run(code)


@needs_own_gil
def test_threads_of_a_program(httpd):
    """Threads work, daemon threads too, and do not outlive the child."""
    server = httpd("PythonInterpGIL Own\n# threads")
    assert server.run(
        """
        import threading
        seen = []
        def forever():
            seen.append(1)
            while True:
                seen.append(len(seen))
                del seen[10:]
        threading.Thread(target=forever, daemon=True).start()
        thread = threading.Thread(target=seen.append, args=(2,))
        thread.start()
        thread.join()
        return 2 in seen
        """
    )
    server.graceful()


@needs_own_gil
def test_printed_and_logged(httpd):
    """print(), logging and atexit reach the log."""
    server = httpd("PythonInterpGIL Own\n# printed")
    server.run(
        """
        import atexit, logging
        print("printed")
        logger = logging.getLogger("spam")
        logger.addHandler(apache.LogHandler())
        logger.error("logged")
        atexit.register(lambda: apache.log_error("at exit", apache.APLOG_NOTICE))
        """
    )
    server.expect_log("printed")
    server.expect_log("logged")
    server.graceful()
    server.expect_log("at exit")


@needs_own_gil
@pytest.mark.parametrize("module", ["faulthandler", "_tracemalloc"])
def test_module_that_refuses(httpd, module):
    """An extension module that needs the main GIL is named, with both cures, once."""
    site = httpd("PythonInterpGIL Own").site(PYTHON, {"spam.py": f"import {module}\n"})
    assert site.get("x").status_code == 500
    message = site.expect_log("KK0104").message
    assert f"{module} does not load in an interpreter with a GIL of its own" in message
    assert "'PythonInterpGIL Shared'" in message
    assert "'PythonInterpreter main_interpreter'" in message
    site.write(".htaccess", PYTHON + "PythonInterpreter main_interpreter\n")
    site.write("spam.py", f"import {module}\ndef handler(req):\n    req.write('cured')\n    return 0\n")
    assert site.get("x").text == "cured"


@needs_own_gil
def test_refusal_behind_another_error(httpd):
    """It is found behind the error of a package that turned it into one of its own."""
    spam = """
        try:
            import faulthandler
        except ImportError as error:
            raise RuntimeError("no fault can be handled") from error
        """
    site = httpd("PythonInterpGIL Own").site(PYTHON, {"spam.py": spam})
    assert site.get("x").status_code == 500
    assert "faulthandler does not load in an interpreter with a GIL" in site.expect_log("KK0104").message


# Interpreters that cannot be made

GILS = ["shared", pytest.param("own", marks=needs_own_gil)]
BREAKS = [
    "no_dispatch",
    # With 3.11 and 3.12.1 that ends the process, a program of a few lines too: making an
    # interpreter does not return.
    pytest.param("no_site", marks=pytest.mark.skipif(sys.version_info < (3, 13), reason="needs Python 3.13")),
]


@pytest.mark.only_mpm("event")
@pytest.mark.parametrize("gil", GILS)
@pytest.mark.parametrize("broken", BREAKS)
def test_cannot_be_made(httpd, gil, broken):
    """The request gets 500 and one record; the others go on, and a later one tries again."""
    with customized() as directory:
        server = httpd(f"# {broken}", gil=gil, environ=(("PYTHONPATH", str(directory)),))
        server.changed = True
        assert server.run("return req.interpreter", config="PythonInterpreter before") == "before"
        (directory / broken).touch()
        site = server.site(PYTHON + "PythonInterpreter broken\n", {"spam.py": HOLD})
        for _ in range(3):
            assert site.get("x").status_code == 500
            assert "'broken'" in site.expect_log("KK0105").message
            assert server.run("return req.interpreter", config="PythonInterpreter before") == "before"
        (directory / broken).unlink()
        assert site.get("x").text == "broken 0"


LIMIT = """
    import resource
    from mod_python import apache

    def handler(req):
        limit = resource.RLIM_INFINITY
        if req.args:
            pages = int(open("/proc/self/statm").read().split()[0])
            limit = pages * resource.getpagesize() + (int(req.args) << 10)
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        return apache.OK
    """


@pytest.mark.skipif("KUKULKAN_ASAN" in os.environ, reason="the sanitizers reserve terabytes")
@pytest.mark.only_mpm("event")
@pytest.mark.parametrize("gil", GILS)
def test_no_memory_to_make_it(httpd, gil):
    """Where little is left, the request gets 500 and one record, and the child goes on."""
    server = httpd("# no memory", gil=gil)
    server.changed = True
    main = server.site(PYTHON + "PythonInterpreter main_interpreter\n", {"spam.py": LIMIT})
    for kib in (200, 400, 600, 1000, 4000):
        site = server.site(f"{PYTHON}PythonInterpreter little{kib}\n", {"spam.py": HOLD})
        assert main.get(f"x?{kib}").status_code == 200
        child = server.child_pids()
        assert site.get("x").status_code == 500
        assert f"'little{kib}' could not be made: memory is short" in server.expect_log("KK0105").message
        assert main.get("x").status_code == 200
        assert server.child_pids() == child
        assert site.get("x").text == f"little{kib} 0"


# Many of them


# Under the sanitizers fewer: each has some 9 MB, all of which is looked through at the end.
HOSTS = 40 if SANITIZED else 200


@pytest.mark.only_mpm("event")
@pytest.mark.parametrize("gil", GILS)
def test_two_hundred(httpd, gil):
    """A process has 200 virtual hosts with an interpreter each."""
    hosts = "".join(
        f"<VirtualHost *:${{port}}>\nServerName host{n}.example\n</VirtualHost>\n" for n in range(HOSTS)
    )
    config = f"{hosts}<Location />\n{PYTHON}PythonPath \"sys.path + ['${{root}}/lib']\"\n</Location>\n"
    count = "calls = 0\ndef handler(req):\n    global calls\n    calls += 1\n    req.write(f'{req.interpreter} {calls}')\n    return 0\n"
    server = httpd(config, {"lib/spam.py": count}, gil=gil)
    server.changed = True
    for calls in (1, 2):
        for n in range(HOSTS):
            assert server.get("x", headers={"Host": f"host{n}.example"}).text == f"host{n}.example {calls}"
