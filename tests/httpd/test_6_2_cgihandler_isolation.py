"""Manual 6.2, the CGI handler: scripts that run at once, and their modules."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

PYTHON = "SetHandler python-program\nPythonHandler mod_python.cgihandler\n"

TOKENS = """
import os, subprocess, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
import tokens_own as own
token = os.environ["QUERY_STRING"]
own.token = token
sys.argv.append(token)
sys.path.append(token)
os.environ["KK_TOKEN"] = token
os.makedirs(token, exist_ok=True)
os.chdir(token)
sys.stdout.write("Content-Type: text/plain\\n\\n")
seen = set()
def look():
    import tokens_own as again
    seen.add((
        os.getenv("KK_TOKEN"), os.environb[b"QUERY_STRING"].decode(), sys.argv[-1], sys.path[-1],
        os.path.basename(os.getcwd()), again.token, sys.modules["tokens_own"].token,
    ))
for _ in range(5):
    look()
    time.sleep(0.005)
    with ThreadPoolExecutor(1) as executor:
        executor.submit(look).result()
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
child = subprocess.run(
    "echo $KK_TOKEN; basename $PWD", shell=True, stdout=subprocess.PIPE, text=True, check=True
)
print(seen == {(token,) * 7}, child.stdout.split() == [token] * 2, sys.stdin.read())
sys.stdout.flush()
os.system("echo $KK_TOKEN")
print(own.loads, token)
"""

OWN = "loads = 0\nloads += 1\ntoken = None\n"


def many(call, count, threads=16):
    """The results of `call(n)` for n below count, from 16 client threads."""
    with ThreadPoolExecutor(threads) as executor:
        return list(executor.map(call, range(count)))


@pytest.mark.only_mpm("event")
def test_scripts_at_once(httpd):
    """16 scripts at once have each their own environment, streams, arguments, path, current
    directory, modules, threads and children."""
    site = httpd.site(PYTHON, {"tokens.py": TOKENS, "tokens_own.py": OWN})
    site.directory.chmod(0o777)

    def call(n):
        return site.post(f"tokens.py?t{n}", content=f"body{n}").text

    assert many(call, 48) == [f"True True body{n}\nt{n}\n1 t{n}\n" for n in range(48)]


@pytest.mark.only_mpm("event")
def test_scripts_do_not_wait(httpd):
    """16 scripts, each in its directory, wait for each other: nothing is locked while one runs."""
    site = httpd.site(
        PYTHON,
        {
            f"d{n}/script.py": "import os, time\nfrom pathlib import Path\n"
            "Path('../met', os.environ['QUERY_STRING']).touch()\n"
            "end = time.monotonic() + 20\n"
            "while len(os.listdir('../met')) < 16 and time.monotonic() < end:\n    time.sleep(0.001)\n"
            "print('X: 1\\n')\nprint(len(os.listdir('../met')), os.path.basename(os.getcwd()))\n"
            for n in range(16)
        },
    )
    (site.directory / "met").mkdir()
    (site.directory / "met").chmod(0o777)
    assert many(lambda n: site.get(f"d{n}/script.py?{n}").text, 16) == [f"16 d{n}\n" for n in range(16)]


@pytest.mark.only_mpm("event")
def test_taking_turns(httpd):
    """Where the system does not give threads directories of their own, scripts take turns;
    one inside another does not wait for itself."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler turns\n",
        {
            "turns.py": """
                import os, time
                import _apache

                inside = 0
                most = 0

                def handler(req):
                    global inside, most
                    place = _apache._enter_directory(os.path.dirname(__file__), False)
                    again = _apache._enter_directory("/", False)
                    inside += 1
                    most = max(most, inside)
                    time.sleep(0.005)
                    root = os.getcwd()
                    inside -= 1
                    _apache._leave_directory(again)
                    here = os.getcwd()
                    _apache._leave_directory(place)
                    req.write(f"{most} {root} {os.path.basename(here)}")
                    return 0
                """
        },
    )
    assert set(many(lambda n: site.get("x").text, 32)) == {f"1 / {site.directory.name}"}


@pytest.mark.only_mpm("event")
def test_place_that_is_lost(httpd):
    """Who does not come to leave, for RequestTimeout comes right behind, leaves all the same."""
    assert httpd.run(
        """
        import os, threading, _apache

        def in_thread(function):
            thread = threading.Thread(target=function)
            thread.start()
            thread.join(10)

        found = []
        def look():
            before = os.getcwd()
            _apache._enter_directory("/", False)
            found.append(os.getcwd() == before)
        in_thread(look)
        in_thread(look)
        return found
        """
    ) == [True, True]


def test_directory_that_is_missing(httpd):
    """What cannot be entered is an OSError with its name, and nothing stays locked."""
    assert (
        httpd.run(
            """
        import os, _apache
        found = []
        for may_separate in (True, False, True, False):
            before = os.getcwd(), os.umask(0o22), os.umask(0o22)
            try:
                _apache._enter_directory("/no/such", may_separate)
            except FileNotFoundError as error:
                found.append((error.filename, before == (os.getcwd(), os.umask(0o22), os.umask(0o22))))
        return found
        """
        )
        == [["/no/such", True]] * 4
    )


def test_directory_and_umask_are_restored(httpd):
    """A script's chdir() and umask() end with it."""
    site = httpd.site(
        PYTHON + "<Files handler.py>\nPythonHandler handler\n</Files>\n",
        {
            "change.py": "import os\nos.chdir('/')\nos.umask(0)\nprint('X: 1\\n')\n",
            "handler.py": "import os\ndef handler(req):\n    mask = os.umask(0o22)\n    os.umask(mask)\n    req.write(f'{os.getcwd()} {mask:o}')\n    return 0\n",
        },
    )
    before = site.get("handler.py").text
    for _ in range(8):
        assert site.get("change.py").status_code == 200
        assert site.get("handler.py").text == before


def test_printing_handlers(httpd):
    """What handlers and filters print while a script writes goes to the log, not to its output."""
    server = httpd(
        "PythonPath \"sys.path + ['${root}/lib']\"\nPythonOutputFilter loud LOUD",
        {
            "lib/loud.py": "import os, sys\ndef outputfilter(filter):\n    print('loud and clear', 'QUERY_STRING' in os.environ)\n"
            "    while data := filter.read(65536):\n        filter.write(data)\n    if data is None:\n        filter.close()\n"
        },
    )
    site = server.site(
        PYTHON + "SetOutputFilter LOUD\n", {"script.py": "print('X: 1\\n')\nprint('body', flush=True)\n"}
    )
    assert site.get("script.py").text == "body\n"
    server.expect_log("loud and clear False", times=2)


# Modules (manual, 6.2: "properly reload even indirectly imported modules")


def test_modules_anew(httpd):
    """A script's own modules, imported by others of them too, are executed for each run."""
    site = httpd.site(
        PYTHON,
        {
            "script.py": "import one, pack.part\nfrom pack import other\nfrom pack.part import *\n"
            "print('X: 1\\n')\nprint(one.two.count(), pack.part.deep.name, other.name, spam)\n",
            "one.py": "import two\n",
            "two.py": "calls = 0\ndef count():\n    global calls\n    calls += 1\n    return calls\n",
            "pack/__init__.py": "name = 'pack'\n",
            "pack/part.py": "from . import deep\n__all__ = ['spam']\nspam = 'eggs'\n",
            "pack/deep.py": "import two\ntwo.calls += 10\nname = __name__\n",
            "pack/other.py": "from pack import name\n",
        },
    )
    for _ in range(3):
        assert site.get("script.py").text == "11 pack.deep pack eggs\n"


def test_changed_module(httpd):
    """A changed module that is imported indirectly is noticed, on the next request."""
    site = httpd.site(
        PYTHON,
        {
            "script.py": "import one\nprint('X: 1\\n')\nprint(one.two.version)\n",
            "one.py": "import two\n",
            "two.py": "version = 1\n",
        },
    )
    assert site.get("script.py").text == "1\n"
    site.write("two.py", "version = 2\n")
    assert site.get("script.py").text == "2\n"
    site.write("two.py", "version = ")
    assert site.get("script.py").status_code == 500
    site.expect_log("KK0101.*SyntaxError")
    site.write("two.py", "version = 4\n")
    assert site.get("script.py").text == "4\n"


def test_same_name_in_two_directories(httpd):
    """Modules of one name in two directories are two, also when the name is a handler's."""
    site = httpd.site(
        PYTHON + "<Files own.py>\nPythonHandler own\n</Files>\n",
        {"own.py": "name = 'handler'\ndef handler(req):\n    req.write(name)\n    return 0\n"}
        | {f"{d}/script.py": "import own\nprint('X: 1\\n')\nprint(own.name)\n" for d in "ab"}
        | {f"{d}/own.py": f"name = {d!r}\n" for d in "ab"},
    )
    for _ in range(2):
        assert site.get("own.py").text == "handler"
        assert site.get("a/script.py").text == "a\n"
        assert site.get("b/script.py").text == "b\n"


def test_own_module_instead_of_a_standard_one(httpd):
    """A script's directory comes first; the others keep the standard module."""
    site = httpd.site(
        PYTHON,
        {
            "a/script.py": "import colorsys\nprint('X: 1\\n')\nprint(colorsys.name)\n",
            "a/colorsys.py": "name = 'own'\n",
            "b/script.py": "import colorsys\nprint('X: 1\\n')\nprint(hasattr(colorsys, 'rgb_to_hsv'))\n",
        },
    )
    for _ in range(2):
        assert site.get("a/script.py").text == "own\n"
        assert site.get("b/script.py").text == "True\n"
    site.write("b/colorsys.py", "rgb_to_hsv = 0\nname = 'new'\n")
    site.write("b/script.py", "import colorsys\nprint('X: 1\\n')\nprint(getattr(colorsys, 'name', 0))\n")
    deadline = time.monotonic() + 10
    while site.get("b/script.py").text != "new\n":  # it is noticed within a second
        assert time.monotonic() < deadline


def test_installed_modules_stay(httpd):
    """The standard library is loaded once."""
    site = httpd.site(
        PYTHON,
        {
            "script.py": "import fractions, sys\nprint('X: 1\\n')\nprint(hasattr(fractions, 'kk'), 'fractions' in sys.modules)\nfractions.kk = 1\n"
        },
    )
    assert site.get("script.py").text == "False True\n"
    assert site.get("script.py").text == "True True\n"


def test_path_of_its_own(httpd):
    """What a script adds to sys.path it finds modules in, and the next run begins anew."""
    site = httpd.site(
        PYTHON,
        {
            "script.py": "import sys\nbefore = len(sys.path)\nsys.path.insert(0, 'lib')\nimport own\n"
            "print('X: 1\\n')\nprint(own.name, before)\n",
            "lib/own.py": "name = 'lib'\n",
        },
    )
    assert site.get("script.py").text == site.get("script.py").text


def test_missing_module(httpd):
    """What is not there is ModuleNotFoundError, with the script's line and none of the handler's."""
    site = httpd.site(PYTHON, {"script.py": "import one\n", "one.py": "import two.three\n"})
    assert site.get("script.py").status_code == 500
    message = site.expect_log("KK0101.*ModuleNotFoundError: No module named 'two'").message
    assert "import two.three" in message
    site.write("one.py", "try:\n    from one import nothing\nexcept ImportError:\n    import one.two\n")
    assert site.get("script.py").status_code == 500
    site.expect_log("ModuleNotFoundError: No module named 'one.two'; 'one' is not a package")


def test_by_name(httpd):
    """pickle, importlib and dataclasses, which go by names, find the script's own modules."""
    site = httpd.site(
        PYTHON,
        {
            "script.py": """
                import importlib, pickle, sys, typing
                import kkown

                class Main:
                    pass

                plugin = importlib.import_module("plugins.first")
                copies = pickle.loads(pickle.dumps([kkown.Own(1), Main(), plugin.Plugin()]))
                print("Content-Type: text/plain\\n")
                print([type(c) for c in copies] == [kkown.Own, Main, plugin.Plugin], copies[0].number)
                print(typing.get_type_hints(kkown.Own), sys.modules["kkown"].Own is kkown.Own, kkown.here is kkown.Own)
                """,
            "kkown.py": "import sys\nfrom dataclasses import dataclass\n@dataclass\nclass Own:\n    number: 'int'\n"
            "here = sys.modules[__name__].Own\n",
            "plugins/__init__.py": "",
            "plugins/first.py": "class Plugin:\n    pass\n",
        },
    )
    for _ in range(3):
        assert site.get("script.py").text == "True 1\n{'number': <class 'int'>} True True\n"


def test_names_do_not_stay(httpd):
    """When the scripts have ended, sys.modules has nothing of theirs."""
    site = httpd.site(
        PYTHON + "<Files handler.py>\nPythonHandler handler\n</Files>\n",
        {
            "script.py": "import kk_own, kk_pack.part\nprint('X: 1\\n')\n",
            "failing.py": "import kk_failing\n",
            "kk_failing.py": "import kk_own\n1 / 0\n",
            "kk_own.py": "",
            "kk_pack/__init__.py": "",
            "kk_pack/part.py": "",
            "handler.py": "import sys\ndef handler(req):\n    req.write(str([n for n in sys.modules if n.startswith('kk_')]))\n    return 0\n",
        },
    )
    assert site.get("script.py").status_code == 200
    assert site.get("failing.py").status_code == 500
    site.expect_log("ZeroDivisionError")
    assert site.get("handler.py").text == "[]"


@pytest.mark.only_mpm("event")
def test_no_leak(httpd):
    """Nothing of a run stays: objects and files are counted before and after 200 runs, until
    each of Apache's threads has what it gets at its first script."""
    site = httpd("# leaks").site(
        PYTHON + "<Files count.py>\nPythonHandler count\n</Files>\n",
        {
            "script.py": "import cgi, sys, own, threading\nsys.path.insert(0, 'x')\nform = cgi.FieldStorage()\n"
            "class A:\n    def f(self):\n        return A\n"
            "file = open(__file__)\nprint('X: 1\\n')\nthreading.Thread(target=print, args=('thread',)).start()\n",
            "own.py": "class B:\n    def f(self):\n        return B\n",
            "count.py": "import gc, os, sys\ndef handler(req):\n    gc.collect()\n"
            "    req.write(f\"{len(gc.get_objects())} {len(os.listdir('/proc/self/fd'))} {len(sys.path)}\")\n    return 0\n",
        },
    )

    def counts():
        return [int(n) for n in site.get("count.py").text.split()]

    def run(times):
        for _ in range(times):
            assert site.get("script.py").text == "thread\n"

    def grown():
        before = counts()
        run(200)
        return tuple(after - each for each, after in zip(before, counts(), strict=True))

    run(40)
    objects, files, path = min(grown() for _ in range(3))
    assert objects < 100
    assert files < 5
    assert path == 0


def test_threads_see_their_script(httpd):
    """What a script's threads print is the script's, which waits for them."""
    site = httpd.site(
        PYTHON,
        {
            "script.py": "import threading\nprint('X: 1\\n')\nclass Own(threading.Thread):\n    def run(self):\n        print('own')\n"
            "t = Own()\nt.start()\nt.join()\nthreading.Timer(0.01, print, ('timer',)).start()\n"
        },
    )
    assert site.get("script.py").text == "own\ntimer\n"
