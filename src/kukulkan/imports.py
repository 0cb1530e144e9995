"""Imports that will fail: modules that are gone from the standard library, and compiled ones
that refuse to be loaded in more than one interpreter. Nothing of the program is run."""

import ast
import importlib.machinery
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from kukulkan.findings import ERROR, WARNING, Finding

# Modules that Python removed, by the version that is without them (its "What's New").
_REMOVED = {
    (3, 9): ("_dummy_thread", "dummy_threading"),
    (3, 10): ("formatter", "parser", "symbol"),
    (3, 11): ("binhex",),
    (3, 12): ("asynchat", "asyncore", "distutils", "imp", "smtpd"),
    (3, 13): (
        "aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "lib2to3", "mailcap", "msilib", "nis",
        "nntplib", "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib",
    ),
}  # fmt: skip

# What takes their place.
_CURES = {
    "asynchat": "Use asyncio.",
    "asyncore": "Use asyncio.",
    "cgi": "Use mod_python.util.FieldStorage; a CGI script finds the distribution legacy-cgi.",
    "cgitb": "Set PythonDebug On; a CGI script finds the distribution legacy-cgi.",
    "crypt": "Use the distribution legacycrypt, or a password hash such as argon2-cffi.",
    "distutils": "Use setuptools, shutil or sysconfig.",
    "imp": "Use apache.import_module(), or importlib.",
    "imghdr": "Use the distribution filetype.",
    "pipes": "Use subprocess, and shlex.quote().",
    "smtpd": "Use the distribution aiosmtpd.",
    "telnetlib": "Use the distribution telnetlib3.",
}

# Modules of Python 2 that have other names.
_RENAMED = {
    "BaseHTTPServer": "http.server",
    "ConfigParser": "configparser",
    "Cookie": "http.cookies (or mod_python.Cookie)",
    "HTMLParser": "html.parser",
    "Queue": "queue",
    "SimpleHTTPServer": "http.server",
    "SocketServer": "socketserver",
    "StringIO": "io",
    "UserDict": "collections",
    "UserList": "collections",
    "UserString": "collections",
    "__builtin__": "builtins",
    "anydbm": "dbm",
    "cPickle": "pickle",
    "cStringIO": "io",
    "commands": "subprocess",
    "cookielib": "http.cookiejar",
    "copy_reg": "copyreg",
    "dbhash": "dbm",
    "dumbdbm": "dbm.dumb",
    "dummy_thread": "_thread",
    "exceptions": "builtins",
    "gdbm": "dbm.gnu",
    "htmlentitydefs": "html.entities",
    "htmllib": "html.parser",
    "httplib": "http.client",
    "md5": "hashlib",
    "mimetools": "email",
    "new": "types",
    "popen2": "subprocess",
    "repr": "reprlib",
    "rfc822": "email",
    "robotparser": "urllib.robotparser",
    "sets": "the type set",
    "sgmllib": "html.parser",
    "sha": "hashlib",
    "thread": "_thread, or threading",
    "urllib2": "urllib.request and urllib.error",
    "urlparse": "urllib.parse",
    "whichdb": "dbm",
    "xmlrpclib": "xmlrpc.client",
}

# Functions that left urllib, by the module that has them.
_URLLIB = {
    **dict.fromkeys(("quote", "quote_plus", "unquote", "unquote_plus", "urlencode"), "urllib.parse"),
    **dict.fromkeys(("urlopen", "urlretrieve", "pathname2url", "url2pathname"), "urllib.request"),
}

#: Known to load in one interpreter of a process only, or in the main one (docs/interpreters.md).
SINGLE = (
    "bcrypt", "cryptography", "grpc", "lxml", "numpy", "pandas", "pydantic_core", "scipy", "uvloop",
)  # fmt: skip

# Seconds for a module to be imported twice.
TRIAL = 30

# How older versions write the kind of an error.
_CLASS = re.compile(r"<class '([\w.]+)'>")

_TRY = """
import json, sys
try:
    import _interpreters as interpreters
    create = lambda: interpreters.create("legacy")
except ImportError:
    import _xxsubinterpreters as interpreters
    create = lambda: interpreters.create(isolated=False)
code = "import sys; sys.path[:] = {path!r}; import {name}"
for place in ("a subinterpreter", "a second interpreter"):
    try:
        error = interpreters.run_string(create(), code.format(path=sys.path, name=sys.argv[1]))
        text = error and getattr(error, "formatted", str(error))
    except Exception as error:
        text = str(error)
    if text:
        print(json.dumps([place, text]), flush=True)
        break
else:
    print(json.dumps(None), flush=True)
# Not the end of interpreters: that is another matter.
import os
os._exit(0)
"""


def examine(tree: ast.Module, file: Path) -> Iterator[Finding]:
    """Imports of a source that fail, or soon will.

    One that is tried, with `except ImportError` for the other case, is left alone, and so
    is what lies beside the file or is installed.
    """
    for statement, name in _imports(tree):
        top, line = name.partition(".")[0], statement.lineno
        finding = _removed(top, file, line) or _renamed(top, file, line)
        if finding is not None and not _lies_beside(file, top):
            yield finding
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "urllib":
            if node.attr in _URLLIB:
                yield _moved(f"urllib.{node.attr}", _URLLIB[node.attr], file, node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module == "urllib" and not node.level:
            for alias in node.names:
                if alias.name in _URLLIB:
                    yield _moved(f"urllib.{alias.name}", _URLLIB[alias.name], file, node.lineno)


def compiled(tree: ast.Module, file: Path) -> Iterator[tuple[str, int]]:
    """The installed packages with compiled parts that a source imports, and where."""
    for node, name in _imports(tree):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top in ("mod_python", "_apache") or _lies_beside(file, top):
            continue
        if _has_compiled_parts(top):
            yield top, node.lineno


def refusal(name: str) -> str | None:
    """Why a package cannot be loaded in two subinterpreters of one process, by trying it in a
    process of its own; None: it can."""
    try:
        answer = subprocess.run(
            # -P: else the current directory, which may be the program's, comes before the library.
            [sys.executable, "-P", "-c", _TRY, name],
            capture_output=True,
            text=True,
            timeout=TRIAL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"importing it took more than {TRIAL} s"
    if answer.returncode < 0:
        return f"importing it twice ends the process with signal {-answer.returncode}"
    try:
        result = json.loads(answer.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return f"importing it twice failed: {answer.stderr.strip()[-200:]}"
    if result is None:
        return None
    place, text = result
    error = _CLASS.sub(r"\1", text.strip().splitlines()[-1])
    return f"in {place}: {error}"


def _imports(tree: ast.Module) -> Iterator[tuple[ast.stmt, str]]:
    """The absolute imports, but for those in a `try` that expects them to fail."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Try) and any(map(_catches_import_error, node.handlers)):
            todo += [*node.orelse, *node.finalbody]
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node, node.module
        todo += ast.iter_child_nodes(node)


def _catches_import_error(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    names: Iterable[ast.AST] = ast.walk(handler.type)
    expected = ("ImportError", "ModuleNotFoundError", "Exception")
    return any(isinstance(name, ast.Name) and name.id in expected for name in names)


def _removed(top: str, file: Path, line: int) -> Finding | None:
    for version, names in _REMOVED.items():
        if top in names:
            number = ".".join(map(str, version))
            cure = _CURES.get(top, f"Python {number}'s “What's New” names what takes its place.")
            if _is_installed(top):
                if version <= sys.version_info[:2] or top not in sys.stdlib_module_names:
                    return None  # a distribution has it
                return Finding(str(file), line, WARNING, f"Python {number} is without the module {top}", cure)
            return Finding(str(file), line, ERROR, f"the module {top} is gone since Python {number}", cure)
    return None


def _renamed(top: str, file: Path, line: int) -> Finding | None:
    if top not in _RENAMED or _is_installed(top):
        return None
    return Finding(str(file), line, ERROR, f"Python 2: there is no module {top}", f"Use {_RENAMED[top]}.")


def _moved(name: str, module: str, file: Path, line: int) -> Finding:
    cure = f"Use {module}.{name.partition('.')[2]}."
    return Finding(str(file), line, ERROR, f"Python 2: there is no {name}", cure)


def _lies_beside(file: Path, top: str) -> bool:
    return any((file.parent / place).exists() for place in (f"{top}.py", f"{top}/__init__.py"))


def _is_installed(top: str) -> bool:
    if top in sys.builtin_module_names:
        return True
    return importlib.machinery.PathFinder.find_spec(top) is not None


def _has_compiled_parts(top: str) -> bool:
    if top in SINGLE:
        return _is_installed(top)
    spec = importlib.machinery.PathFinder.find_spec(top)
    if spec is None:
        return False
    if isinstance(spec.loader, importlib.machinery.ExtensionFileLoader):
        return True
    suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    for place in spec.submodule_search_locations or ():
        if any(path.name.endswith(suffixes) for path in Path(place).rglob("*")):
            return True
    return False
