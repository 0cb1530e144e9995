"""`kukulkan doctor`: what of a configuration, or of a directory of handlers, will not run.

Nothing of the program is imported or run; but packages with compiled parts are, each in a
process of its own, to see whether they load in two interpreters.
"""

import ast
import glob
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from kukulkan import clashes, directives, imports, pages, python2, readable
from kukulkan.directives import Configuration, Directive
from kukulkan.errors import KukulkanError
from kukulkan.findings import ERROR, WARNING, Finding

# Directives whose words are handlers, "module[::object]"; a `|` ends them.
_HANDLERS = re.compile(r"python(\w+)?handler$")
_FILTERS = (
    "pythoninputfilter",
    "pythonoutputfilter",
    "pythonconnectioninputfilter",
    "pythonconnectionoutputfilter",
)
_NOT_HANDLERS = ("pythonhandlermodule",)

# Handlers that run what a URL names.
_RUNNERS = frozenset(("mod_python.publisher", "mod_python.psp", "mod_python.cgihandler"))

# Handlers that are nowhere any more.
_GONE = {
    "django.core.handlers.modpython": "Django 1.5 dropped it: use PythonHandler mod_python.wsgi, with PythonOption mod_python.wsgi.application PROJECT.wsgi.",
    "httpdapi": "It was for programs of version 1: write a function handler(req), or publish one.",
    "zpublisher": "It was for Zope 2: publish functions with mod_python.publisher.",
}

# The PythonOption that names directories with modules.
_IMPORTER_PATH = "mod_python.importer.path"

# A Python's own directory, as in /usr/lib/python2.7/site-packages.
_PYTHON = re.compile(r"python(\d+\.\d+)(?=/|$)")

# What stands for a parameter of a <Macro>.
_PARAMETER = re.compile(r"[$%@]\{?\w")

# Directories whose sources are not the program's own.
_FOREIGN = frozenset(("site-packages", "dist-packages", "__pycache__", "node_modules"))

# Apache's own configuration, in a directory of configurations or of a whole server.
_NAMES = ("apache2.conf", "httpd.conf", "conf/httpd.conf")

# The files of programs; of CGI's those only that say so in their first line.
_SOURCES = (".py", ".wsgi")
_SCRIPTS = (".cgi", "")


class _Checkup:
    """One look; `findings` is its result."""

    def __init__(self, account: readable.Account | None, is_trying: bool) -> None:
        self.findings: list[Finding] = []
        self._account = account
        self._is_trying = is_trying
        self._seen: set[Path] = set()
        #: Directories with packages of another environment, by PythonHome.
        self.installed: list[str] = []
        #: Modules and packages of the program's own.
        self._own: set[str] = set()
        #: By package that is not of the program: the statements that import it, and where the first is.
        self._others: dict[str, tuple[dict[str, None], Path, int]] = {}

    def has_seen(self) -> bool:
        """Whether there was a source or a page."""
        return bool(self._seen)

    def source(self, path: Path) -> None:
        """Look at a Python source or a PSP page, once."""
        if path in self._seen:
            return
        self._seen.add(path)
        self._own.add(path.stem if path.stem != "__init__" else path.parent.name)
        self.may_be_read(path)
        tree, found = python2.parse(path) if path.suffix not in pages.KINDS else pages.parse(path)
        self.findings += found
        if tree is None:
            return
        self.findings += imports.examine(tree, path)
        for name, statement, line in imports.others(tree):
            statements, *_ = self._others.setdefault(name, ({}, path, line))
            statements[statement] = None

    def sources(self, directory: Path) -> None:
        """Look at all sources of a directory."""
        self.may_be_read(directory)
        for place, names in _walk(directory, self._refused):
            self._own.add(place.name)
            for name in names:
                if is_source(place / name):
                    self.source(place / name)

    def knows(self, directory: Path) -> None:
        """Take what lies in a directory for the program's own, without a look at it."""
        self._own.update(entry.stem for entry in directory.iterdir())

    def _refused(self, error: OSError) -> None:
        what = f"cannot be read: {error.strerror}"
        self.findings.append(Finding(str(error.filename), 0, ERROR, what, "Allow it, or run as root."))

    def may_be_read(self, path: Path) -> None:
        """Say so if Apache's children may not read it."""
        if self._account is None:
            return
        obstacle = readable.find_obstacle(path, self._account)
        if obstacle is None or not obstacle.permission:
            return
        sentences = readable.explain(obstacle, self._account)
        what, _, cure = sentences.rpartition(" Allow it")
        finding = Finding(str(obstacle.component), 0, ERROR, what, f"Allow it{cure}")
        if finding.file not in {each.file for each in self.findings if each.cure == finding.cure}:
            self.findings.append(finding)

    def packages(self, is_one_interpreter: bool) -> None:
        """Say which packages are not there, and which refuse several interpreters."""
        for name, (statements, path, line) in self._others.items():
            if imports.is_there(name, self.installed):
                if not is_one_interpreter:
                    self._compiled(name, list(statements), path, line)
            elif name not in self._own:
                what = f"there is no module {name} in this environment, nor was one seen of the program's own"
                cure = f"Install what has it into {sys.prefix}, or name its directory by PythonPath."
                self.findings.append(Finding(str(path), line, WARNING, what, cure))
            elif not imports.lies_on_the_way(path, name):
                what = f"import {name} finds what lies beside the file in Python 2 only, for that is in a package"
                cure = f"Write `from . import {name}`, or `from .{name} import ...`."
                self.findings.append(Finding(str(path), line, WARNING, what, cure))

    def _compiled(self, name: str, statements: list[str], path: Path, line: int) -> None:
        what = f"the package {name} does not load in several interpreters of a process"
        cure = "Configure `PythonInterpreter main_interpreter` for the whole server."
        if not self._is_trying or not imports.is_there(name):  # another environment's is not tried
            reason = "it is known for that" if name in imports.SINGLE else None
        elif imports.has_compiled_parts(name):
            reason = imports.refusal("; ".join(statements))
        else:
            reason = None
        if reason is None:
            return
        if reason.startswith(imports.EVERYWHERE):
            what, reason = f"the package {name} does not load", reason.removeprefix(imports.EVERYWHERE)
            cure = "Install it anew, in a version for this Python, or what it needs."
        self.findings.append(Finding(str(path), line, WARNING, f"{what} ({reason})", cure))


def examine(path: Path, account: readable.Account | None = None, is_trying: bool = True) -> list[Finding]:
    """What of a configuration, a directory of handlers or a source will not run, in order of place.

    Args:
        path: A configuration file, a source, or a directory with either.
        account: Apache's children's; None: that of the configuration, or the usual one.
        is_trying: Import packages with compiled parts to see whether they load twice.

    Raises:
        KukulkanError: There is no such file or directory, or nothing in it.
    """
    path = path.absolute()
    files = [path / name for name in _NAMES] if path.is_dir() else [path]
    file = next((file for file in files if file.is_file()), None)
    if is_source(path):
        findings = _examine_source(path, account, is_trying)
    elif file is not None:
        findings = _examine_configuration(file, account, is_trying)
    elif path.is_dir():
        findings = _examine_directory(path, account, is_trying)
    else:
        raise KukulkanError(f"There is no file or directory {path}.")
    return sorted(set(findings))


def _examine_source(path: Path, account: readable.Account | None, is_trying: bool) -> list[Finding]:
    checkup = _Checkup(account or readable.child_account(), is_trying)
    checkup.source(path)
    checkup.knows(path.parent)
    checkup.packages(is_one_interpreter=False)
    return checkup.findings


def _examine_directory(path: Path, account: readable.Account | None, is_trying: bool) -> list[Finding]:
    checkup = _Checkup(account or readable.child_account(), is_trying)
    checkup.sources(path)
    if not (_htaccess(path, checkup) or checkup.has_seen()):
        raise KukulkanError(
            f"There is nothing to look at in {path}: no configuration ({', '.join(_NAMES)}), "
            "no Python source, no PSP page and no .htaccess file."
        )
    checkup.packages(is_one_interpreter=False)
    return checkup.findings


def _examine_configuration(file: Path, account: readable.Account | None, is_trying: bool) -> list[Finding]:
    read = directives.read(file.absolute(), os.environ)
    found = [each for each in read.directives if not _is_macro(each)]
    checkup = _Checkup(account or _account_of(found) or readable.child_account(), is_trying)
    checkup.findings += [*read.findings, *clashes.examine(Configuration(found, [], read.root))]
    _configuration(found, checkup, [*clashes.paths_of_wsgi(found)])
    for directive, script in clashes.scripts(found):
        _script(directive, read.root / script, checkup)
    for place in _overridable(found):
        _htaccess(place, checkup)
    checkup.packages(_is_one_interpreter(found))
    return checkup.findings


# The server


def _account_of(found: Iterable[Directive]) -> readable.Account | None:
    for directive in found:
        if directive.name == "user" and directive.arguments and os.geteuid() == 0:
            try:
                return readable.Account.named(directive.arguments[0])
            except KeyError:
                return None
    return None


def _is_one_interpreter(found: Iterable[Directive]) -> bool:
    """Whether the whole server runs in the main interpreter."""
    chosen = [each for each in found if each.name == "pythoninterpreter" and each.arguments]
    return all(each.arguments[0] == "main_interpreter" for each in chosen) and any(
        each.is_for_all() for each in chosen
    )


def _is_macro(directive: Directive) -> bool:
    """Whether it is a part of a <Macro> that says little without its parameters."""
    others = [section for section in directive.sections if section.name != "macro"]
    words = [*directive.arguments, *(word for section in others for word in section.arguments)]
    return len(others) < len(directive.sections) and any(map(_PARAMETER.search, words))


def _overridable(found: Iterable[Directive]) -> Iterator[Path]:
    """The directories whose .htaccess files count."""
    for directive in found:
        if directive.name == "allowoverride" and directive.arguments[:1] not in ((), ("None",), ("none",)):
            yield from _directories(directive)


def _directories(directive: Directive) -> list[Path]:
    """The directories that a directive is for, as far as that can be told."""
    place = directive.place()
    if place is None or place.name != "directory" or not place.arguments or place.arguments[0] == "~":
        return []
    found = glob.glob(place.arguments[0]) if directive.has_pattern() else [place.arguments[0]]
    return [Path(name) for name in sorted(found) if name != "/" and os.path.isdir(name)]


# Handlers


def _htaccess(directory: Path, checkup: _Checkup) -> bool:
    """Look at the .htaccess files below a directory, and say whether there are any."""
    has_some = False
    for place, names in _walk(directory):
        if ".htaccess" in names:
            has_some = True
            read = directives.read_htaccess(place / ".htaccess")
            found = read.directives
            checkup.findings += [*read.findings, *clashes.unknown(found), *clashes.of_old_apache(found)]
            _configuration(found, checkup)
    return has_some


def _configuration(found: list[Directive], checkup: _Checkup, further: Iterable[str] = ()) -> None:
    """Look at the Python directives, and at the sources that they lead to.

    Args:
        further: Directories with modules, beside those of PythonPath.
    """
    paths = [place for place in further if place.startswith("/")]
    for directive in found:
        if directive.name == "pythonpath":
            paths += _python_path(directive, checkup)
        elif directive.name == "pythonoption" and directive.arguments[:1] == (_IMPORTER_PATH,):
            paths += _importer_path(directive, checkup)
        elif directive.name == "pythonhome" and directive.arguments:
            checkup.findings += _home(directive)
            packages = Path(directive.arguments[0]).glob(f"lib*/python{_own_version()}/*-packages")
            checkup.installed += map(str, packages)
    for directive in found:
        for module in _handlers(directive):
            _handler(directive, module, paths, checkup)
        if directive.name.startswith("python"):
            for place in [*_directories(directive), *_served(directive, found)]:
                checkup.sources(place)
    for name in paths:
        if os.path.isdir(name) and not _FOREIGN & set(Path(name).parts):
            checkup.sources(Path(name))


def _handlers(directive: Directive) -> Iterator[str]:
    """The modules that a directive names."""
    words = directive.arguments
    if directive.name in _FILTERS or directive.name == "pythonimport":
        yield from (word.partition("::")[0] for word in words[:1])
    elif _HANDLERS.match(directive.name) and directive.name not in _NOT_HANDLERS:
        for word in words:
            if word.startswith("|"):
                return
            yield word.partition("::")[0]
    elif directive.name in _NOT_HANDLERS:
        yield from words[:1]


def _handler(directive: Directive, module: str, paths: list[str], checkup: _Checkup) -> None:
    """Look at a handler's module, which is to be in the directory or on the path."""
    top, *rest = module.split(".")
    places = [*map(str, _directories(directive)), *paths]
    for place in places:
        base = Path(place, top)
        for file in (
            base.joinpath(*rest[:-1], f"{rest[-1]}.py") if rest else base.with_suffix(".py"),
            base / "__init__.py",
        ):
            if file.is_file():
                checkup.source(file)
                return
    if imports.is_there(module, checkup.installed):
        return
    where = f" in {', '.join(dict.fromkeys(places))}, nor" if places else ""
    what = f"there is no module {module}{where} among what is installed in this environment"
    cure = "Install it here, or name its directory: PythonPath \"sys.path + ['/directory']\"."
    severity = ERROR
    if module in _GONE:
        cure = _GONE[module]
    elif directive.has_pattern() and not _directories(directive):
        what, severity = f"{what}; the directories that fit the pattern were not looked at", WARNING
    checkup.findings.append(Finding(directive.file, directive.line, severity, what, cure))


def _served(directive: Directive, found: Iterable[Directive]) -> list[Path]:
    """Where the pages are of a handler that is for URLs, or for a whole host."""
    if _RUNNERS.isdisjoint(_handlers(directive)) or (directive.place() and directive.location() is None):
        return []
    location = (directive.location() or "/").rstrip("/")
    roots, aliases = [], []
    for other in found:
        words = other.arguments
        if other.host() not in (None, directive.host()) or not words:
            continue
        if other.name == "documentroot":
            roots.append(Path(words[0]))
        elif other.name in ("alias", "scriptalias") and len(words) > 1:
            path = words[0].rstrip("/")
            if path and (location == path or location.startswith(f"{path}/")):
                aliases.append(Path(words[1], location[len(path) :].strip("/")))
    places = aliases or [root / location.strip("/") for root in roots[-1:]]
    return [place for place in places if place.is_dir()]


def _script(directive: Directive, file: Path, checkup: _Checkup) -> None:
    """Look at a script that mod_wsgi runs."""
    if file.is_file():
        checkup.source(file)
        checkup.sources(file.parent)
    elif "$" not in str(file):
        what = f"there is no {file}"
        checkup.findings.append(Finding(directive.file, directive.line, ERROR, what, "Correct the name."))


def _importer_path(directive: Directive, checkup: _Checkup) -> list[str]:
    """The absolute directories of the option, which is a list of strings."""
    text = " ".join(directive.arguments[1:])
    try:
        places = ast.literal_eval(text) if text else []
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        places = None
    if not isinstance(places, list) or not all(isinstance(place, str) for place in places):
        what = f"PythonOption {_IMPORTER_PATH} {text} is no list of strings; it is read, not evaluated"
        cure = f"Write the directories: PythonOption {_IMPORTER_PATH} \"['/srv/lib', '~/lib']\"."
        checkup.findings.append(Finding(directive.file, directive.line, ERROR, what, cure))
        return []
    return [place for place in places if place.startswith("/")]


def _python_path(directive: Directive, checkup: _Checkup) -> list[str]:
    """The directories that PythonPath names as they are, and what is wrong with them."""
    text = " ".join(directive.arguments)
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError) as error:
        what = f"PythonPath {text} is no Python expression: {error}"
        cure = "Write a list in quotation marks: PythonPath \"sys.path + ['/directory']\"."
        checkup.findings.append(Finding(directive.file, directive.line, ERROR, what, cure))
        return []
    places = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    places = [place for place in places if place.startswith("/")]
    for place in places:
        version = _PYTHON.search(place)
        if version and version[1] != _own_version():
            what = f"PythonPath has {place}, which is Python {version[1]}'s; the module runs Python {_own_version()}"
            cure = "Take it out, and install what was there into this environment."
            checkup.findings.append(Finding(directive.file, directive.line, ERROR, what, cure))
        elif not os.path.exists(place):
            what = f"PythonPath has {place}, which is not there"
            checkup.findings.append(
                Finding(directive.file, directive.line, WARNING, what, "Correct or remove it.")
            )
        else:
            checkup.may_be_read(Path(place))
    return places


def _home(directive: Directive) -> Iterator[Finding]:
    """A PythonHome that is of another Python."""
    home = Path(directive.arguments[0])
    library = [*home.glob("lib*/python3.*"), *home.glob("lib*/python2.*")]
    if not any(place.name == f"python{_own_version()}" for place in library):
        has = ", ".join(sorted(place.name for place in library)) or "no Python"
        what = f"PythonHome {home} has {has}; the module was built for Python {_own_version()}"
        yield Finding(
            directive.file,
            directive.line,
            ERROR,
            what,
            "Take the line out: the module finds its environment.",
        )


def _own_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def is_source(path: Path) -> bool:
    """Whether a file is to be looked at: a source, a page, a script that says it is Python's."""
    if path.suffix in (*_SOURCES, *pages.KINDS):
        return path.is_file()
    if path.suffix not in _SCRIPTS or path.name.startswith(".") or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            first = file.read(128).partition(b"\n")[0]
    except OSError:
        return False
    return first.startswith(b"#!") and b"python" in first


def _walk(
    directory: Path, refused: Callable[[OSError], object] | None = None
) -> Iterator[tuple[Path, list[str]]]:
    """The directories of a program, and the names of the files in each.

    Args:
        directory: The uppermost.
        refused: Is told of a directory that cannot be read.
    """
    for place, below, names in os.walk(directory, onerror=refused):
        below[:] = sorted(
            name
            for name in below
            if name not in _FOREIGN and not name.startswith(".") and not _is_environment(place, name)
        )
        yield Path(place), sorted(names)


def _is_environment(place: str, name: str) -> bool:
    return Path(place, name, "pyvenv.cfg").exists()
