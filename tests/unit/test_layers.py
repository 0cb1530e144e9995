"""The layers of core/ as STYLE has them: who may know Python, and how large a file
may grow."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = sorted((ROOT / "core").glob("*.[ch]"))
MOST_LINES = 600
INCLUDES_PYTHON = re.compile(r'^\s*#\s*include\s*[<"](Python|compat)\.h[>"]', re.MULTILINE)
STATIC_PYTHON = re.compile(
    r"^\s*static\s+(?!inline)(?:PyObject\s*\*|PyTypeObject\s+)\s*\w+\s*(?:=|;|\[)", re.MULTILINE
)
THREAD_STATES = re.compile(r"\bPy(?:ThreadState|InterpreterState|GILState)\w*")
# py_exports.c has a function that returns one, as its specification wants it.
INTERPRETERS = {"py_interp.c", "py_interp.h", "py_exports.c"}

PACKAGE = sorted((ROOT / "src" / "mod_python").glob("*.py"))
STATIC = re.compile(r"^ *static +(?!const\b|inline\b)([^;(={]*)[;={]", re.MULTILINE)
# Tables that CPython takes as they are and never writes to.
TABLES = re.compile(r"Py\w+(?:Def|Slot|Spec|Field|Desc)\b|\bchar \*\w*names\[")


def code_of(path):
    """The text without comments and strings."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    return re.sub(r"//[^\n]*", "", text)


def includes(path, seen=None):
    """Names of the project's own headers that a file includes, directly or not."""
    seen = set() if seen is None else seen
    for name in re.findall(r'#include "(\w+\.h)"', path.read_text()):
        if name not in seen:
            seen.add(name)
            header = path.with_name(name)
            if header.exists():
                includes(header, seen)
    return seen


def test_there_are_files():
    """The sources were found."""
    assert len(CORE) > 20


def knows_python(path):
    """Whether the file includes Python.h, itself or through another header."""
    return bool(INCLUDES_PYTHON.search(path.read_text())) or "compat.h" in includes(path)


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_python_is_known_to_py_files_only(path):
    """A C file includes Python.h, itself or through a header, if and only if its name
    starts with py_; a py_ header need not, being what the others call."""
    if path.name.startswith("py_") or path.name == "compat.h":
        assert knows_python(path) or path.suffix == ".h"
    else:
        assert not knows_python(path)


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_no_static_python_objects(path):
    """No Python object and no type is static: each interpreter has its own."""
    assert not STATIC_PYTHON.search(code_of(path))


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_thread_states_have_one_owner(path):
    """Only py_interp.[ch] name thread states, interpreter states and PyGILState."""
    names = set(THREAD_STATES.findall(code_of(path)))
    assert not names or path.name in INTERPRETERS


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_size(path):
    """No file is longer than can be read in one sitting."""
    assert len(path.read_text().splitlines()) <= MOST_LINES


def audited():
    """The table of state in docs/architecture.md."""
    return (ROOT / "docs" / "architecture.md").read_text().partition("\n## State\n")[2]


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_static_state_is_audited(path):
    """What outlives a call is in the table that says what protects it."""
    found = [text for text in STATIC.findall(code_of(path)) if not TABLES.search(text)]
    assert not found or f"`{path.name}`" in audited(), found


def is_state(statement):
    """Whether a module's statement makes something that changes: a container that is not
    written in capitals, or a lock, a counter and the like."""
    if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
        return False
    target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
    if not isinstance(target, ast.Name) or target.id.isupper() or target.id.lstrip("_")[:1].isupper():
        return False
    if isinstance(statement.value, ast.Call):
        return ast.unparse(statement.value.func).split(".")[-1].strip("_") in MAKERS
    return isinstance(statement.value, ast.Dict | ast.List | ast.Set) and target.id != "__all__"


MAKERS = {
    "Lock", "RLock", "ContextVar", "WeakKeyDictionary", "WeakValueDictionary", "count", "deque",
    "defaultdict", "dict", "list", "set", "local", "Thread", "FileCache", "HitsCache",
}  # fmt: skip


def caches(tree):
    """Where functools keeps results, at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in (
            "functools.cache",
            "functools.lru_cache",
        ):
            yield f"{ast.unparse(node)} in line {node.lineno}"


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: path.name)
def test_state_of_the_package_is_audited(path):
    """So is what the modules of the package keep."""
    tree = ast.parse(path.read_text())
    found = [ast.unparse(each) for each in tree.body if is_state(each)] + list(caches(tree))
    assert not found or f"`{path.name}`" in audited(), found
