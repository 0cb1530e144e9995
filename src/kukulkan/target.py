"""What the PATH of `kukulkan serve` names: a directory of pages, or one handler."""

import importlib.machinery
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from kukulkan.errors import KukulkanError

_PAGE = re.compile(rb"\bhandler\b|^(async )?def index\b", re.MULTILINE)
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class Site:
    """A directory: its `.py` files are handlers or published, its other files are served as
    they are."""

    root: Path


@dataclass(frozen=True)
class Application:
    """One handler that gets every request, written as for `PythonHandler`."""

    import_path: Path
    handler: str


def resolve(text: str, cwd: Path) -> Site | Application:
    """Read PATH: a directory, FILE.py, MODULE, and FILE.py or MODULE followed by ::OBJECT.

    Raises:
        KukulkanError: it names none of these.
    """
    name, separator, attribute = text.partition("::")
    if separator and not _DOTTED.fullmatch(attribute):
        raise KukulkanError(f"{attribute!r}, after the :: in {text!r}, is not the name of a Python object.")
    path = cwd / name
    if path.is_dir() and not separator:
        return Site(path.resolve())
    if path.is_file():
        return Application(path.resolve().parent, _module_of_file(path) + separator + attribute)
    if not _DOTTED.fullmatch(name):
        raise KukulkanError(f"There is no file or directory {path}, and {name!r} is not a module's name.")
    if not _importable(name, cwd):
        raise KukulkanError(
            f"There is no file or directory {path}, and no module {name!r} in {cwd} or on Python's path."
        )
    return Application(cwd.resolve(), text)


def handlers_of(site: Site) -> list[Path]:
    """The pages directly in a site's directory, in order: `_name.py` is none, nor a file that
    neither speaks of a `handler` (a filter, or a protocol) nor has an `index` to publish."""
    files = (path for path in site.root.glob("[!._]*.py") if path.is_file())
    return sorted(path for path in files if _PAGE.search(path.read_bytes()))


def _module_of_file(path: Path) -> str:
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise KukulkanError(
            f"{path} is not a Python module: the name of its file must be a Python name and end in .py. "
            "To serve other files, name their directory."
        )
    return path.stem


def _importable(name: str, cwd: Path) -> bool:
    """Whether the top package of the name is found; nothing is imported to find out."""
    top = name.partition(".")[0]
    return importlib.machinery.PathFinder.find_spec(top, [str(cwd), *sys.path]) is not None
