"""What mod_python.so offers to other modules of Apache: functions in C."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from plugins.installation import MODULE

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).parent / "c_module" / "mod_calls_python.c"
FIND_APXS = ROOT / "scripts" / "find_apxs.py"

CONFIG = """
    LoadModule calls_python_module "${root}/mod_calls_python.so"
    <Location /c>
        SetHandler calls-python
    </Location>
    PythonPath "sys.path+['${root}']"
    <Location /c/both>
        PythonFixupHandler around::fixup
        PythonLogHandler around::log
    </Location>
    """

AROUND = """
    from mod_python import apache

    def fixup(req):
        req.spam = "eggs"
        req.me = id(req)
        return apache.OK

    def log(req):
        req.log_error(f"C left {req.from_c}", apache.APLOG_NOTICE)
        return apache.OK
    """


@pytest.fixture(scope="module")
def shared_object(tmp_path_factory):
    """The test's module, built by apxs against the installed header."""
    apxs = subprocess.run(
        [sys.executable, FIND_APXS], check=True, capture_output=True, text=True
    ).stdout.strip()
    folder = tmp_path_factory.mktemp("c_module")
    shutil.copy(SOURCE, folder)
    include = MODULE.parent / "include"
    assert (include / "mod_python.h").is_file()
    flags = [f"-I{include}", f"-I{sysconfig.get_path('include')}", "-Wc,-Wall", "-Wc,-Werror"]
    done = subprocess.run(
        [apxs, "-c", *flags, SOURCE.name],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / ".libs" / "mod_calls_python.so").read_bytes()


@pytest.fixture
def call(httpd, shared_object):
    """What the module in C answers."""
    server = httpd(CONFIG, {"mod_calls_python.so": shared_object, "around.py": AROUND})

    def call(code=None, path="c", **headers):
        headers = {f"X-{name.title()}": value for name, value in headers.items()}
        return server.get(path, headers={**headers, **({"X-Code": code} if code else {})}).text

    call.server = server
    return call


def test_outside(call):
    """In the parent process there is no interpreter; without one there are no objects,
    and nothing to release."""
    assert call() == "none 0 0 0"


@pytest.mark.parametrize("name", [None, "main_interpreter", "www.example.com", "a new one"])
def test_acquires_by_name(call, name):
    """NULL is the main interpreter; others are made when they are new."""
    code = "__import__('_apache').interpreter"
    assert call(code, **({"name": name} if name else {})) == repr(name or "main_interpreter")


def test_objects(call):
    """The three objects, usable between the calls."""
    code = "[req.uri, server.server_hostname, conn.remote_ip, req.server is server]"
    assert call(code) == repr(["/c", "www.example.com", "127.0.0.1", True])


def test_request_is_the_handlers_own(call):
    """The request object is the one that Python handlers of the request see."""
    code = "[req.spam, req.me == id(req), setattr(req, 'from_c', 5)]"
    assert call(code, "c/both", name="www.example.com") == "['eggs', True, None]"
    call.server.expect_log("C left 5")


def test_finfo_of_a_missing_file(call):
    """Apache leaves what was on its stack in the finfo of a file that is not there: none of that is
    looked at."""
    code = "[req.finfo.fname == req.filename, req.finfo[:10], req.finfo.name, req.finfo.valid]"
    assert call(code, missing="1") == repr([True, (None,) * 10, None, 0])


def test_exception_left_behind(httpd, shared_object):
    """What a module leaves behind is logged, and no other request has it."""
    config = (
        CONFIG
        + """
        <Location /next>
            SetHandler python-program
            PythonInterpreter main_interpreter
            PythonHandler around::next_one
        </Location>
        """
    )
    around = (
        AROUND
        + """
    def next_one(req):
        req.write("untouched")
        return apache.OK
    """
    )
    server = httpd(config, {"mod_calls_python.so": shared_object, "around.py": around}, workers=1)
    for inner in ({}, {"X-Inner": "main_interpreter"}):
        assert server.get("c", headers={"X-Code": "1", "X-Leave": "1", **inner}).text.startswith("1")
        assert server.get("next").text == "untouched"
        server.expect_log("ValueError: left behind")


def test_writing(call):
    """What Python writes there goes out."""
    assert call("req.write('from Python ')") == "from Python None"


def test_adding_handlers(httpd, shared_object):
    """A request may be given handlers although no directive names any."""
    config = CONFIG.partition("    PythonPath")[0]
    server = httpd(config, {"mod_calls_python.so": shared_object})
    code = "req.add_handler('PythonLogHandler', lambda req: req.log_error('by C', 5) or 0)"
    assert server.get("c", headers={"X-Code": code}).text == "None"
    server.expect_log("by C")


def test_nested(call):
    """One interpreter may be acquired within another."""
    code = "[__import__('_apache').interpreter, req.interpreter]"
    assert call(code, name="outer", inner="inner") == "['inner', 'inner']|['outer', 'outer']"
    assert call(code, name="outer", inner="outer") == "['outer', 'outer']|['outer', 'outer']"


@pytest.mark.parametrize("thing", ["req", "conn", "req.headers_in"])
def test_after_the_release(call, thing):
    """What was kept raises once it is over."""
    uses = {"req": ".uri", "conn": ".remote_ip", "req.headers_in": "['Host']"}
    call(f"setattr(__import__('sys'), 'kept', {thing})")
    assert "ReferenceError" in call(f"__import__('sys').kept{uses[thing]}")


def test_server_stays(call):
    """A server object lasts as long as the process."""
    call("setattr(__import__('sys'), 'server', server)")
    assert call("__import__('sys').server.is_virtual") == "False"


def test_exceptions_are_the_callers(call):
    """An exception in the code is the module's to handle; the next call works."""
    assert call("1/0") == "ZeroDivisionError('division by zero')"
    assert call("1+1") == "2"


def test_many_requests_do_not_grow_the_process(call):
    """Nothing is left of a call."""
    code = "__import__('gc').collect() and 0 or len(__import__('gc').get_objects())"
    for _ in range(20):
        call(code)
    before = int(call(code))
    for _ in range(200):
        call(code)
    assert int(call(code)) - before < 50
