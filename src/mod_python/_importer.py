"""Finding, importing and reloading handler modules (manual, 3.3, 4.2, 5.4.8 and 5.4.11).

A module found in a handler's own directory is known by its path, so that two
`index.py` in two directories are two modules. A changed file is executed whole
into a new module, which then takes the old one's place: running requests keep
the old, and a failing reload is tried again at the next request.
"""

import importlib
import importlib.machinery
import importlib.util
import os
import sys
import threading
from types import CodeType, ModuleType

__all__ = ["add_directory", "contains", "evaluate_path", "load", "path_generation", "set_path"]

#: What tells one version of a file from another: nanoseconds, bytes, inode number.
_Stamp = tuple[int, int, int]


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Compiles the source always: a .pyc is told from its source by whole seconds
    and the size, which an edit need not change."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


class _Loaded:
    """A module, the file it is from, and that file's version."""

    __slots__ = ("module", "path", "stamp")

    def __init__(self, module: ModuleType, path: str | None, stamp: _Stamp | None) -> None:
        self.module = module
        self.path = path
        self.stamp = stamp

    def is_current(self) -> bool:
        """Whether the file is as it was, or cannot be looked at: then what is loaded stays."""
        if self.path is None:
            return True
        stamp = _stamp_of(self.path)
        return stamp is None or stamp == self.stamp


_loaded: dict[tuple[str, str | None], _Loaded] = {}
_locks: dict[tuple[str, str | None], threading.RLock] = {}
_locks_lock = threading.Lock()
#: What is being imported, each by the thread that has its lock.
_busy: set[tuple[str, str | None]] = set()

#: By PythonPath: one that refers to sys.path would make that grow at each change.
_paths: dict[str, list[str]] = {}
_path_text: str | None = None
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
            path = _paths[text] = evaluate_path(text)
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
    loaded = _loaded.get(key)
    if loaded is not None and (not reload or loaded.is_current()):
        return loaded.module
    with _lock_for(key):
        loaded = _loaded.get(key)
        if key in _busy:
            # The module imports itself, by way of others: as far as it has got.
            return sys.modules[loaded.module.__name__] if loaded else _import(name, directory).module
        _busy.add(key)
        try:
            if loaded is None:
                loaded = _import(name, directory)
            elif not loaded.is_current():
                loaded = _renew(loaded)
            _loaded[key] = loaded
        finally:
            _busy.discard(key)
    return loaded.module


def _lock_for(key: tuple[str, str | None]) -> threading.RLock:
    with _locks_lock:
        return _locks.setdefault(key, threading.RLock())


def _stamp_of(path: str) -> _Stamp | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def _import(name: str, directory: str | None) -> _Loaded:
    top, _, rest = name.partition(".")
    path = _find(directory, top) if directory else None
    if path is None:
        return _from_sys_path(importlib.import_module(name))
    top_name = _free_name(top, path)
    if rest:
        # The package first; what is inside it is then found through its __path__.
        package = load(top, directory, reload=False)
        return _from_sys_path(importlib.import_module(f"{package.__name__}.{rest}"))
    stamp = _stamp_of(path)
    if top_name in sys.modules and _file_of(sys.modules[top_name]) == path:
        # An import statement's: import_module() waits until another thread is done with it.
        return _Loaded(importlib.import_module(top_name), path, stamp)
    return _Loaded(_execute(top_name, path), path, stamp)


def _renew(loaded: _Loaded) -> _Loaded:
    """The module executed anew, from its changed file."""
    assert loaded.path is not None
    stamp = _stamp_of(loaded.path)
    return _Loaded(_execute(loaded.module.__name__, loaded.path), loaded.path, stamp)


def _from_sys_path(module: ModuleType) -> _Loaded:
    path = _file_of(module)
    return _Loaded(module, path, _stamp_of(path) if path else None)


def _file_of(module: ModuleType) -> str | None:
    """The source file of a module, or None if it has none that could change."""
    path = getattr(module, "__file__", None)
    return path if isinstance(path, str) and path.endswith(".py") else None


def _find(directory: str, name: str) -> str | None:
    """The file of a module or package in a directory."""
    for path in (
        os.path.join(directory, name, "__init__.py"),
        os.path.join(directory, name + ".py"),
    ):
        if os.path.isfile(path):
            return path
    return None


def _free_name(name: str, path: str) -> str:
    """The name that the module of this file has in sys.modules: its own, unless a
    module of another file has taken that."""
    other = sys.modules.get(name)
    if other is None or _file_of(other) == path:
        return name
    directory = os.path.dirname(path).replace("%", "%25").replace(".", "%2E")
    return f"{name}@{directory}"


def _execute(name: str, path: str) -> ModuleType:
    """Execute the file into a new module and put it into sys.modules.

    A failure leaves sys.modules as it was.
    """
    is_package = os.path.basename(path) == "__init__.py"
    spec = importlib.util.spec_from_file_location(
        name,
        path,
        loader=_SourceLoader(name, path),
        submodule_search_locations=[os.path.dirname(path)] if is_package else None,
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot import {path}", name=name, path=path)
    module = importlib.util.module_from_spec(spec)
    previous = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        if previous is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = previous
        raise
    parent, _, child = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], child, module)
    return module
