"""What `kukulkan doctor` says: of sources, of imports, of configurations."""

import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from kukulkan import cli, directives, doctor, imports, installation, python2, readable
from kukulkan.errors import KukulkanError


@pytest.fixture
def write(tmp_path: Path):
    """Writes a file below the test's directory."""

    def write(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture(autouse=True)
def anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's permissions matter, but where a test is about them."""
    monkeypatch.setattr(readable, "child_account", lambda: None)


def examine(path: Path) -> list[str]:
    """What is found, as "FILE:LINE severity: what"."""
    found = doctor.examine(path, is_trying=False)
    return [f"{os.path.basename(each.file)}:{each.line} {each.severity}: {each.what}" for each in found]


# Python 2


@pytest.mark.parametrize(
    ("code", "line", "what"),
    [
        ("print 'x'", 1, "print statement"),
        ("if 1:\n    print x, y", 2, "print statement"),
        ("if 1: print x", 1, "print statement"),
        ("print >>f, x", 1, "print >>file"),
        ("try:\n    pass\nexcept OSError, e:\n    pass", 3, "except with a comma"),
        ("try:\n    pass\nexcept (OSError, IOError), e:\n    pass", 3, "except with a comma"),
        ("raise ValueError, 'x'", 1, "raise with a comma"),
        ("raise apache.SERVER_RETURN, apache.HTTP_FORBIDDEN", 1, "raise with a comma"),
        ("x = `1`", 1, "backticks"),
        ("if a <> b:\n    pass", 1, "the operator <>"),
        ("exec 'x' in d", 1, "exec statement"),
        ("exec code", 1, "exec statement"),
        ("os.chmod(f, 0755)", 1, "octal number"),
        ("x = 10L", 1, "long number"),
        ("x = 0xFFL", 1, "long number"),
        ("x = ur'x'", 1, "ur'...' string"),
        ("def f(a, (b, c)):\n    pass", 1, "parameter that is a tuple"),
        ("f = lambda (a, b): a", 1, "lambda whose parameter is a tuple"),
        ("if 1:\n        x = 1\n\ty = 2", 3, "tabs and spaces mixed"),
        ("# é".encode("latin-1"), 1, "source that is not UTF-8"),
        ("# -*- coding: nonsense -*-\n", 1, "source that is not UTF-8"),
        ("x = unicode(y)", 1, "the name unicode"),
        ("d.has_key(1)", 1, "dictionaries have no has_key()"),
    ],
)
def test_python_2(write, code, line, what):
    """Each kind is told with its line and what it is."""
    path = write("old.py", code)
    _, found = python2.parse(path)
    assert found[0].line == line and what in found[0].what and found[0].cure


def test_several_of_one_file(write):
    """What comes behind the first is told, too."""
    path = write(
        "old.py",
        "print 'a'\ntry:\n    x = `1`\nexcept OSError, e:\n    raise E, 'x'\nif a <> b:\n    print 'b'\nelse:\n    print 'c'\n",
    )
    _, found = python2.parse(path)
    assert [each.line for each in found] == [1, 3, 4, 5, 6, 7, 9]


@pytest.mark.parametrize(
    "code",
    [
        "# -*- coding: latin-1 -*-\n# é".encode("latin-1"),
        "\ufeffx = 1",
        "def f(unicode): return unicode",
        "from compat import *\nx = unicode",
        "try:\n    unicode\nexcept NameError:\n    unicode = str",
        "x = '<>'\ny = '`'\nz = 'print x'",
        "s = '\\d'",
        "print\nprint('x')",
        "",
    ],
)
def test_python_3(write, code):
    """What runs is left alone."""
    tree, found = python2.parse(write("new.py", code))
    assert tree is not None and found == []


@pytest.mark.parametrize("code", [b"x = 1\0", b"x = (", b"(" * 10000, b"\xff\xfe\0"])
def test_what_is_no_python(write, code):
    """It is one finding, whatever it is."""
    tree, found = python2.parse(write("odd.py", code))
    assert tree is None and len(found) == 1


def test_unreadable_source(tmp_path):
    """So is what cannot be read."""
    assert "cannot be read" in python2.parse(tmp_path / "absent.py")[1][0].what


# Imports


def test_removed_modules(write, monkeypatch):
    """Those that are gone are errors with the version, those that will be are warnings."""
    monkeypatch.setattr(imports, "_is_installed", lambda top: top == "cgi")
    monkeypatch.setattr(imports.sys, "version_info", (3, 12))
    monkeypatch.setattr(imports.sys, "stdlib_module_names", {"cgi"})
    path = write("page.py", "import imp\nfrom distutils import util\nimport cgi\nimport asyncore as a, os\n")
    assert examine(path.parent) == [
        "page.py:1 error: the module imp is gone since Python 3.12",
        "page.py:2 error: the module distutils is gone since Python 3.12",
        "page.py:3 warning: Python 3.13 is without the module cgi",
        "page.py:4 error: the module asyncore is gone since Python 3.12",
    ]


def test_removed_module_of_a_distribution(write, monkeypatch):
    """legacy-cgi, for instance, is as good."""
    monkeypatch.setattr(imports, "_is_installed", lambda top: True)
    monkeypatch.setattr(imports.sys, "stdlib_module_names", set())
    assert examine(write("page.py", "import cgi\n").parent) == []


def test_renamed_modules(write):
    """Python 2's names, and what left urllib."""
    code = "import urlparse\nimport urllib\nx = urllib.quote('a')\nfrom urllib import urlencode\n"
    assert examine(write("page.py", code).parent) == [
        "page.py:1 error: Python 2: there is no module urlparse",
        "page.py:3 error: Python 2: there is no urllib.quote",
        "page.py:4 error: Python 2: there is no urllib.urlencode",
    ]


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    import urlparse\nexcept ImportError:\n    import urllib.parse as urlparse",
        "try:\n    import ConfigParser\nexcept (ModuleNotFoundError, ValueError):\n    pass",
        "from .imp import x",
        "import StringIO",
        "import urllib.parse\nurllib.parse.quote('a')",
    ],
)
def test_imports_that_are_all_right(write, code):
    """A try that expects it, relative imports, and what lies beside the file."""
    write("StringIO.py", "")
    assert examine(write("page.py", code).parent) == []


@pytest.mark.parametrize(("code", "reason"), [("x = 1", None), ("1 / 0", "ZeroDivisionError")])
def test_trial(write, monkeypatch, code, reason):
    """A package is imported in two interpreters of another process."""
    monkeypatch.setenv("PYTHONPATH", str(write("tried.py", code).parent))
    answer = imports.refusal("tried")
    assert answer is None if reason is None else reason in answer


def test_trial_runs_nothing_of_the_current_directory(write, monkeypatch):
    """A module of the program that has a library's name is not imported in its place."""
    file = write("json.py", "raise SystemExit('the program was run')")
    monkeypatch.chdir(file.parent)
    assert imports.refusal("sqlite3") is None


def test_trial_of_what_loads_once(write, monkeypatch):
    """What refuses the second is told, and so is what ends the process."""
    code = "import os, pathlib\nflag = pathlib.Path(__file__ + '.flag')\nif flag.exists():\n    raise ImportError('only once')\nflag.touch()\n"
    monkeypatch.setenv("PYTHONPATH", str(write("once.py", code).parent))
    assert imports.refusal("once") == "in a second interpreter: ImportError: only once"
    write("fatal.py", "import os\nos.abort()\n")
    assert "signal 6" in imports.refusal("fatal")


def test_compiled_packages(write, monkeypatch):
    """They are named where they are imported first; not if all is in the main interpreter."""
    package = write("lib/fast/__init__.py", "").parent
    suffix = imports.importlib.machinery.EXTENSION_SUFFIXES[0]
    write(f"lib/fast/part{suffix}", "")
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setattr(imports, "refusal", lambda name: "because")
    page = write("site/page.py", "import os\nimport fast\n")
    found = doctor.examine(page.parent)
    assert [(each.line, each.severity) for each in found] == [(2, "warning")]
    assert "the package fast does not load in several interpreters of a process (because)" in found[0].what
    config = write(
        "httpd.conf",
        f"PythonInterpreter main_interpreter\n<Directory {page.parent}>\nPythonHandler page\n</Directory>\n",
    )
    assert doctor.examine(config) == []


# Configurations


def test_reading(write):
    """Continued lines, variables, sections, quotation marks and included files."""
    root = write("etc/apache2.conf", "").parent
    write("etc/envvars", "export APACHE_RUN_USER=www-data\nexport LOG=$X/log\n")
    write("etc/conf.d/a.conf", 'PythonOption a "b c"\n')
    write("etc/conf.d/b.conf", "  PythonOption 'd' e\\\"f\n")
    path = write(
        "etc/apache2.conf",
        f"ServerRoot {root}\n# User nobody\nDefine site /srv/a\\\n/b\nUser ${{APACHE_RUN_USER}}\n"
        "<IfModule x>\n<Directory ${site}>\n\tInclude conf.d/*.conf\n</Directory>\n</IfModule>\nPythonDebug On",
    )
    found, findings = directives.read(path, {})
    assert findings == []
    told = {(each.name, each.arguments): each for each in found}
    assert ("user", ("www-data",)) in told
    option = told["pythonoption", ("a", "b c")]
    assert option.directory() == "/srv/a/b" and option.line == 1 and option.file.endswith("a.conf")
    assert [section.name for section in option.sections] == ["ifmodule", "directory"]
    assert told["pythondebug", ("On",)].line == 11


@pytest.mark.parametrize(
    ("text", "what"),
    [("Include absent.conf", "there is no "), ("Include httpd.conf", "Include goes too deep")],
)
def test_includes_that_fail(write, text, what):
    """They are told, and the rest is read."""
    found, findings = directives.read(write("httpd.conf", text + "\nUser x\n"), {})
    assert any(what in each.what for each in findings) and found[-1].name == "user"


def test_load_module(write, monkeypatch, tmp_path):
    """The old module, ours twice, mod_wsgi beside it, and one of another environment."""
    own = write("own/mod_python/mod_python.so", "")
    other = write("other/mod_python/mod_python.so", "")
    write("other/mod_python/_importer.py", "")
    monkeypatch.setattr(installation, "module_file", lambda: own)
    load = "LoadModule python_module"
    text = f"{load} {own}\n{load} /usr/absent/mod_python.so\n{load} modules/mod_python.so\n{load} {other}\n"
    path = write("httpd.conf", text + "LoadModule wsgi_module modules/mod_wsgi.so\n")
    told = "\n".join(examine(path))
    assert not told.startswith("httpd.conf:1 ")
    assert "httpd.conf:2 error: there is no /usr/absent/mod_python.so" in told
    assert "httpd.conf:2 error: python_module is loaded twice" in told
    assert "httpd.conf:3 error: modules/mod_python.so is not Kukulkan's module" in told
    assert "httpd.conf:4 warning:" in told and "is of another environment" in told
    assert "httpd.conf:5 error: mod_wsgi beside Kukulkan" in told
    assert examine(write("other.conf", "LoadModule wsgi_module modules/mod_wsgi.so\n")) == []


def test_another_python(write):
    """In PythonPath and PythonHome."""
    home = write("home/lib/python2.7/os.py", "").parents[2]
    text = f"PythonPath \"sys.path + ['/usr/lib/python2.7/site-packages', '/no/such']\"\nPythonHome {home}\nPythonPath [\n"
    told = examine(write("httpd.conf", text))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert told[0] == (
        f"httpd.conf:1 error: PythonPath has /usr/lib/python2.7/site-packages, which is Python 2.7's; "
        f"the module runs Python {version}"
    )
    assert "httpd.conf:1 warning: PythonPath has /no/such, which is not there" in told
    assert (
        f"httpd.conf:2 error: PythonHome {home} has python2.7; the module was built for Python {version}"
        in told
    )
    assert told[-1].startswith("httpd.conf:3 error: PythonPath [ is no Python expression")


def test_handlers(write, tmp_path):
    """Their modules are looked for in the directory, PythonPath and this environment, and
    what is found there is looked at."""
    write("site/page.py", "print 'x'\n")
    write("site/sub/other.py", "print 'x'\n")
    write("lib/pack/__init__.py", "")
    write("lib/pack/part.py", "import urlparse\n")
    path = write(
        "httpd.conf",
        f'PythonPath "sys.path+[\'{tmp_path}/lib\']"\n<Directory "{tmp_path}/site/">\n'
        "PythonHandler page mod_python.publisher pack.part::x absent | .py\n</Directory>\n"
        "<Location /x>\nPythonAuthenHandler page\n</Location>\n",
    )
    told = examine(path)
    assert "page.py:1 error: Python 2: print statement: print 'x'" in told
    assert "other.py:1 error: Python 2: print statement: print 'x'" in told
    assert "part.py:1 error: Python 2: there is no module urlparse" in told
    missing = [each for each in told if "there is no module" in each and each.startswith("httpd.conf")]
    assert len(missing) == 2 and "module absent in" in missing[0] and "httpd.conf:6" in missing[1]


def test_htaccess(write):
    """Its directory is that of the file."""
    write("site/page.py", "")
    write("site/sub/.htaccess", "SetHandler python-program\nPythonHandler page\n")
    path = write("site/.htaccess", "PythonHandler page\n")
    assert [each.partition(" in ")[0] for each in examine(path.parent)] == [
        ".htaccess:2 error: there is no module page"
    ]


def test_what_is_not_the_program_s(write):
    """Environments and installed packages in a directory are left alone."""
    write("venv/pyvenv.cfg", "")
    write("venv/lib/old.py", "print 'x'\n")
    write("site-packages/old.py", "print 'x'\n")
    assert examine(write(".git/old.py", "print 'x'\n").parents[1]) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has others' files")
def test_unreadable_paths(write, tmp_path):
    """A file that Apache's children cannot read is told with the chmod that cures it, once."""
    account = readable.Account("nobody", "nogroup", 65534, frozenset((65534,)))
    write("site/page.py", "")
    site = write("site/other.py", "").parent
    site.chmod(0o700)
    (found,) = doctor.examine(site, account, is_trying=False)
    assert "Apache's children run as nobody and could not read" in found.what
    assert found.cure.startswith("Allow it with `chmod o+") and found.file in str(site)


def test_nothing_there(tmp_path):
    """A mistyped name is no clean bill."""
    with pytest.raises(KukulkanError, match="no file or directory"):
        doctor.examine(tmp_path / "absent")


# The command


def test_exit_status(write):
    """0: no errors; 1: errors; each with file, line and cure."""
    path = write("page.py", "x = unicode\n")
    clean = CliRunner().invoke(cli.cli, ["doctor", "--no-try", str(path.parent)], standalone_mode=False)
    assert clean.return_value == 0 and "0 errors, 1 warnings" in clean.output
    write("page.py", "print 'x'\n")
    result = CliRunner().invoke(cli.cli, ["doctor", str(path.parent)], standalone_mode=False)
    assert result.return_value == 1
    assert (
        f"{path}:1: error: Python 2: print statement: print 'x'\n    Write print(...).\n1 errors"
        in result.output
    )
    path.unlink()
    assert "Nothing found." in CliRunner().invoke(cli.cli, ["doctor", str(path.parent)]).output


def test_absent_path(capsys, tmp_path):
    """main() says so, with status 1."""
    assert cli.main(["doctor", str(tmp_path / "absent")]) == 1
    assert "no file or directory" in capsys.readouterr().err


def test_examples():
    """Nothing is wrong with the project's own."""
    assert doctor.examine(Path(__file__).parents[2] / "examples", is_trying=False) == []
