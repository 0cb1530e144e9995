"""Manual 5.4.11, PythonPath."""

import pytest

PATH = "import sys\nreturn sys.path"


def test_replaces_the_path(httpd):
    """The list given replaces sys.path; the handler's directory still comes first."""
    server = httpd()
    # Of an interpreter of its own: another's is as long as there were tests before.
    plain = server.run(PATH, config="PythonInterpreter path0")
    path = server.run(
        PATH,
        config=f"PythonPath \"['/given/one', '/given/two'] + {plain!r}\"\nPythonInterpreter path1",
    )
    assert path[1:3] == ["/given/one", "/given/two"]


def test_is_evaluated(httpd):
    """sys.path may be used in it."""
    path = httpd.run(PATH, config="PythonPath \"sys.path + ['/appended']\"\nPythonInterpreter path2")
    assert path[-1] == "/appended"


def test_evaluated_once(httpd):
    """The same text is not evaluated again: the path does not grow."""
    config = "PythonPath \"sys.path + ['/grown']\"\nPythonInterpreter path3"
    paths = [httpd.run(PATH, config=config) for _ in range(3)]
    assert [path.count("/grown") for path in paths] == [1, 1, 1]


def test_no_way_to_restore_it(httpd):
    """A path that code has changed stays changed, as the manual warns."""
    config = "PythonPath \"sys.path + ['/restored']\"\nPythonInterpreter path4"
    httpd.run("import sys\nsys.path.remove('/restored')", config=config)
    assert "/restored" not in httpd.run(PATH, config=config)


def test_directory_is_there_once(httpd):
    """A handler's directory is on sys.path once, however many requests come."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler pathcount\nPythonInterpreter path5",
        {
            "pathcount.py": """
                import os, sys

                def handler(req):
                    here = os.path.dirname(__file__)
                    req.write(str([p.rstrip("/") for p in sys.path].count(here)))
                    return 0
                """
        },
    )
    assert [site.get("x").text for _ in range(3)] == ["1", "1", "1"]


def test_environment(httpd):
    """PYTHONPATH in Apache's environment is honoured."""
    server = httpd(environ=(("PYTHONPATH", "/from/environment"),))
    assert "/from/environment" in server.run(PATH)


def test_no_directory_by_accident(httpd):
    """Neither the working directory nor an empty entry is on the path."""
    assert not {"", ".", "/"} & set(httpd.run(PATH))


@pytest.mark.parametrize("scope", ["", '<Directory "${htdocs}">'])
def test_server_and_directory(httpd, scope):
    """It may stand at server level and in a directory."""
    close = "</Directory>" if scope else ""
    config = f"{scope}\nPythonPath \"sys.path + ['/scoped']\"\n{close}\n"
    assert "/scoped" in httpd(config).run(PATH)
