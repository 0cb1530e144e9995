"""Manual 5.4.5, PythonInterpPerDirective."""

CODE = "def handler(req):\n    req.write(req.interpreter)\n    return 0\n"
CONFIG = "SetHandler python-program\nPythonHandler telling\nPythonInterpPerDirective On"


def test_named_after_the_directives_directory(httpd):
    """The interpreter has the name of the directory of the handler's directive."""
    site = httpd.site(CONFIG, {"telling.py": CODE, "sub/page.txt": "", "page.txt": ""})
    assert site.get("page.txt").text == f"{site.directory}/"
    assert site.get("sub/page.txt").text == f"{site.directory}/"


def test_two_directives(httpd):
    """A subdirectory with a directive of its own has an interpreter of its own."""
    site = httpd.site(
        CONFIG,
        {
            "telling.py": CODE,
            "sub/.htaccess": "PythonHandler telling",
            "sub/telling.py": CODE,
            "sub/page.txt": "",
        },
    )
    assert site.get("sub/page.txt").text == f"{site.directory}/sub/"
    assert site.get("x").text == f"{site.directory}/"


def test_interpreter_wins(httpd):
    """PythonInterpreter overrides it."""
    site = httpd.site(CONFIG + "\nPythonInterpreter forced", {"telling.py": CODE})
    assert site.get("x").text == "forced"
