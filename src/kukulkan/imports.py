"""Imports that will fail: modules that are gone from the standard library or are not there,
and compiled ones that refuse to be loaded in more than one interpreter. Nothing of the
program is run."""

import ast
import functools
import importlib.machinery
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from kukulkan import expected
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
    "whrandom": "random",
    "xmlrpclib": "xmlrpc.client",
}

#: Known to load in one interpreter of a process only, or in the main one (docs/interpreters.md).
SINGLE = (
    "bcrypt", "cryptography", "grpc", "lxml", "numpy", "pandas", "pydantic_core", "scipy", "uvloop",
)  # fmt: skip

# Seconds for a module to be imported twice.
TRIAL = 30

# How older versions write the kind of an error.
_CLASS = re.compile(r"<class '([\w.]+)'>")
_ERROR = re.compile(r"(<class ')?[\w.]*(Error|Exception)\b")

_TRY = """
import json, os, sys
try:
    import _interpreters as interpreters
    create = lambda: interpreters.create("legacy")
except ImportError:
    import _xxsubinterpreters as interpreters
    create = lambda: interpreters.create(isolated=False)

def said(run, *arguments):
    try:
        error = run(*arguments)
        return error and getattr(error, "formatted", str(error))
    except Exception as error:
        return str(error) if run is not exec else f"{type(error).__name__}: {error}"

code = f"import sys; sys.path[:] = {sys.path!r}; {sys.argv[1]}"
place = "a subinterpreter"
text = said(interpreters.run_string, create(), code)
if text and said(exec, code):
    place = "any interpreter"
elif not text:
    place = "a second interpreter"
    text = said(interpreters.run_string, create(), code)
print(json.dumps([place, text] if text else None), flush=True)
# Not the end of interpreters: that is another matter.
os._exit(0)
"""

#: What a refusal begins with if the package does not load in one interpreter either.
EVERYWHERE = "in any interpreter: "


def examine(tree: ast.Module, file: Path) -> Iterator[Finding]:
    """Imports of a source that fail, or soon will.

    One that is tried, with `except ImportError` for the other case, is left alone, and so
    is what lies beside the file or is installed.
    """
    for statement, name in _imports(tree):
        top, line = _top(name), statement.lineno
        finding = _removed(top, file, line) or _renamed(top, file, line)
        if finding is not None and not _lies_beside(file, top):
            yield finding


def others(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    """The packages that a source imports beside the standard library and ours: each with the
    statement that does, and its line."""
    for node in expected.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if _is_other(alias.name):
                    yield _top(alias.name), f"import {alias.name}", node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level and _is_other(node.module):
            names = ", ".join(alias.name for alias in node.names)
            statement = f"import {node.module}" if names == "*" else f"from {node.module} import {names}"
            yield _top(node.module), statement, node.lineno


def refusal(code: str) -> str | None:
    """Why imports cannot be done in two subinterpreters of one process, by trying them in a
    process of its own; None: they can."""
    try:
        answer = subprocess.run(
            # -P: else the current directory, which may be the program's, comes before the library.
            [sys.executable, "-P", "-c", _TRY, code],
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
    lines = text.strip().splitlines()
    error = next((line for line in lines if _ERROR.match(line)), lines[-1])
    return f"in {place}: " + _CLASS.sub(r"\1", error)


def _imports(tree: ast.Module) -> Iterator[tuple[ast.stmt, str]]:
    """The absolute imports, but for those that are expected to fail."""
    for node in expected.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node, node.module


def _removed(top: str, file: Path, line: int) -> Finding | None:
    for version, names in _REMOVED.items():
        if top in names:
            number = ".".join(map(str, version))
            cure = _CURES.get(top, f"Python {number}'s “What's New” names what takes its place.")
            if is_there(top):
                if version <= sys.version_info[:2] or top not in sys.stdlib_module_names:
                    return None  # a distribution has it
                return Finding(str(file), line, WARNING, f"Python {number} is without the module {top}", cure)
            return Finding(str(file), line, ERROR, f"the module {top} is gone since Python {number}", cure)
    return None


def _renamed(top: str, file: Path, line: int) -> Finding | None:
    if top not in _RENAMED or is_there(top):
        return None
    return Finding(str(file), line, ERROR, f"Python 2: there is no module {top}", f"Use {_RENAMED[top]}.")


def _lies_beside(file: Path, top: str) -> bool:
    return any((file.parent / place).exists() for place in (f"{top}.py", f"{top}/__init__.py"))


def lies_on_the_way(file: Path, top: str) -> bool:
    """Whether an import in a file finds a module of the program, as far as can be told: not if
    that lies beside the file alone, and the file is in a package."""
    return not (_lies_beside(file, top) and file.with_name("__init__.py").exists())


def _top(name: str) -> str:
    return name.partition(".")[0]


def _is_other(name: str) -> bool:
    top = _top(name)
    is_told = top in _RENAMED or any(top in names for names in _REMOVED.values())
    return not is_told and top not in sys.stdlib_module_names and top not in ("mod_python", "_apache")


def is_there(name: str, further: Iterable[str] = ()) -> bool:
    """Whether a module is installed in this environment, or in further directories; nothing is
    imported to find out."""
    if name in sys.builtin_module_names:
        return True
    places = [*sys.path, *further]
    for depth in range(1, name.count(".") + 2):
        spec = importlib.machinery.PathFinder.find_spec(".".join(name.split(".")[:depth]), places)
        if spec is None:
            return False
        if spec.submodule_search_locations is None:
            return depth == name.count(".") + 1
        places = list(spec.submodule_search_locations)
    return True


def has_compiled_parts(top: str) -> bool:
    """Whether a package, or one that it needs, is in part not of Python."""
    todo, seen = [top], {top}
    while todo:
        name = todo.pop()
        if _is_compiled(name):
            return True
        further = [need for need in _needs(name) if need not in seen]
        seen.update(further)
        todo += further
    return False


def _is_compiled(top: str) -> bool:
    spec = importlib.machinery.PathFinder.find_spec(top)
    if spec is None:
        return False
    if isinstance(spec.loader, importlib.machinery.ExtensionFileLoader):
        return True
    suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    return any(
        name.endswith(suffixes)
        for place in spec.submodule_search_locations or ()
        for _, _, names in os.walk(place)
        for name in names
    )


@functools.lru_cache
def _distributions() -> tuple[Mapping[str, list[str]], Mapping[str, list[str]]]:
    """Packages to distributions, and distributions to packages."""
    by_package = importlib.metadata.packages_distributions()
    by_distribution: dict[str, list[str]] = {}
    for package, names in by_package.items():
        for name in names:
            by_distribution.setdefault(_normal(name), []).append(package)
    return by_package, by_distribution


def _needs(top: str) -> Iterator[str]:
    """The packages that the distribution of one says it needs."""
    by_package, by_distribution = _distributions()
    for distribution in by_package.get(top, ()):
        for requirement in importlib.metadata.requires(distribution) or ():
            name = re.match(r"[\w.-]+", requirement)
            if name and "extra ==" not in requirement:
                yield from by_distribution.get(_normal(name[0]), ())


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
