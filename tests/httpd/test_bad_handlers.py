"""Bad input: whatever a handler does, the client gets an error, the log one record
that says which handler and why, and the next request is served."""

import pytest

PYTHON = "SetHandler python-program\nPythonHandler bad\n"

# What the module has, and what the log says about it.
BAD = {
    "raises": (
        "def handler(req):\n    raise ValueError('spam')",
        "KK0101: PythonHandler bad.*ValueError: spam",
    ),
    "returns None": ("def handler(req):\n    pass", "KK0102: PythonHandler bad.*None"),
    "returns a str": ("def handler(req):\n    return 'OK'", "KK0102: PythonHandler bad.*'OK'"),
    "returns 9999": ("def handler(req):\n    return 9999", "KK0102: PythonHandler bad.*9999"),
    "returns -7": ("def handler(req):\n    return -7", "KK0102: PythonHandler bad.*-7"),
    "returns 10**30": ("def handler(req):\n    return 10**30", "KK0102: PythonHandler bad"),
    "returns the unprintable": (
        "class E:\n    def __repr__(self): 1 / 0\ndef handler(req):\n    return E()",
        "KK0102: PythonHandler bad.*returned a E, not",
    ),
    "returns what has no class": (
        "class E:\n    __class__ = property(lambda self: 1 / 0)\ndef handler(req):\n    return E()",
        "KK010[12]: PythonHandler bad",
    ),
    "returns 0.0": ("def handler(req):\n    return 0.0", "KK0102: PythonHandler bad.*0.0"),
    "recurses": ("def handler(req):\n    return handler(req)", "KK0101: PythonHandler bad.*RecursionError"),
    "is missing": ("x = 1", "KK0103: PythonHandler bad.*contains no 'handler'"),
    "is None": ("handler = None", "KK010[1-4]: PythonHandler bad"),
    "is not callable": ("handler = 3", "KK010[1-4]: PythonHandler bad"),
    "takes no argument": ("def handler():\n    return 0", "KK0101: PythonHandler bad.*TypeError"),
    "has a syntax error": ("def handler(req:\n", "KK0104: PythonHandler bad.*SyntaxError"),
    "fails on import": ("1 / 0", "KK0104: PythonHandler bad.*ZeroDivisionError"),
    "exits": ("import sys\ndef handler(req):\n    sys.exit()", "KK0101: PythonHandler bad.*SystemExit"),
    "exits with 3": ("def handler(req):\n    raise SystemExit(3)", "KK0101: PythonHandler bad.*SystemExit"),
    "exits on import": ("import sys\nsys.exit()", "KK0104: PythonHandler bad.*SystemExit"),
    "interrupts": (
        "def handler(req):\n    raise KeyboardInterrupt",
        "KK0101: PythonHandler bad.*KeyboardInterrupt",
    ),
    "raises its own": (
        "class Own(BaseException): pass\ndef handler(req):\n    raise Own('x')",
        "KK0101: PythonHandler bad.*Own: x",
    ),
    "raises the unprintable": (
        "class E(Exception):\n    def __str__(self): 1 / 0\ndef handler(req):\n    raise E",
        "KK0101: PythonHandler bad.*E",
    ),
    "raises what answers nothing": (
        "class E(Exception):\n    def __getattribute__(self, name): 1 / 0\ndef handler(req):\n    raise E",
        r"KK0101: PythonHandler bad.*E'.*bad\.py",
    ),
    "returns an int with methods": (
        "class E(int):\n    def __int__(self): return 10**40\n    __index__ = __int__\n"
        "def handler(req):\n    return E(10**40)",
        "KK0102: PythonHandler bad",
    ),
    "raises a NUL": (
        "def handler(req):\n    raise ValueError('a\\0b')",
        r"ValueError: a\\\\x00b .*Traceback",
    ),
    "raises a group": (
        "def handler(req):\n    raise ExceptionGroup('several', [ValueError(1), KeyError(2)])",
        "KK0101: PythonHandler bad.*several",
    ),
    "raises SERVER_RETURN of nothing": (
        "from mod_python import apache\ndef handler(req):\n    raise apache.SERVER_RETURN",
        "KK010[12]: PythonHandler bad",
    ),
    "raises SERVER_RETURN of a str": (
        "from mod_python import apache\ndef handler(req):\n    raise apache.SERVER_RETURN('x')",
        "KK0102: PythonHandler bad.*'x'",
    ),
    "is not UTF-8": ("x = '\udcff'", "KK0104: PythonHandler bad.*(SyntaxError|UnicodeDecodeError)"),
    "has a NUL": ("x = '\0'", "KK0104: PythonHandler bad.*(SyntaxError|ValueError)"),
    "raises a huge message": (
        "def handler(req):\n    raise ValueError('x' * 1000000)",
        "KK0101: PythonHandler bad.*ValueError: xxx",
    ),
    "raises control characters": (
        r"def handler(req):" + "\n" + r"    raise ValueError('a\r\n[x] fake\0\x1b[1m')",
        "KK0101: PythonHandler bad.*ValueError: a",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_handler(httpd, name):
    """500, one record, and the next request served."""
    code, record = BAD[name]
    site = httpd.site(
        PYTHON,
        {
            "bad.py": code.encode("utf-8", "surrogateescape"),
            "good/.htaccess": "PythonHandler good",
            "good/good.py": "def handler(req):\n    req.write('good')\n    return 0\n",
        },
    )
    assert site.get("x").status_code == 500
    assert site.expect_log(record).level == "error"
    assert site.get("good/x").text == "good"


@pytest.mark.parametrize("name", ["returns None", "raises", "exits", "is missing"])
@pytest.mark.parametrize("phase", ["HeaderParser", "Access", "Type", "Fixup"])
def test_bad_handler_in_another_phase(httpd, phase, name):
    """So it is in the other phases."""
    code = BAD[name][0].replace("handler(", f"{phase.lower()}handler(")
    site = httpd.site(f"Python{phase}Handler bad", {"bad.py": code, "page.txt": "a page\n"})
    assert site.get("page.txt").status_code == 500
    site.expect_log(f"KK010[123]: Python{phase}Handler bad")


@pytest.mark.parametrize("phase", ["PostReadRequest", "Trans"])
def test_bad_handler_in_an_early_phase(httpd, phase):
    """Also before the URI was translated."""
    config = f"PythonPath \"sys.path + ['${{root}}/lib']\"\nPython{phase}Handler bad::function"
    server = httpd(config, {"lib/bad.py": "def function(req):\n    return req.args and int(req.args)\n"})
    assert server.get("x?9999").status_code == 500
    server.expect_log(f"KK0102: Python{phase}Handler bad::function.*9999")
    assert server.get("x?404").status_code == 404


def test_missing_module(httpd):
    """A module that is not there."""
    site = httpd.site("SetHandler python-program\nPythonHandler no.such.module")
    assert site.get("x").status_code == 500
    record = site.expect_log("KK0104: PythonHandler no.such.module")
    assert "ModuleNotFoundError: no module named 'no.such.module'" in record.message


def test_missing_attribute_on_the_way(httpd):
    """An attribute of the object's path that is not there."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler bad::a.b.c",
        {"bad.py": "class a:\n    def __init__(self, req): pass\n"},
    )
    assert site.get("x").status_code == 500
    assert f"module '{site.directory}/bad.py' contains no 'a.b" in site.expect_log("KK0103").message


def test_record_names_the_place(httpd):
    """The record names the file and line where it happened."""
    site = httpd.site(PYTHON, {"bad.py": "def handler(req):\n    helper()\n\ndef helper():\n    1 / 0\n"})
    assert site.get("x").status_code == 500
    message = site.expect_log("KK0101: PythonHandler bad").message
    assert f"ZeroDivisionError: division by zero ({site.directory}/bad.py:5)" in message


def test_no_error_document_loop(httpd):
    """An ErrorDocument that fails itself is an error, not a loop."""
    config = """
        PythonPath "sys.path + ['${root}/lib']"
        <Location />
            SetHandler python-program
            PythonHandler bad
        </Location>
        ErrorDocument 500 /again
        """
    server = httpd(config, {"lib/bad.py": "def handler(req):\n    1 / 0\n"})
    assert server.get("x").status_code == 500
    server.expect_log("KK0101: PythonHandler bad", times=2)


def test_error_document_by_python(httpd):
    """A Python handler can serve the ErrorDocument and knows what happened."""
    config = """
        PythonPath "sys.path + ['${root}/lib']"
        SetHandler python-program
        PythonHandler errordoc
        ErrorDocument 404 /explain
        """
    code = """
        def handler(req):
            if req.prev is None:
                return 404
            req.write("%s %d" % (req.prev.uri, req.prev.status))
            return 0
        """
    answer = httpd(config, {"lib/errordoc.py": code}).get("missing")
    assert (answer.status_code, answer.text) == (404, "/missing 404")


def test_deep_recursion_in_a_thread(httpd):
    """Recursion does not overrun a worker thread's stack, even through C."""
    site = httpd.site(
        PYTHON,
        {
            "bad.py": """
                def handler(req):
                    nested = []
                    for _ in range(100000):
                        nested = [nested]
                    repr(nested)
                """
        },
    )
    assert site.get("x").status_code == 500
    site.expect_log("KK0101: PythonHandler bad.*RecursionError")


def test_handler_that_closes_stderr(httpd):
    """A handler that takes sys.stderr and sys.stdout away does no harm."""
    site = httpd.site(
        PYTHON + "PythonInterpreter without_streams",
        {"bad.py": "import sys\ndef handler(req):\n    sys.stderr = sys.stdout = None\n    1 / 0\n"},
    )
    assert site.get("x").status_code == 500
    site.expect_log("KK0101: PythonHandler bad.*ZeroDivisionError")


def test_print_reaches_the_log(httpd):
    """What is printed reaches the error log."""
    server = httpd()
    server.run("import sys\nprint('to stdout')\nprint('to stderr', file=sys.stderr)")
    assert "[client 127.0.0.1:" in server.expect_log("to stdout").message
    server.expect_log("to stderr")


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_redirection_to_nowhere(httpd, status):
    """A redirection without Location is answered, in HTTP/0.9 too, where no header goes out."""
    site = httpd.site(PYTHON, {"bad.py": f"def handler(req):\n    return {status}\n"})
    assert site.get("x").status_code == status
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}x\r\n".encode())
        assert b"<title>" in connection.read_all()
