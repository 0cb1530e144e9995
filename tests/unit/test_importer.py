"""Finding, importing and reloading handler modules: mod_python._importer."""

import os
import pickle
import py_compile
import sys
import time

import pytest

# Reload


def test_unchanged_file(write, load):
    """A module whose file has not changed is the same object."""
    write("plain.py", "x = 1\n")
    assert load("plain") is load("plain")


def test_every_edit_counts(write, load):
    """Edits within one second that keep the size are noticed, each."""
    answers = []
    for n in range(10):
        write("edited.py", f"x = {n}\n")
        answers.append(load("edited").x)
    assert answers == list(range(10))


def test_replaced_file(write, load):
    """A file with the time and size of the one it replaces is noticed."""
    path = write("replaced.py", "x = 1\n")
    status = path.stat()
    assert load("replaced").x == 1
    other = write("other.py", "x = 2\n")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(path)
    assert load("replaced").x == 2


def test_no_reload(write, load):
    """Without reload the file is not looked at again."""
    write("kept.py", "x = 1\n")
    load("kept")
    write("kept.py", "x = 22\n")
    assert load("kept", reload=False).x == 1
    assert load("kept").x == 22


def test_new_module_takes_the_place(write, load):
    """The new module is in sys.modules, starts afresh, and leaves the old one alone."""
    write("renewed.py", "x = 1\nold = True\n")
    old = load("renewed")
    write("renewed.py", "x = 2\n")
    new = load("renewed")
    assert new is not old and sys.modules["renewed"] is new
    assert not hasattr(new, "old")
    assert old.x == 1


def test_failing_reload(write, load):
    """It raises every time, keeps the old module in sys.modules, and works once the
    file does."""
    write("broken.py", "x = 1\n")
    old = load("broken")
    for text in ("x = 2\n1 / 0\n", "x = (\n"):
        write("broken.py", text)
        for _ in range(2):
            with pytest.raises((ZeroDivisionError, SyntaxError)):
                load("broken")
            assert sys.modules["broken"] is old and old.x == 1
    write("broken.py", "x = 3\n")
    assert load("broken").x == 3


def test_failing_import(write, load):
    """Nothing of a module that fails is left."""
    write("failing.py", "1 / 0\n")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            load("failing")
        assert "failing" not in sys.modules
    write("failing.py", "x = 1\n")
    assert load("failing").x == 1


def test_file_that_is_gone(write, load):
    """What is loaded stays when its file cannot be looked at."""
    path = write("gone.py", "x = 1\n")
    module = load("gone")
    path.unlink()
    assert load("gone") is module


def test_module_of_sys_path(importer, write, tmp_path, monkeypatch):
    """A module that sys.path leads to is reloaded too."""
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    write("lib/on_path.py", "x = 1\n")
    assert importer.load("on_path").x == 1
    write("lib/on_path.py", "x = 22\n")
    assert importer.load("on_path").x == 22


def test_module_of_sys_path_for_two_directories(importer, write, tmp_path, monkeypatch):
    """It is one module, and each directory's handlers notice each edit."""
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    answers = []
    for n in range(6):
        write("lib/shared.py", f"x = {n}\n")
        answers.append(importer.load("shared", f"{tmp_path}/{'abbaab'[n]}/").x)
    assert answers == list(range(6))


@pytest.mark.parametrize("directory", ["", "lib/"])
def test_edit_while_the_module_is_imported(importer, write, tmp_path, monkeypatch, directory):
    """It is noticed, wherever the module is from."""
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    edit = "from pathlib import Path\nPath(__file__).write_text('x = 2')\n"
    write("lib/edited.py", f"{edit}x = 1\n")
    place = f"{tmp_path}/{directory}"
    importer.load("edited", place)
    assert importer.load("edited", place).x == 2


def test_bytecode_is_not_believed(write, load):
    """A .pyc of another version of the file, of the same second and size, is not used."""
    path = write("cached.py", "x = 1\n")
    py_compile.compile(str(path))
    seconds = int(path.stat().st_mtime)
    path.write_text("x = 2\n")
    os.utime(path, (seconds, seconds))
    assert load("cached").x == 2


# Names


def test_same_name_in_two_directories(write, load):
    """Two files of one name are two modules, whichever comes first, each reloaded."""
    for directory in "ab":
        write(f"{directory}/index.py", f"x = '{directory}'\n")
    assert [load("index", d).x for d in "abab"] == ["a", "b", "a", "b"]
    write("b/index.py", "x = 'changed'\n")
    assert [load("index", d).x for d in "ab"] == ["a", "changed"]


def test_directories_that_differ_by_a_dot(write, load):
    """The names that such modules get do not clash."""
    for directory in ("first", "a.b", "a_b", "a%2Eb"):
        write(f"{directory}/pack/__init__.py", f"x = '{directory}'\n")
        write(f"{directory}/pack/sub.py", "from . import x\n")
    for _ in range(2):
        for directory in ("first", "a.b", "a_b", "a%2Eb"):
            assert load("pack", directory).x == directory
            assert load("pack.sub", directory).x == directory


def test_name_of_a_standard_module(write, load):
    """A handler's module may have the name of one that is loaded already."""
    import textwrap as standard

    write("textwrap.py", "x = 1\n")
    assert load("textwrap").x == 1
    assert sys.modules["textwrap"] is standard


def test_missing_module(load):
    """The error names what is missing."""
    with pytest.raises(ModuleNotFoundError) as caught:
        load("no_such_module")
    assert caught.value.name == "no_such_module"


# Packages


def test_package(write, load):
    """A package and what is in it, by dotted names, with the imports between them."""
    write("pack/__init__.py", "from .helper import x\n")
    write("pack/helper.py", "x = 1\n")
    write("pack/deep/__init__.py", "")
    write("pack/deep/sub.py", "from ..helper import x\nfrom . import other\n")
    write("pack/deep/other.py", "")
    assert load("pack").x == 1
    assert load("pack.deep.sub").x == 1
    assert load("pack").deep.sub is load("pack.deep.sub")


def test_part_of_a_package_alone(write, load):
    """A part imports the package before itself, once."""
    write("counted/__init__.py", "import sys\nsys.counted = getattr(sys, 'counted', 0) + 1\n")
    write("counted/sub.py", "")
    write("counted/other.py", "")
    for name in ("counted.sub", "counted.other", "counted"):
        assert load(name).__name__ == name
    assert vars(sys).pop("counted") == 1


def test_reload_in_a_package(write, load):
    """A part that changed is executed anew, and is the package's then; so is the
    package itself."""
    write("pack/__init__.py", "x = 1\n")
    write("pack/sub.py", "x = 1\n")
    assert load("pack.sub").x == 1
    write("pack/sub.py", "x = 22\n")
    assert load("pack.sub").x == 22
    assert load("pack").sub.x == 22
    write("pack/__init__.py", "x = 333\nfrom . import sub\n")
    assert load("pack").x == 333


def test_reloaded_package_keeps_its_parts(write, load):
    """A part that is loaded is still the package's after its reload."""
    write("pack/__init__.py", "x = 1\n")
    write("pack/sub.py", "x = 1\n")
    write("index.py", "def answer():\n    import pack.sub\n    return pack.sub.x, pack.x\n")
    assert load("index").answer() == (1, 1)
    load("pack")
    write("pack/__init__.py", "x = 22\n")
    load("pack")
    assert load("index").answer() == (1, 22)


def test_same_package_in_two_directories(write, load):
    """Both packages see their own parts by relative imports."""
    for directory in "ab":
        write(f"{directory}/pack/__init__.py", f"x = '{directory}'\n")
        write(f"{directory}/pack/sub.py", "from . import x\nfrom .other import y\n")
        write(f"{directory}/pack/other.py", f"y = '{directory}'\n")
    for directory in "abab":
        module = load("pack.sub", directory)
        assert (module.x, module.y) == (directory, directory)


# Classes that look their module up


@pytest.mark.parametrize("directory", ["a", "b"])
def test_dataclass_and_pickle(write, load, directory):
    """Both need the module in sys.modules while and after it is executed."""
    code = """
        from __future__ import annotations
        from dataclasses import dataclass
        from typing import ClassVar

        @dataclass
        class Point:
            x: int
            kind: ClassVar[str] = "point"
        """
    write("a/shapes.py", code)
    write("b/shapes.py", code)
    load("shapes", "a")
    module = load("shapes", directory)
    point = module.Point(1)
    copy = pickle.loads(pickle.dumps(point))
    assert copy == point and type(copy) is module.Point


# Import statements


STATEMENTS = [
    "import sibling; found = sibling.x",
    "import sibling as other; found = other.x",
    "from sibling import x as found",
    "from sibling import *; found = x",
    "import pack; found = pack.x",
    "import pack.part; found = pack.part.x",
    "import pack.part as other; found = other.x",
    "from pack import part; found = part.x",
    "from pack.part import x as found",
    "from pack.part import y as found",
    "from pack.part import z as found",
    "from pack.part import later; found = later()",
    "import pack.deep.part; found = pack.deep.part.x",
    "found = __import__('sibling').x",
    "space = {}; exec('import sibling', space); found = space['sibling'].x",
]


@pytest.mark.parametrize("when", ["at import", "in a function"])
@pytest.mark.parametrize("statement", STATEMENTS)
def test_same_sibling_in_two_directories(write, load, statement, when):
    """What a module imports is from beside it, in every way to say so."""
    if when == "at import" or "*" in statement:
        code = f"{statement}\ndef answer(): return found\n"
    else:
        code = f"def answer():\n    {statement}\n    return found\n"
    for directory in "ab":
        write(f"{directory}/index.py", code)
        write(f"{directory}/sibling.py", f"x = '{directory}'\n")
        write(f"{directory}/pack/__init__.py", f"x = '{directory}'\n")
        write(
            f"{directory}/pack/part.py",
            """
            from . import x
            from .other import x as y
            import sibling
            z = sibling.x

            def later():
                import sibling
                return sibling.x
            """,
        )
        write(f"{directory}/pack/other.py", f"x = '{directory}'\n")
        write(f"{directory}/pack/deep/__init__.py", "")
        write(f"{directory}/pack/deep/part.py", "from ..part import z as x\n")
    for directory in "abab":
        assert load("index", directory).answer() == directory


def test_sibling_is_one_module(write, load):
    """Whoever imports it: a statement, or load()."""
    for directory in "ab":
        write(f"{directory}/index.py", "import sibling\n")
        write(f"{directory}/other.py", "import sibling\n")
        write(f"{directory}/sibling.py", "")
    for directory in "ab":
        module = load("index", directory).sibling
        assert load("sibling", directory) is module is load("other", directory).sibling


def test_sibling_that_has_changed(write, load):
    """A sibling is reloaded when load() is asked for it; statements give the new one."""
    for directory in "ab":
        write(f"{directory}/index.py", "def answer():\n    import sibling\n    return sibling.x\n")
        write(f"{directory}/sibling.py", "x = 1\n")
        assert load("index", directory).answer() == 1
    write("b/sibling.py", "x = 2\n")
    assert load("sibling", "b").x == 2
    assert [load("index", directory).answer() for directory in "ab"] == [1, 2]


def test_imports_from_elsewhere(write, load):
    """What is not beside the module is what Python has; so is what it has built in."""
    import json

    write("index.py", "import json, time\nimport os.path as path\nfrom xml.etree import ElementTree\n")
    write("time.py", "1 / 0\n")
    module = load("index")
    assert (module.json, module.time, module.path) == (json, time, os.path)
    assert module.ElementTree is sys.modules["xml.etree.ElementTree"]


def test_import_module_is_as_ever(write, load):
    """importlib.import_module() goes by the name in sys.modules."""
    for directory in "ab":
        write(f"{directory}/index.py", "import importlib\nfound = importlib.import_module('sibling').x\n")
        write(f"{directory}/sibling.py", f"x = '{directory}'\n")
    assert load("index", "a").found == load("index", "b").found == "a"


@pytest.mark.parametrize(
    ("statement", "name"),
    [("import absent", "absent"), ("import pack.absent", "pack.absent"), ("from . import x", None)],
)
def test_statement_that_fails(write, load, statement, name):
    """The error is Python's own, raised by the statement's own line, each time."""
    write("index.py", statement)
    write("pack/__init__.py", "")
    for _ in range(2):
        with pytest.raises(ImportError) as caught:
            load("index")
        assert caught.value.name == name
        assert os.path.basename(caught.traceback[-1].path) == "index.py"


def test_sibling_that_fails(write, load):
    """Its error passes through, nothing of it is left, and it works once the file does."""
    write("index.py", "import sibling\n")
    for _ in range(2):
        write("sibling.py", "1 / 0\n")
        with pytest.raises(ZeroDivisionError) as caught:
            load("index")
        files = [os.path.basename(entry.path) for entry in caught.traceback]
        assert files[-2:] == ["index.py", "sibling.py"]
        assert "sibling" not in sys.modules and "index" not in sys.modules
    write("sibling.py", "x = 1\n")
    assert load("index").sibling.x == 1


def test_statements_in_a_circle(write, load):
    """The inner one gives the module as far as it has got, as Python does."""
    for directory in "ab":
        write(f"{directory}/yin.py", "x = 1\nimport yang\ny = 2\n")
        write(f"{directory}/yang.py", "import yin\nseen = sorted(set(vars(yin)) & {'x', 'y'})\n")
    for directory in "ab":
        yin = load("yin", directory)
        assert yin.yang.seen == ["x"]
        assert yin.yang.yin is yin and yin.y == 2


def test_names_added_to_builtins(write, load, monkeypatch):
    """Such as gettext.install() adds are seen by the functions of the module that does it,
    and of those loaded before."""
    import builtins

    monkeypatch.setattr(builtins, "_", None, raising=False)
    write("early.py", "def answer():\n    return _('word')\n")
    write("index.py", "import builtins\nbuiltins._ = str.upper\ndef answer():\n    return _('word')\n")
    early = load("early")
    assert load("index").answer() == early.answer() == "WORD"


def test_dataclass_and_pickle_of_a_sibling(write, load):
    """Both find the sibling's module by its name."""
    for directory in "ab":
        write(f"{directory}/index.py", "from shapes import Point\n")
        write(
            f"{directory}/shapes.py",
            """
            from __future__ import annotations
            from dataclasses import dataclass, fields
            from typing import ClassVar

            @dataclass
            class Point:
                x: int
                kind: ClassVar[str] = "point"

            assert len(fields(Point)) == 1
            """,
        )
        kind = load("index", directory).Point
        copy = pickle.loads(pickle.dumps(kind(1)))
        assert copy == kind(1) and type(copy) is kind
