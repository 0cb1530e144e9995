"""What `kukulkan doctor` says: of sources, of imports, of configurations."""

import importlib
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from kukulkan import cli, doctor, imports, old_names, python2, readable
from kukulkan.errors import KukulkanError


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
        ("raise 'x', 1", 1, "raise with a comma"),
        ("raise 'x'", 1, "an exception that is a string"),
        ("if 1:\n\tif 2:\n\t\tx = 1\n        y = 2\nprint x", 4, "tabs and spaces mixed"),
        ("def f():\n    from os import *", 2, "import * only allowed at module level"),
        ("import string\nstring.join(x)", 2, "no string.join"),
        ("from types import StringType", 1, "no types.StringType"),
        ("x = unicode(y)", 1, "the name unicode"),
        ("d.has_key(1)", 1, "dictionaries have no has_key()"),
    ],
)
def test_python_2(write, code, line, what):
    """Each kind is told with its line and what it is."""
    path = write("old.py", code)
    _, found = python2.parse(path)
    assert found[0].line == line and what in found[0].what and found[0].cure


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("def handler(req):\n    while 1:\n        chunk = req.read(9)\n        if chunk == '': break\n", 4),
        ("def handler(req):\n    lines = req.read().split('\\n')\n", 2),
        (
            "def f(filter):\n    s = filter.read()\n    while s:\n        filter.write(s.upper().replace('a', 'b'))\n",
            4,
        ),
        ("def f(conn):\n    line = conn.readline()\n    if 'x' in line: return 'a' + line\n", 3),
        ("def f(req):\n    data = req.read()\n    return '%s %s' % (1, data)\n", 3),
        ("def f(req):\n    return req.read().encode('utf-8')\n", 2),
        ("def f(req):\n    while (data := req.read(9)) and data:\n        if data != 'x': pass\n", 3),
        ("def f(req):\n    f = req.form['x']\n    chunk = f.file.read(9)\n    return chunk == ''\n", 4),
        ("def f(req):\n    data = req.read()\n    return data.split(b'x'), data == b'', data or ''\n", 0),
        ("def f(req):\n    data = req.read()\n    data = data.decode()\n    return data.split('x')\n", 0),
        ("def f(req):\n    data = ''\n    data += req.read()\n    return data == ''\n", 0),
        ("def f(file):\n    return file.read().split('x')\n", 0),
    ],
)
def test_bodies_taken_for_text(write, code, line):
    """What was read meets a string constant: told with the line; what is decoded is not."""
    tree, found = python2.parse(write("page.py", code))
    assert tree is not None
    assert [each.line for each in found][:1] == [line][: bool(line)]
    assert all("bytes" in each.what for each in found)


def test_several_of_one_file(write):
    """What comes behind the first is told, too."""
    path = write(
        "old.py",
        "print 'a'\ntry:\n    x = `1`\nexcept OSError, e:\n    raise E, 'x'\nif a <> b:\n    print 'b'\nelse:\n    print 'c'\n",
    )
    _, found = python2.parse(path)
    assert [each.line for each in found] == [1, 3, 4, 5, 6, 7, 9]


def test_rest_of_a_file(write):
    """A statement that is reported keeps nothing behind it, or beside it, from being looked at."""
    code = """\
import cPickle
print '''
<html> `x`
''' % (
    1)
os.chmod(
    f, 0644)
def f(a, (b, c)):
    if a: print b
    else: raise a, b, c
    try:
        import StringIO
    except KeyError, file:
        x = file
map(lambda (k, v): k, d.iteritems())
"""
    path = write("old.py", code)
    found = doctor.examine(path.parent)
    assert [each.line for each in found] == [1, 2, 7, 8, 9, 10, 12, 13, 15, 15]


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        ("raise E, 'a, b'", "Write `raise E('a, b')`."),
        ("raise E, (1, 2)", "Write `raise E((1, 2))`."),
        ("raise E, None, trace", "Write `raise E().with_traceback(trace)`."),
        ("raise E, (1,", "Write `raise X(value)`."),
        ("os.chmod(f, 0644)", "Write 0o644."),
    ],
)
def test_cures_in_the_line_s_own_words(write, code, cure):
    """What is to be written is written."""
    assert python2.parse(write("old.py", code))[1][0].cure == cure


def test_what_is_said_to_be_gone_is_gone():
    """No attribute that is there is reported."""
    for module, names in old_names.ATTRIBUTES.items():
        there = pytest.importorskip(module) if module == "cgi" else importlib.import_module(module)
        assert [name for name in names if hasattr(there, name)] == []


@pytest.mark.parametrize(
    "code",
    [
        "# -*- coding: latin-1 -*-\n# é".encode("latin-1"),
        "\ufeffx = 1",
        "def f(unicode): return unicode",
        "from compat import *\nx = unicode",
        "try:\n    unicode\nexcept NameError:\n    unicode = str",
        "x = '<>'\ny = '`'\nz = 'print x'",
        "import sys\nif sys.version_info < (3,):\n    x = sys.maxint",
        "import sys\ntry:\n    x = sys.maxint\nexcept AttributeError:\n    pass",
        "import string\ndef f(string):\n    return string.join()",
        "class D(dict):\n    def has_key(self, k): return k in self\nD().has_key(1)",
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
    monkeypatch.setattr(imports, "is_there", lambda top: top == "cgi")
    monkeypatch.setattr(imports.sys, "version_info", (3, 12))
    monkeypatch.setattr(imports.sys, "stdlib_module_names", {"cgi", "os"})
    path = write("page.py", "import imp\nfrom distutils import util\nimport cgi\nimport asyncore as a, os\n")
    assert examine(path.parent) == [
        "page.py:1 error: the module imp is gone since Python 3.12",
        "page.py:2 error: the module distutils is gone since Python 3.12",
        "page.py:3 warning: Python 3.13 is without the module cgi",
        "page.py:4 error: the module asyncore is gone since Python 3.12",
    ]


def test_removed_module_of_a_distribution(write, monkeypatch):
    """legacy-cgi, for instance, is as good."""
    monkeypatch.setattr(imports, "is_there", lambda top: True)
    monkeypatch.setattr(imports.sys, "stdlib_module_names", set())
    assert examine(write("page.py", "import cgi\n").parent) == []


def test_renamed_modules(write):
    """Python 2's names, and what left urllib."""
    code = "import urlparse\nimport urllib\nx = urllib.quote('a')\nfrom urllib import urlencode\n"
    assert examine(write("page.py", code).parent) == [
        "page.py:1 error: Python 2: there is no module urlparse",
        "page.py:3 error: there is no urllib.quote any more",
        "page.py:4 error: there is no urllib.urlencode any more",
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
    answer = imports.refusal("import tried")
    assert answer is None if reason is None else reason in answer


def test_trial_runs_nothing_of_the_current_directory(write, monkeypatch):
    """A module of the program that has a library's name is not imported in its place."""
    file = write("json.py", "raise SystemExit('the program was run')")
    monkeypatch.chdir(file.parent)
    assert imports.refusal("import sqlite3") is None


def test_trial_of_what_loads_once(write, monkeypatch):
    """What refuses the second is told, and so is what ends the process."""
    code = "import os, pathlib\nflag = pathlib.Path(__file__ + '.flag')\nif flag.exists():\n    raise ImportError('only once')\nflag.touch()\n"
    monkeypatch.setenv("PYTHONPATH", str(write("once.py", code).parent))
    assert imports.refusal("import once") == "in a second interpreter: ImportError: only once"
    write("fatal.py", "import os\nos.abort()\n")
    assert "signal 6" in imports.refusal("import fatal")


def test_compiled_packages(write, monkeypatch):
    """They are named where they are imported first; not if all is in the main interpreter."""
    package = write("lib/fast/__init__.py", "").parent
    suffix = imports.importlib.machinery.EXTENSION_SUFFIXES[0]
    write(f"lib/fast/part{suffix}", "")
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setattr(imports, "refusal", lambda code: f"because of {code}")
    page = write("site/page.py", "import os\nimport fast\n")
    found = doctor.examine(page.parent)
    assert [(each.line, each.severity) for each in found] == [(2, "warning")]
    assert (
        "the package fast does not load in several interpreters of a process (because of import fast)"
        in found[0].what
    )
    monkeypatch.setattr(imports, "refusal", lambda code: imports.EVERYWHERE + "because")
    assert "the package fast does not load (because)" in doctor.examine(page.parent)[0].what
    config = write(
        "httpd.conf",
        f"PythonInterpreter main_interpreter\n<Directory {page.parent}>\nPythonHandler page\n</Directory>\n",
    )
    assert doctor.examine(config) == []


def test_trial_is_of_what_is_imported(write, monkeypatch):
    """`from package import part` tries the part, not the package alone."""
    write("package/__init__.py", "")
    part = write("package/part.py", "raise ImportError('only once')\n")
    monkeypatch.setenv("PYTHONPATH", str(part.parents[1]))
    tree, _ = python2.parse(write("page.py", "import os\nfrom package import part\nimport package.part\n"))
    statements = [statement for _, statement, _ in imports.others(tree)]
    assert statements == ["from package import part", "import package.part"]
    assert imports.refusal("import package") is None
    assert imports.refusal(statements[0]) == "in any interpreter: ImportError: only once"


def test_compiled_parts_of_what_a_package_needs(monkeypatch):
    """A package of Python that needs a compiled one counts, whatever the names of distributions."""
    monkeypatch.setattr(imports, "_is_compiled", lambda name: name == "fast")
    packages = {"slow": ["Slow-Lib"], "fast": ["fast_dist"]}
    monkeypatch.setattr(imports.importlib.metadata, "packages_distributions", lambda: packages)
    needs = {"Slow-Lib": ["Fast.Dist>=1", "other; extra == 'x'"], "fast_dist": None}
    monkeypatch.setattr(imports.importlib.metadata, "requires", needs.get)
    imports._distributions.cache_clear()
    assert imports.has_compiled_parts("slow") and not imports.has_compiled_parts("other")
    imports._distributions.cache_clear()


def test_absent_modules(write):
    """What is neither installed nor the program's own is told once; in a package, what lies
    beside a file is not on the way."""
    write("lib/own.py", "import absent\n")
    write("lib/pack/__init__.py", "from . import config\n")
    write("lib/pack/config.py", "import own\nimport absent.part\n")
    write("lib/pack/part.py", "import own, config\nimport pack.config\n")
    path = write("page.py", "import own, pack.config\n")
    assert examine(path.parent) == [
        "own.py:1 warning: there is no module absent in this environment, nor was one seen of the program's own",
        "part.py:1 warning: import config finds what lies beside the file in Python 2 only, for that is in a package",
    ]


# Directories


def test_pages_and_scripts(write):
    """PSP pages and server-side includes are looked at, with their own lines, and CGI and WSGI scripts of Python."""
    write("page.psp", "<p>\n<%\nprint 'x'\n%>\n<%= unicode(1) %>\n<%@ include file='part.inc'%>\n")
    write("part.inc", "\n<% exec code %>\n")
    write("bad.psp", "\n<% x = 1\n")
    write("latin.psp", b"\ncaf\xe9\n")
    write("stock.shtml", '\n<!--#python eval="1 &lt; 2" -->\n<!--#python exec="\nimport md5\nprint x" -->\n')
    write("form.cgi", "#!/usr/bin/python\nprint 'x'\n")
    write("shell.cgi", "#!/bin/sh\necho x\n")
    write("app.wsgi", "print 'x'\n")
    told = examine(write("README", "print 'x'\n").parent)
    assert [each.partition(": ")[0] for each in told] == [
        "app.wsgi:1 error",
        "bad.psp:2 error",
        "form.cgi:2 error",
        "latin.psp:2 error",
        "page.psp:3 error",
        "page.psp:5 warning",
        "part.inc:2 error",
        "stock.shtml:4 error",
        "stock.shtml:5 error",
    ]
    assert told[1].endswith("no PSP page: '<%' is never closed by '%>'")


def test_what_is_not_the_program_s(write):
    """Environments and installed packages in a directory are left alone."""
    write("venv/pyvenv.cfg", "")
    write("venv/lib/old.py", "print 'x'\n")
    write("site-packages/old.py", "print 'x'\n")
    write("page.py", "")
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


def test_odd_files(write, monkeypatch):
    """A pipe is not waited for, a dead link is no source, and a directory that nobody may list is told."""
    place = write("page.py", "").parent
    os.mkfifo(place / "pipe.py")
    os.mkfifo(place / "pipe")
    (place / "link.py").symlink_to("absent")
    assert examine(place) == []
    (place / "closed").mkdir()
    real = os.scandir

    def scandir(path):
        if os.fspath(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert examine(place) == ["closed:0 error: cannot be read: Permission denied"]


@pytest.mark.parametrize("name", ["index.py", "shop.wsgi", "script.cgi"])
def test_single_source(write, name):
    """It is a source, no configuration; what lies beside it is not missed, nor looked at."""
    write("shop.py", "print 'y'")
    write("old.py", "print 'z'")
    text = "#!/usr/bin/python\nimport shop, old, no_such\nprint 'x'\n"
    assert [each.partition(":")[2][:30] for each in examine(write(name, text))] == [
        "2 warning: there is no module no"[:30],
        "3 error: Python 2: print statement"[:30],
    ]


def test_nothing_there(tmp_path):
    """A mistyped name is no clean bill."""
    with pytest.raises(KukulkanError, match="no file or directory"):
        doctor.examine(tmp_path / "absent")
    with pytest.raises(KukulkanError, match="nothing to look at"):
        doctor.examine(tmp_path)


# The command


def test_exit_status(write):
    """0: no errors; 1: errors; each with file, line and cure."""
    path = write("page.py", "x = unicode\n")
    clean = CliRunner().invoke(cli.cli, ["doctor", "--no-try", str(path.parent)], standalone_mode=False)
    assert clean.return_value == 0 and "0 errors, 1 warning\n" in clean.output
    write("page.py", "print 'x'\n")
    result = CliRunner().invoke(cli.cli, ["doctor", str(path.parent)], standalone_mode=False)
    assert result.return_value == 1
    assert (
        f"{path}:1: error: Python 2: print statement: print 'x'\n    Write print(...).\n1 error, 0 warnings\n"
        in result.output
    )
    path.write_text("x = 1\n")
    assert "Nothing found." in CliRunner().invoke(cli.cli, ["doctor", str(path.parent)]).output


def test_absent_path(capsys, tmp_path):
    """main() says so, with status 1."""
    assert cli.main(["doctor", str(tmp_path / "absent")]) == 1
    assert "no file or directory" in capsys.readouterr().err


def test_examples():
    """Nothing is wrong with the project's own."""
    assert doctor.examine(Path(__file__).parents[2] / "examples", is_trying=False) == []


def test_relative_path(write, monkeypatch, tmp_path):
    """What is asked for by a relative path is examined as by its absolute one."""
    write("site/page.psp", '<%@ include file="part.inc"%>')
    write("site/part.inc", "spam")
    monkeypatch.chdir(tmp_path)
    assert examine(Path("site")) == examine(tmp_path / "site") == []
