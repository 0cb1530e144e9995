"""`kukulkan doctor`: what of a configuration, or of a directory of handlers, will not run.

Nothing of the program is imported or run; but compiled packages are, each in a process
of its own, to see whether they load in two interpreters.
"""

import ast
import importlib.machinery
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from kukulkan import directives, imports, installation, python2, readable
from kukulkan.directives import Directive
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

# A Python's own directory, as in /usr/lib/python2.7/site-packages.
_PYTHON = re.compile(r"python(\d+\.\d+)(?=/|$)")

# Directories whose sources are not the program's own.
_FOREIGN = frozenset(("site-packages", "dist-packages", "__pycache__", "node_modules"))


class _Checkup:
    """One look; `findings` is its result."""

    def __init__(self, account: readable.Account | None, is_trying: bool) -> None:
        self.findings: list[Finding] = []
        self._account = account
        self._is_trying = is_trying
        self._seen: set[Path] = set()
        #: Package with compiled parts: where it is imported first.
        self._compiled: dict[str, tuple[Path, int]] = {}

    def source(self, path: Path) -> None:
        """Look at a Python source, once."""
        if path in self._seen:
            return
        self._seen.add(path)
        self.may_be_read(path)
        tree, found = python2.parse(path)
        self.findings += found
        if tree is not None:
            self._imports(tree, path)

    def sources(self, directory: Path) -> None:
        """Look at all sources of a directory, and at its .htaccess files."""
        self.may_be_read(directory)
        for place, below, names in os.walk(directory):
            below[:] = sorted(
                name
                for name in below
                if name not in _FOREIGN and not name.startswith(".") and not _is_environment(place, name)
            )
            for name in sorted(names):
                if name.endswith(".py"):
                    self.source(Path(place, name))

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

    def _imports(self, tree: ast.Module, path: Path) -> None:
        self.findings += imports.examine(tree, path)
        for name, line in imports.compiled(tree, path):
            self._compiled.setdefault(name, (path, line))

    def compiled_packages(self) -> None:
        """Say which compiled packages refuse subinterpreters."""
        for name, (path, line) in self._compiled.items():
            reason = imports.refusal(name) if self._is_trying else None
            if not self._is_trying and name in imports.SINGLE:
                reason = "it is known for that"
            if reason is not None:
                what = f"the package {name} does not load in several interpreters of a process ({reason})"
                cure = "Configure `PythonInterpreter main_interpreter` for the whole server."
                self.findings.append(Finding(str(path), line, WARNING, what, cure))


def examine(path: Path, account: readable.Account | None = None, is_trying: bool = True) -> list[Finding]:
    """What of a configuration file or a directory of handlers will not run, in order of place.

    Args:
        account: Apache's children's; None: that of the configuration, or the usual one.
        is_trying: Import compiled packages to see whether they load twice.

    Raises:
        KukulkanError: There is no such file or directory.
    """
    if path.is_dir():
        checkup = _Checkup(account or _usual_account(), is_trying)
        checkup.sources(path)
        for file in sorted(path.rglob(".htaccess")):
            found, findings = directives.read_htaccess(file)
            checkup.findings += findings
            _configuration(found, checkup, has_sources=False)
        checkup.compiled_packages()
    elif path.is_file():
        found, findings = directives.read(path.absolute(), os.environ)
        checkup = _Checkup(account or _account_of(found) or _usual_account(), is_trying)
        checkup.findings += findings
        checkup.findings += _modules(found)
        _configuration(found, checkup, has_sources=True)
        if not _is_main_interpreter(found):
            checkup.compiled_packages()
    else:
        raise KukulkanError(f"There is no file or directory {path}.")
    return sorted(set(checkup.findings))


# The server


def _modules(found: Iterable[Directive]) -> Iterator[Finding]:
    """LoadModule lines that do not go together, or are for another Python."""
    loads = [
        directive for directive in found if directive.name == "loadmodule" and len(directive.arguments) > 1
    ]
    ours = [load for load in loads if load.arguments[0] == "python_module"]
    own = _own_module()
    for load in ours:
        yield from _python_module(load, own)
    for other in ours[1:]:
        what = f"python_module is loaded twice; {ours[0].file}:{ours[0].line} comes first and is the one that works"
        yield Finding(other.file, other.line, ERROR, what, "Take one of the two lines out.")
    for load in loads:
        if load.arguments[0] == "wsgi_module" and ours:
            what = "mod_wsgi beside Kukulkan: both start Python in the same process, and each expects to be the one"
            cure = "Take it out, and serve the application with `PythonHandler mod_python.wsgi`."
            yield Finding(load.file, load.line, ERROR, what, cure)


def _python_module(load: Directive, own: Path | None) -> Iterator[Finding]:
    file = Path(load.arguments[1])
    if own is None or (file.exists() and file.samefile(own)):
        return
    cure = f"For this environment the line is: LoadModule python_module {own}"
    if file.is_absolute() and file.with_name("_importer.py").exists():
        what = f"{file} is of another environment than this command"
        cure = f"Run the `kukulkan` of that environment, or change the line. {cure}"
        yield Finding(load.file, load.line, WARNING, what, cure)
    elif file.is_absolute() and not file.exists():
        yield Finding(load.file, load.line, ERROR, f"there is no {file}", cure)
    else:
        what = f"{file} is not Kukulkan's module; it may be that of the old project"
        yield Finding(load.file, load.line, ERROR, what, cure)


def _own_module() -> Path | None:
    try:
        return installation.module_file()
    except KukulkanError:
        return None


def _account_of(found: Iterable[Directive]) -> readable.Account | None:
    for directive in found:
        if directive.name == "user" and directive.arguments and os.geteuid() == 0:
            try:
                return readable.Account.named(directive.arguments[0])
            except KeyError:
                return None
    return None


def _usual_account() -> readable.Account | None:
    return readable.child_account()


def _is_main_interpreter(found: Iterable[Directive]) -> bool:
    """Whether the whole server runs in the main interpreter."""
    chosen = [each for each in found if each.name == "pythoninterpreter" and each.arguments]
    return (
        bool(chosen)
        and all(each.arguments[0] == "main_interpreter" for each in chosen)
        and any(each.directory() is None for each in chosen)
    )


# Handlers


def _configuration(found: list[Directive], checkup: _Checkup, has_sources: bool) -> None:
    """Look at the Python directives, and at the sources that they lead to."""
    paths: list[str] = []
    for directive in found:
        if directive.name == "pythonpath":
            paths += _python_path(directive, checkup)
        elif directive.name == "pythonhome" and directive.arguments:
            checkup.findings += _home(directive)
    for directive in found:
        for module in _handlers(directive):
            _handler(directive, module, paths, checkup)
        own = directive.directory()
        if has_sources and directive.name.startswith("python") and own is not None and Path(own).is_dir():
            checkup.sources(Path(own))
    if has_sources:
        for place in paths:
            if os.path.isdir(place) and not _FOREIGN & set(Path(place).parts):
                checkup.sources(Path(place))


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
    directory = directive.directory()
    places = [*([directory] if directory else []), *paths]
    for place in places:
        base = Path(place, top)
        for file in (
            base.joinpath(*rest[:-1], f"{rest[-1]}.py") if rest else base.with_suffix(".py"),
            base / "__init__.py",
        ):
            if file.is_file():
                checkup.source(file)
                return
    if top in sys.builtin_module_names or importlib.machinery.PathFinder.find_spec(top, sys.path) is not None:
        return
    where = f" in {', '.join(places)}, nor" if places else ""
    what = f"there is no module {module}{where} among what is installed in this environment"
    cure = "Install it here, or name its directory: PythonPath \"sys.path + ['/directory']\"."
    checkup.findings.append(Finding(directive.file, directive.line, ERROR, what, cure))


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


def _is_environment(place: str, name: str) -> bool:
    return Path(place, name, "pyvenv.cfg").exists()
