"""Manual 5.4.4, PythonInterpPerDirectory."""

CODE = "def handler(req):\n    req.write(req.interpreter)\n    return 0\n"
CONFIG = "SetHandler python-program\nPythonHandler telling\nPythonInterpPerDirectory On"


def test_named_after_the_files_directory(httpd):
    """The interpreter has the name of the directory of req.filename, with slash."""
    site = httpd.site(CONFIG, {"telling.py": CODE, "page.txt": "", "sub/page.txt": ""})
    assert site.get("page.txt").text == f"{site.directory}/"
    assert site.get("sub/page.txt").text == f"{site.directory}/sub/"


def test_file_need_not_exist(httpd):
    """The file need not exist."""
    site = httpd.site(CONFIG, {"telling.py": CODE})
    assert site.get("missing").text == f"{site.directory}/"


def test_directory_itself(httpd):
    """A directory counts as itself, with or without slash at the end."""
    site = httpd.site(CONFIG + "\nDirectorySlash Off", {"telling.py": CODE, "sub/page.txt": ""})
    assert site.get("").text == f"{site.directory}/"
    assert site.get("sub").text == f"{site.directory}/sub/"


def test_separate_state(httpd):
    """Two directories do not share modules' state."""
    site = httpd.site(CONFIG, {"telling.py": CODE, "a/x": "", "b/x": ""})
    assert site.get("a/x").text != site.get("b/x").text


def test_interpreter_wins(httpd):
    """PythonInterpreter overrides it."""
    site = httpd.site(CONFIG + "\nPythonInterpreter forced", {"telling.py": CODE})
    assert site.get("x").text == "forced"


def test_off(httpd):
    """Off inside beats On outside."""
    site = httpd("PythonInterpPerDirectory On").site(CONFIG.replace("On", "Off"), {"telling.py": CODE})
    assert site.get("x").text == "www.example.com"
