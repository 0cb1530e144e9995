"""Which file a module of a handler's directory is from, and its name in sys.modules.

Such a module is known by its path, so that two `index.py` in two directories are two
modules: the first has its plain name in sys.modules, another one that name and its
directory. What is decided stays so.
"""

import os
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter

from mod_python._source_loader import file_of

__all__ = [
    "adopt",
    "directory_of",
    "is_built_in",
    "is_file_module",
    "is_known",
    "labels",
    "name_in",
    "name_of",
    "source_of",
]

#: By name in sys.modules: the file, and the handler's directory that it belongs to.
_sources: dict[str, tuple[str, str | None]] = {}
#: Read only: by file of a handler's directory: its name in sys.modules.
labels: dict[str, str] = {}
#: Names of files that are no packages.
_file_modules: set[str] = set()


def find(directory: str, name: str) -> str | None:
    """The file of a module or package in a directory; one that has gone, if it is loaded."""
    paths = [os.path.join(directory, file) for file in (os.path.join(name, "__init__.py"), name + ".py")]
    for path in paths:
        if os.path.isfile(path):
            return path
    return next((path for path in paths if labels.get(path) in sys.modules), None)


def source_of(name: str) -> tuple[str | None, str | None]:
    """The file and the directory that a module, or its package, was given here."""
    return _sources.get(name) or _sources.get(name.partition(".")[0]) or (None, None)


def is_known(name: str) -> bool:
    """Whether this very name was given here, not only that of its package."""
    return name in _sources


def directory_of(name: str) -> str | None:
    """The handler's directory that a module in sys.modules belongs to."""
    return _sources.get(name.partition(".")[0], (None, None))[1]


def is_file_module(name: str) -> bool:
    """Whether it is a file of a handler's directory, and no package."""
    return name in _file_modules


def adopt(name: str, path: str) -> None:
    """Have a module of sys.path found here, if it is not already."""
    if name.partition(".")[0] not in _sources:
        _sources[name] = (path, None)


def is_built_in(name: str) -> bool:
    """Whether Python has this module before it looks anywhere."""
    return BuiltinImporter.find_spec(name) is not None or FrozenImporter.find_spec(name) is not None


def name_in(directory: str, name: str) -> str | None:
    """The name in sys.modules of a directory's own module; None if it has none of this name."""
    path = find(directory, name)
    return path and name_of(path, directory, name)


def name_of(path: str, directory: str, name: str, is_taken: bool = False) -> str:
    """The name in sys.modules of a file: its own, unless a module of another file has taken
    that, or is_taken, or Python would take it for that of a package's part."""
    if path in labels:
        return labels[path]
    directory = directory.rstrip("/") or "/"
    source = (path, directory)
    other = sys.modules.get(name)
    is_taken = is_taken or "." in name or is_built_in(name)
    is_taken = is_taken or (other is not None and file_of(other) != path)
    if is_taken or _sources.setdefault(name, source) != source:
        name = f"{name}@{directory}".replace("%", "%25").replace(".", "%2E")
        _sources[name] = source
    if os.path.basename(path) != "__init__.py":
        _file_modules.add(name)
    return labels.setdefault(path, name)
