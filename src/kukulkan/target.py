"""What the PATH of `kukulkan serve` names: a directory of pages, one handler, or a WSGI
application.

Nothing is imported to find out: that is for Apache's children, whose log says what fails.
"""

import importlib.machinery
import re
import symtable
import sys
import tokenize
from dataclasses import dataclass, field
from pathlib import Path

from kukulkan.errors import KukulkanError

_PAGE = re.compile(rb"\bhandler\b|^(async )?def index\b", re.MULTILINE)

#: What a module with a WSGI application calls it; a Flask one by custom the second.
_WSGI_NAMES = ("application", "app")

_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class Site:
    """A directory: its `.py` files are handlers or published, its other files are served as
    they are."""

    root: Path


@dataclass(frozen=True)
class Application:
    """One handler, or WSGI application, that gets every request."""

    import_path: Path
    handler: str  # as for PythonHandler: "module[::object]"
    is_wsgi: bool = False
    source: Path | None = field(default=None, compare=False)  # None: none is known


def resolve(text: str, cwd: Path) -> Site | Application:
    """Read PATH: a directory, FILE.py or MODULE; the last two may be followed by ::OBJECT for
    a handler, or by :OBJECT for a WSGI application.

    With neither it is a handler if the module defines `handler`, else a WSGI application if
    it defines `application` or `app`.

    Raises:
        KukulkanError: it names none of these.
    """
    name, separator, attribute = _parts(text, cwd)
    if separator and not _DOTTED.fullmatch(attribute):
        raise KukulkanError(
            f"{attribute!r}, after the {separator} in {text!r}, is not the name of a Python object."
        )
    path = cwd / name
    if path.is_dir() and not separator:
        return Site(path.resolve())
    if path.is_file():
        return _application(path.resolve().parent, _module_of_file(path), separator, attribute, path)
    if not _DOTTED.fullmatch(name):
        raise KukulkanError(f"There is no file or directory {path}, and {name!r} is not a module's name.")
    if not _importable(name, cwd):
        raise KukulkanError(
            f"There is no file or directory {path}, and no module {name!r} in {cwd} or on Python's path."
        )
    return _application(cwd.resolve(), name, separator, attribute, _source(name, cwd))


def _parts(text: str, cwd: Path) -> tuple[str, str, str]:
    """What names the module, "::", ":" or "", and what names the object."""
    if "::" in text:
        return text.partition("::")
    if (cwd / text).exists():
        return text, "", ""  # a colon of the path's own
    name, separator, attribute = text.rpartition(":")
    return (name, separator, attribute) if separator else (text, "", "")


def _application(
    import_path: Path, module: str, separator: str, attribute: str, source: Path | None
) -> Application:
    if separator:
        return Application(import_path, f"{module}::{attribute}", separator == ":", source)
    names = _names_of(source) if source else set()
    if "handler" not in names:
        for name in _WSGI_NAMES:
            if name in names:
                return Application(import_path, f"{module}::{name}", True, source)
    return Application(import_path, module, source=source)


def _names_of(source: Path) -> set[str]:
    """The names that a module's own code gives a value; none if it cannot be read."""
    try:
        with tokenize.open(source) as file:
            table = symtable.symtable(file.read(), str(source), "exec")
    except (OSError, SyntaxError, ValueError):
        return set()
    return {
        symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()
    }


def handlers_of(site: Site) -> list[Path]:
    """The pages directly in a site's directory, in order: `_name.py` is none, nor a file that
    neither speaks of a `handler` (a filter, or a protocol) nor has an `index` to publish. One
    that cannot be read may be one."""
    files = (path for path in site.root.glob("[!._]*.py") if path.is_file())
    return sorted(path for path in files if _is_page(path))


def _is_page(path: Path) -> bool:
    try:
        return _PAGE.search(path.read_bytes()) is not None
    except OSError:
        return True


def _module_of_file(path: Path) -> str:
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise KukulkanError(
            f"{path} is not a Python module: the name of its file must be a Python name and end in .py. "
            "To serve other files, name their directory."
        )
    return path.stem


def _source(name: str, cwd: Path) -> Path | None:
    """The file of a module or package; None if it has none that could be read."""
    places: list[str] | None = [str(cwd), *sys.path]
    spec = None
    parts = name.split(".")
    for depth in range(len(parts)):
        if not places:
            return None
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[: depth + 1]), places)
        if spec is None:
            return None
        places = list(spec.submodule_search_locations or ())
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _importable(name: str, cwd: Path) -> bool:
    """Whether the top package of the name is found; nothing is imported to find out."""
    top = name.partition(".")[0]
    return importlib.machinery.PathFinder.find_spec(top, [str(cwd), *sys.path]) is not None
