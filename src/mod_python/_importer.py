"""Finding, importing and reloading handler modules (manual, 3.3, 4.2, 5.4.8 and 5.4.11).

The parts: a module found in a handler's own directory is known by its path
(_module_names); a finder, here, tells Python's import system which name stands for which
file, and that does all the rest, with a loader that adds what the API promises
(_source_loader); import statements go by the importing module's directory
(_import_statement); what has changed, or imports what has, is made anew (_reload).

Threads: what is loaded is found without a lock. Of two threads whose modules import each
other, one gets the other's module as far as it has got, as in any circle of imports.
"""

import errno
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec, spec_from_file_location
from types import ModuleType
from typing import Any

from mod_python import _module_names, _reload, _scope
from mod_python._import_statement import absolute, builtins_of, note, places, places_of_option
from mod_python._python_path import (
    add_directory,
    evaluate_path,
    path_generation,
    path_without_handlers,
    set_path,
)
from mod_python._source_loader import (
    ModuleInfo,
    SourceLoader,
    Stamp,
    file_of,
    info_of,
    is_half_done,
    stamp_of,
)

__all__ = [
    "add_directory",
    "evaluate_path",
    "import_module",
    "load",
    "load_file",
    "loaded_file",
    "path_generation",
    "path_without_handlers",
    "place_of",
    "set_path",
]


class _Finder:
    """Finds the modules of handlers' directories, and the parts of packages that are there."""

    @staticmethod
    def find_spec(
        fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file, directory = _module_names.source_of(fullname)
        if file is None:
            return None
        if not _module_names.is_known(fullname):
            spec = PathFinder.find_spec(fullname, path)
        elif os.path.isfile(file):
            places = [os.path.dirname(file)] if os.path.basename(file) == "__init__.py" else None
            spec = spec_from_file_location(fullname, file, submodule_search_locations=places)
        else:
            spec = None
        if spec and spec.origin and type(spec.loader) is SourceFileLoader:
            spec.loader = _loader_of(fullname, spec.origin, directory)
        return spec


def _loader_of(name: str, path: str, directory: str | None) -> SourceLoader:
    is_file = _module_names.is_file_module(name)
    return SourceLoader(
        name,
        path,
        namespace=None if directory is None else builtins_of(directory),
        info=ModuleInfo(name, path) if is_file else None,
        search=_search.get(name, []),
        is_reloaded=is_file or name in _watched,
        take_old=_reload.take_old,
    )


class _Loaded:
    """A module, its name in sys.modules, the file it is from, and that file's version."""

    __slots__ = ("module", "name", "path", "stamp")

    def __init__(self, name: str, module: ModuleType, stamp: Stamp | None) -> None:
        self.name = name
        self.module = module
        self.path = file_of(module)
        loader = getattr(getattr(module, "__spec__", None), "loader", None)
        self.stamp = loader.stamp if isinstance(loader, SourceLoader) else stamp

    def is_current(self) -> bool:
        """Whether the file is as it was, or cannot be looked at: then what is loaded stays."""
        if self.path is None:
            return True
        stamp = stamp_of(self.path)
        return stamp is None or stamp == self.stamp


#: By name in sys.modules.
_loaded: dict[str, _Loaded] = {}
#: What load() has been asked for, name and directory: the name in sys.modules.
_asked: dict[tuple[str, str | None], str] = {}
#: Names in sys.modules of what is reloaded and no file module.
_watched: set[str] = set()
#: By name in sys.modules: its __mp_path__.
_search: dict[str, list[str]] = {}


def place_of(name: str, directory: str | None, option: str | None) -> str | None:
    """The directory that a handler's module is looked for in before sys.path: the handler's
    own, unless it lacks the module and one of the option mod_python.importer.path has it.

    Args:
        name: Dotted name.
        directory: That of the handler, if it has one.
        option: Its value.
    """
    top = name.partition(".")[0]
    if directory is not None and _module_names.name_in(directory, top) is not None:
        return directory
    places = places_of_option(option, directory)
    return next((each for each in places if _module_names.name_in(each, top) is not None), directory)


def load(name: str, directory: str | None = None, reload: bool = True) -> ModuleType:
    """The module of this name, imported or reloaded if need be.

    Args:
        name: Dotted name.
        directory: Where it is looked for before sys.path.
        reload: Whether a changed file is noticed.

    Raises:
        ImportError: There is no such module.
        Exception: Whatever its code raises.
    """
    key = (name, directory)
    loaded = _loaded.get(_asked.get(key, ""))
    if loaded is not None and not reload:
        return loaded.module
    label = _asked.get(key) or _label(name, (directory,) if directory else ())
    module = _get(label, reload)
    if label in _loaded:
        _asked[key] = label
    return module


def load_file(path: str, reload: bool = True) -> ModuleType:
    """The module of this very file, imported or reloaded if need be.

    Args:
        path: Absolute, ending in ".py"; what is before that may be no Python name.
        reload: Whether a changed file, or one that has gone, is noticed.

    Raises:
        FileNotFoundError: There is no such file any more.
        Exception: Whatever its code raises.
    """
    loaded = _loaded.get(_module_names.labels.get(path, ""))
    if loaded is not None and not reload:
        return loaded.module
    label = _module_names.labels.get(path)
    if label is None or loaded is None or not _reload.is_frozen():
        if not os.path.isfile(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        label = _label_of_file(path)
    return _get(label, reload)


def loaded_file(path: str) -> ModuleType | None:
    """The module of this very file, if it was loaded, whether or not the file has changed."""
    loaded = _loaded.get(_module_names.labels.get(path, ""))
    return None if loaded is None else loaded.module


def import_module(
    name: str,
    importer: Mapping[str, Any],
    reload: bool,
    log: bool,
    path: list[str] | None = None,
) -> ModuleType:
    """apache.import_module().

    Args:
        importer: The globals of the module that calls it.
    """
    if name.startswith(("/", "~/", "./", "../")):
        file = importer.get("__file__")
        label = _file_label(absolute(name, os.path.dirname(file) if isinstance(file, str) else None))
    elif "/" in name:
        raise ImportError(f"cannot import {name}: a file beside the importing one is ./{name}", name=name)
    else:
        label = _label(name, places(importer, path))
    if path and _module_names.is_file_module(label):
        _search.setdefault(label, list(path))
    seen = _scope.seen_modules(make=False)
    before, was_known = sys.modules.get(label), label in _loaded
    module = seen.get(label) if seen is not None else None
    if module is None:
        module = _get(label, reload)
        if log and module is not before:
            _scope.tell(f"mod_python: {'re' if was_known else ''}importing module '{label}'")
    note(importer, module)
    return module


def _file_label(path: str) -> str:
    """The name in sys.modules of a file that import_module() names."""
    if not path.endswith(".py"):
        raise ImportError(f"cannot import {path}: the name of a module's file ends in .py", path=path)
    label = _module_names.labels.get(path)
    if label is None or label not in _loaded:
        if not os.path.isfile(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        label = _label_of_file(path)
    return label


def _label_of_file(path: str) -> str:
    """The name in sys.modules of a file."""
    directory, file = os.path.split(path)
    name = file.removesuffix(".py")
    # In the standard library's stead it would be everybody's, not this directory's only.
    return _module_names.name_of(path, directory, name, name in sys.stdlib_module_names)


def _label(name: str, directories: Iterable[str]) -> str:
    """The name in sys.modules of a module that is looked for in directories first."""
    top, dot, rest = name.partition(".")
    own = (_module_names.name_in(directory, top) for directory in directories)
    return next(filter(None, own), top) + dot + rest


def _get(label: str, reload: bool) -> ModuleType:
    """The module of this name in sys.modules, imported or reloaded if need be."""
    loaded = _loaded.get(label)
    reload = reload and not _reload.is_frozen()
    if loaded is not None and not reload:
        return loaded.module
    present = sys.modules.get(label)
    if _module_names.is_file_module(label) and (present is None or info_of(present) is not None):
        if reload:
            module = _reload.current(label, _scope.seen_modules(make=True))
        else:
            module = _reload.import_by_name(label, {})
        if loaded is None or loaded.module is not module:
            loaded = _Loaded(label, module, None)
    else:
        if loaded is None or loaded.module is not present:
            loaded = _import(label)
        if reload and not is_half_done(loaded.module) and not loaded.is_current():
            loaded = _renew(loaded)
    if not is_half_done(loaded.module) and _loaded.get(label) is not loaded:
        _loaded[label] = loaded
        directory = _module_names.directory_of(label)
        if directory is not None:
            builtins_of(directory)  # it may have added to builtins
    return loaded.module


def _import(name: str) -> _Loaded:
    _watched.add(name)
    if name in sys.modules:
        path = file_of(sys.modules[name])
    else:
        spec = find_spec(name)
        path = spec.origin if spec and spec.has_location else None
        if path and spec and type(spec.loader) is SourceFileLoader:
            _module_names.adopt(name, path)
    stamp = stamp_of(path) if path else None  # of before: it may change from here on
    return _Loaded(name, _reload.import_by_name(name, {}), stamp)


def _renew(loaded: _Loaded) -> _Loaded:
    """The module executed anew from its changed file, by this thread or another."""
    assert loaded.path is not None
    _module_names.adopt(loaded.name, loaded.path)
    _watched.add(loaded.name)
    stamp = stamp_of(loaded.path)
    return _Loaded(loaded.name, _reload.import_by_name(loaded.name, {loaded.name: loaded.module}), stamp)


sys.meta_path.insert(0, _Finder)
