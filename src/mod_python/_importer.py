"""Finding, importing and reloading handler modules (manual, 3.3, 4.2, 5.4.8 and 5.4.11).

A module found in a handler's own directory is known by its path, so that two
`index.py` in two directories are two modules: the first has its plain name in
sys.modules, another one that name and its directory. A finder tells Python's
import system which name stands for which file, and that does all the rest.

What such a module imports from beside it is its own, too. All modules of a
directory share one `__builtins__`, a copy whose `__import__` gives the name at
the front of an absolute import the meaning it has in that directory, if any,
and leaves everything else to Python. importlib.import_module() stays as it is.
A name that a program adds to builtins is in the copy once a module of the
directory has been executed after that, or the one that adds it.

A changed file is executed whole into a new module, which then takes the old one's
place: running requests keep the old, and a failing reload is tried again at the
next request.

Threads: what is loaded is found without a lock. Imports and reloads wait for
each other by the import system's own locks only, one for each module, which see
a deadlock coming: of two threads whose modules import each other, one gets the
other's module as far as it has got, as in any circle of imports. While a module
is reloaded, an import statement in another thread waits for the new one.
"""

import builtins
import errno
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec, spec_from_file_location
from types import CodeType, ModuleType
from typing import Any

__all__ = [
    "add_directory",
    "contains",
    "evaluate_path",
    "load",
    "load_file",
    "path_generation",
    "path_without_handlers",
    "set_path",
]

#: What tells one version of a file from another: nanoseconds, bytes, inode number.
_Stamp = tuple[int, int, int]


class _SourceLoader(SourceFileLoader):
    """Loads a module from its source, for the handler's directory that it belongs to."""

    def __init__(self, fullname: str, path: str, directory: str | None) -> None:
        super().__init__(fullname, path)
        self.directory = directory
        self.stamp: _Stamp | None = None

    def get_code(self, fullname: str) -> CodeType | None:
        """The code; of modules that are reloaded it is compiled always: a .pyc is told
        from its source by whole seconds and the size, which an edit need not change."""
        path = self.get_filename(fullname)
        self.stamp = _stamp_of(path)
        if fullname not in _watched:
            return super().get_code(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module, still empty but for what Python would not give it."""
        module = ModuleType(spec.name)
        if self.directory is not None:
            vars(module)["__builtins__"] = _builtins_of(self.directory)
        if spec.submodule_search_locations is not None:
            # A package executed anew: import statements find its parts in sys.modules,
            # and would not make them its attributes again.
            for name, part in list(sys.modules.items()):
                package, _, child = name.rpartition(".")
                if package == spec.name:
                    setattr(module, child, part)
        return module


class _Finder:
    """Finds the modules of _sources, and the parts of packages that are there."""

    @staticmethod
    def find_spec(
        fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top = fullname.partition(".")[0]
        file, directory = _sources.get(fullname) or _sources.get(top) or (None, None)
        if file is None:
            return None
        if fullname not in _sources:
            spec = PathFinder.find_spec(fullname, path)
        elif os.path.isfile(file):
            places = [os.path.dirname(file)] if os.path.basename(file) == "__init__.py" else None
            spec = spec_from_file_location(fullname, file, submodule_search_locations=places)
        else:
            spec = None
        if spec and spec.origin and type(spec.loader) is SourceFileLoader:
            spec.loader = _SourceLoader(fullname, spec.origin, directory)
        return spec


class _Loaded:
    """A module, its name in sys.modules, the file it is from, and that file's version."""

    __slots__ = ("module", "name", "path", "stamp")

    def __init__(self, name: str, module: ModuleType, stamp: _Stamp | None) -> None:
        self.name = name
        self.module = module
        self.path = _file_of(module)
        loader = getattr(getattr(module, "__spec__", None), "loader", None)
        self.stamp = loader.stamp if isinstance(loader, _SourceLoader) else stamp

    def is_current(self) -> bool:
        """Whether the file is as it was, or cannot be looked at: then what is loaded stays."""
        if self.path is None:
            return True
        stamp = _stamp_of(self.path)
        return stamp is None or stamp == self.stamp

    def is_half_done(self) -> bool:
        """Whether it is still being executed: it imports itself, by way of others, and
        may yet fail."""
        return getattr(getattr(self.module, "__spec__", None), "_initializing", False) is True


#: By name in sys.modules.
_loaded: dict[str, _Loaded] = {}
#: What load() has been asked for, name and directory: the name in sys.modules.
_asked: dict[tuple[str, str | None], str] = {}
#: By name in sys.modules: the file, and the handler's directory that it belongs to.
_sources: dict[str, tuple[str, str | None]] = {}
#: By file of a handler's directory: its name in sys.modules, the same for good.
_names: dict[str, str] = {}
#: Names in sys.modules of what is reloaded.
_watched: set[str] = set()
_builtins: dict[str, dict[str, Any]] = {}
#: Makes one step of taking an old module out of sys.modules; never held during an import.
_removal = threading.Lock()

#: By PythonPath: one that refers to sys.path would make that grow at each change.
_paths: dict[str, list[str]] = {}
_path_text: str | None = None
#: Handlers' directories, put at the front of sys.path.
_added: set[str] = set()
_path_generation = 0


# sys.path


def evaluate_path(text: str) -> list[str]:
    """The list that a PythonPath directive denotes (manual, 5.4.11).

    Raises:
        ValueError: It is no list of strings, or cannot be evaluated.
    """
    try:
        path = eval(text, {"__builtins__": __builtins__, "sys": sys, "os": os})
    except Exception as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not isinstance(path, list) or not all(isinstance(item, str) for item in path):
        raise ValueError(f"it is no list of strings, but {path!r:.200}")
    return path


def set_path(text: str) -> None:
    """Have sys.path be what this PythonPath says, unless it was the last one set."""
    global _path_text, _path_generation
    if text != _path_text:
        path = _paths.get(text)
        if path is None:
            try:
                path = _paths[text] = evaluate_path(text)
            except ValueError as error:
                raise ValueError(
                    f"PythonPath {text}: {error}: write a Python list of directories, as "
                    "\"['/dir']\" or \"sys.path+['/dir']\""
                ) from None
        sys.path[:] = path
        _path_text = text
        _path_generation += 1


def path_generation() -> int:
    """How often PythonPath has replaced sys.path."""
    return _path_generation


def add_directory(directory: str) -> None:
    """Put a handler's directory at the front of sys.path, once."""
    directory = directory.rstrip("/") or "/"
    if directory not in sys.path:
        sys.path.insert(0, directory)
        _added.add(directory)


def path_without_handlers() -> list[str]:
    """sys.path without what add_directory() has put there."""
    return [directory for directory in sys.path if directory not in _added]


# Modules


def contains(directory: str, name: str) -> bool:
    """Whether the directory has the module or package that name begins with."""
    return _find(directory, name.partition(".")[0]) is not None


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
    if loaded is not None and (not reload or loaded.is_current()):
        return loaded.module
    actual = _actual_name(name, directory)
    loaded = _loaded.get(actual) or _import(actual)
    if reload and not loaded.is_half_done() and not loaded.is_current():
        loaded = _renew(loaded)
    if not loaded.is_half_done():
        _loaded[actual] = loaded
        _asked[key] = actual
        _, own = _sources.get(actual.partition(".")[0], (None, None))
        if own is not None:
            _builtins_of(own)  # it may have added to builtins
    return loaded.module


def load_file(path: str, reload: bool = True) -> ModuleType:
    """The module of this very file, imported or reloaded if need be.

    Args:
        path: Absolute, ending in ".py"; what is before that may be no Python name.
        reload: Whether a changed file, or one that has gone, is noticed.

    Raises:
        FileNotFoundError: There is no such file any more.
        Exception: Whatever its code raises.
    """
    loaded = _loaded.get(_names.get(path, ""))
    stamp = _stamp_of(path) if reload or loaded is None else None
    if loaded is not None and (not reload or stamp == loaded.stamp):
        return loaded.module
    if stamp is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    directory, file = os.path.split(path)
    name = file.removesuffix(".py")
    # In the standard library's stead it would be everybody's, not this directory's only.
    actual = _name_of(path, directory, name, name in sys.stdlib_module_names)
    loaded = _loaded.get(actual) or _import(actual)
    if reload and not loaded.is_half_done() and not loaded.is_current():
        loaded = _renew(loaded)
    if not loaded.is_half_done():
        _loaded[actual] = loaded
        _builtins_of(directory)  # it may have added to builtins
    return loaded.module


def _actual_name(name: str, directory: str | None) -> str:
    """The name that a module has in sys.modules."""
    top, dot, rest = name.partition(".")
    own = _name_in(directory, top) if directory else None
    return (own or top) + dot + rest


def _import(name: str) -> _Loaded:
    _watched.add(name)
    if name in sys.modules:
        path = _file_of(sys.modules[name])
    else:
        spec = find_spec(name)
        path = spec.origin if spec and spec.has_location else None
        if path and spec and type(spec.loader) is SourceFileLoader:
            _adopt(name, path)
    stamp = _stamp_of(path) if path else None  # of before: it may change from here on
    return _Loaded(name, _import_by_name(name), stamp)


def _renew(loaded: _Loaded) -> _Loaded:
    """The module executed anew from its changed file, by this thread or another."""
    assert loaded.path is not None
    _adopt(loaded.name, loaded.path)
    _watched.add(loaded.name)
    stamp = _stamp_of(loaded.path)
    return _Loaded(loaded.name, _import_by_name(loaded.name, loaded.module), stamp)


def _adopt(name: str, path: str) -> None:
    """Have a module of sys.path loaded by _SourceLoader, if it is not already."""
    if name.partition(".")[0] not in _sources:
        _sources[name] = (path, None)


def _import_by_name(name: str, old: ModuleType | None = None) -> ModuleType:
    """Import by the name in sys.modules, where a failure leaves the old module.

    The old one goes only if it is still there, so that of several threads one
    executes the file and the others wait for it.
    """
    while True:
        with _removal:
            if old is not None and sys.modules.get(name) is old:
                del sys.modules[name]
        try:
            # Not importlib.import_module(): that raises where a deadlock is seen coming.
            __import__(name)
        except BaseException:
            if old is not None:
                sys.modules.setdefault(name, old)
            raise
        module = sys.modules.get(name)
        if module is not None and module is not old:
            return module
        # Another thread failed, for which this one waited: it shall have its own error.


def _stamp_of(path: str) -> _Stamp | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def _file_of(module: ModuleType) -> str | None:
    """The source file of a module, or None if it has none that could change."""
    path = getattr(module, "__file__", None)
    return path if isinstance(path, str) and path.endswith(".py") else None


def _find(directory: str, name: str) -> str | None:
    """The file of a module or package in a directory."""
    for file in (os.path.join(name, "__init__.py"), name + ".py"):
        path = os.path.join(directory, file)
        if os.path.isfile(path):
            return path
    return None


# Names


def _is_built_in(name: str) -> bool:
    """Whether Python has this module before it looks anywhere."""
    return BuiltinImporter.find_spec(name) is not None or FrozenImporter.find_spec(name) is not None


def _name_in(directory: str, name: str) -> str | None:
    """The name in sys.modules of a directory's own module; None if it has none of this name."""
    path = _find(directory, name)
    return path and _name_of(path, directory, name)


def _name_of(path: str, directory: str, name: str, is_taken: bool = False) -> str:
    """The name in sys.modules of a file: its own, unless a module of another file has taken
    that, or is_taken, or Python would take it for that of a package's part."""
    if path in _names:
        return _names[path]
    directory = directory.rstrip("/") or "/"
    source = (path, directory)
    other = sys.modules.get(name)
    is_taken = is_taken or "." in name or _is_built_in(name)
    is_taken = is_taken or (other is not None and _file_of(other) != path)
    if is_taken or _sources.setdefault(name, source) != source:
        name = f"{name}@{directory}".replace("%", "%25").replace(".", "%2E")
        _sources[name] = source
    return _names.setdefault(path, name)


def _builtins_of(directory: str) -> dict[str, Any]:
    """What modules of a directory have for `__builtins__`, brought up to date."""
    own = _builtins.get(directory)
    if own is None:
        own = _builtins.setdefault(directory, {"__import__": _import_statement(directory)})
    own.update({**vars(builtins), "__import__": own["__import__"]})
    return own


def _import_statement(directory: str) -> Callable[..., ModuleType]:
    """The `__import__` of a directory's modules."""
    # By the first part of a name that has been imported: what that is in sys.modules.
    known: dict[str, str] = {}

    def import_statement(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        top, dot, rest = name.partition(".")
        try:
            if level:
                return builtins.__import__(name, globals, locals, fromlist, level)
            found = known.get(top)
            if found is not None:
                return builtins.__import__(found + dot + rest, globals, locals, fromlist, 0)
            found = top if _is_built_in(top) else _name_in(directory, top) or top
            module = builtins.__import__(found + dot + rest, globals, locals, fromlist, 0)
        except BaseException as error:
            # As if the statement had raised it: without this frame.
            if error.__traceback__ is not None:
                error.__traceback__ = error.__traceback__.tb_next
            raise
        known[top] = found
        _builtins_of(directory)
        return module

    return import_statement


sys.meta_path.insert(0, _Finder)
