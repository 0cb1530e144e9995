"""A CGI script's own modules: loaded anew for each run, and never another run's (manual, 6.2).

What is installed (the standard library, site-packages) and extension modules are
loaded once, as for everybody. Any other module that a script imports is the
script's own: it is in Script.modules, not in sys.modules, so that scripts which run
at once can have one each; and it goes with the script, so that the next run
executes its file anew. Only the compiled code is kept, while the file is unchanged.

Three things take part. `__import__` gives import statements of a script and its
modules their own modules. A finder, the first of sys.meta_path, gives them to
everybody else who imports by name (importlib.import_module(), pickle). Both leave a
_Delegate in sys.modules under the name, for what is looked up there: it stands for
each script's own module.
"""

import builtins
import functools
import importlib.util
import os
import stat
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import (
    BuiltinImporter,
    ExtensionFileLoader,
    FrozenImporter,
    ModuleSpec,
    PathFinder,
)
from types import CodeType, ModuleType
from typing import Any

from mod_python._script import Known, Script, current

__all__ = ["code_of", "install", "release"]

#: Files whose code is kept, at most.
MOST_CODE = 1024

#: Seconds after which a name that is installed is looked for among the script's own again.
KNOWN_FOR = 1.0

#: What tells one version of a file from another: microseconds, bytes, inode number.
_Stamp = tuple[int, int, int]

_code: dict[str, tuple[_Stamp, CodeType]] = {}
#: Extension modules cannot be loaded twice.
_extensions: dict[str, ModuleType] = {}
#: By sys.path: the same, names that are no script's own, and since when.
_known: dict[tuple[str, ...], Known] = {}
#: How many running scripts have a module of this name.
_users: dict[str, int] = {}
_users_lock = threading.RLock()

_STDLIB = os.path.dirname(os.__file__)
#: Directories of what is installed for this Python, ending in "/"; one is a file, never there.
_INSTALLED = tuple(
    os.path.join(os.path.realpath(path), "")
    for path in {
        _STDLIB,
        f"{os.path.dirname(_STDLIB)}/python{sys.version_info[0]}{sys.version_info[1]}.zip",
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    }
)
_INSTALLED_NAMES = ("/site-packages/", "/dist-packages/")


def code_of(path: str, stamp: _Stamp | None = None) -> CodeType:
    """The compiled code of a file, from memory if it is the same as before.

    Args:
        path: The file.
        stamp: What tells its version, if that is known.

    Raises:
        OSError: It cannot be read; IsADirectoryError if it is no file.
        SyntaxError: It is no Python.
    """
    if stamp is None:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise IsADirectoryError(f"{path} is no file")
        stamp = (status.st_mtime_ns // 1000, status.st_size, status.st_ino)
    kept = _code.get(path)
    if kept is not None and kept[0] == stamp:
        return kept[1]
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    while len(_code) >= MOST_CODE:
        _code.pop(next(iter(_code), ""), None)
    _code[path] = (stamp, code)
    return code


# Which modules are a script's own


@functools.lru_cache(1024)
def _is_installed(directory: str) -> bool:
    real = os.path.join(os.path.realpath(directory), "")
    return real.startswith(_INSTALLED) or any(name in real for name in _INSTALLED_NAMES)


def _is_own(spec: ModuleSpec) -> bool:
    if isinstance(spec.loader, ExtensionFileLoader):
        return False
    if spec.origin and spec.has_location:
        return not _is_installed(os.path.dirname(spec.origin))
    places = spec.submodule_search_locations
    return places is not None and not all(map(_is_installed, places))


def _is_built_in(name: str) -> bool:
    return BuiltinImporter.find_spec(name) is not None or FrozenImporter.find_spec(name) is not None


def _names_known(script: Script) -> set[str]:
    """Top-level names that a search of the script's path need not be made for."""
    known = script.known
    if known is None or known[0] != script.path:
        path = tuple(script.path)
        now = time.monotonic()
        known = _known.get(path)
        if known is None or now - known[2] >= KNOWN_FOR:
            if len(_known) >= MOST_CODE:
                _known.clear()
            known = _known[path] = ([*path], set(), now)
        script.known = known
    return known[1]


def _is_known(script: Script, name: str) -> bool:
    """Whether a module is known to be none of the script's own, by the first part of its name."""
    names = _names_known(script)
    top = name if name in names else name.partition(".")[0]
    return top in names and top not in script.modules


def _find(script: Script, name: str) -> ModuleSpec | None:
    """The spec of a module of the script's own; None: there is none of this name."""
    parent = name.rpartition(".")[0]
    if parent:
        path = getattr(script.modules[parent], "__path__", None)
        if path is None:
            raise ModuleNotFoundError(f"No module named {name!r}; {parent!r} is not a package", name=name)
        return PathFinder.find_spec(name, list(path))
    names = _names_known(script)
    if name in names:
        return None
    spec = None if _is_built_in(name) else PathFinder.find_spec(name, list(script.path))
    if spec is None or not _is_own(spec):
        if spec is not None or _is_built_in(name):
            names.add(name)
        return None
    return spec


# Loading them


def _load(script: Script, name: str) -> ModuleType | None:
    """A script's own module, loaded if need be; None if the name is none of its own."""
    module = script.modules.get(name)
    if module is not None:
        return module
    parent, _, child = name.rpartition(".")
    if parent and _load(script, parent) is None:
        return None
    with script.importing:
        module = script.modules.get(name)
        if module is not None:
            return module
        spec = _find(script, name)
        if spec is None:
            if parent:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            return None
        module = _execute(script, name, spec)
        if parent:
            setattr(script.modules[parent], child, module)
        return module


def _execute(script: Script, name: str, spec: ModuleSpec) -> ModuleType:
    if isinstance(spec.loader, ExtensionFileLoader):
        assert spec.origin is not None
        module = _extensions.get(spec.origin)
        if module is None:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            module = _extensions.setdefault(spec.origin, module)
        script.modules[name] = module
        return module
    module = importlib.util.module_from_spec(spec)
    script.modules[name] = module
    _use(name)
    try:
        if spec.origin is not None and spec.has_location and spec.origin.endswith(".py"):
            exec(code_of(spec.origin), vars(module))
        elif spec.loader is not None:
            spec.loader.exec_module(module)
    except BaseException:
        if script.modules.pop(name, None) is not None:
            _leave(name)
        raise
    return script.modules.get(name, module)


# sys.modules


class _Delegate(ModuleType):
    """Stands in sys.modules for each running script's own module of this name."""

    def __init__(self, name: str, outside: ModuleType | None = None) -> None:
        super().__init__(name)
        object.__setattr__(self, "_outside", outside)

    def __getattribute__(self, attribute: str) -> Any:
        return getattr(_stands_for(self), attribute)

    def __setattr__(self, attribute: str, value: Any) -> None:
        if attribute == "__spec__" and isinstance(value.loader, _Loader):
            return  # importlib makes the delegate: the module has a spec of its own
        setattr(_stands_for(self), attribute, value)

    def __delattr__(self, attribute: str) -> None:
        delattr(_stands_for(self), attribute)


def _stands_for(delegate: _Delegate) -> ModuleType:
    own = object.__getattribute__(delegate, "__dict__")
    name, outside = own["__name__"], own["_outside"]
    script = current.get()
    module = None if script is None else _load(script, name)
    if module is not None:
        return module
    if outside is None:
        raise AttributeError(f"module {name!r} is a CGI script's own")
    return outside  # type: ignore[no-any-return]


def _use(name: str) -> None:
    with _users_lock:
        _users[name] = _users.get(name, 0) + 1
        if name not in sys.modules:
            sys.modules[name] = _Delegate(name)


def _leave(name: str) -> None:
    with _users_lock:
        _users[name] -= 1
        if not _users[name]:
            del _users[name]
            if type(sys.modules.get(name)) is _Delegate:
                del sys.modules[name]


def release(script: Script) -> None:
    """The script has ended: nobody asks for its modules any more."""
    for name, module in list(script.modules.items()):
        if name != "__main__" and not isinstance(module.__loader__, ExtensionFileLoader):
            _leave(name)


class _Finder:
    """Finds a script's own modules for those that are not its own, installed ones first."""

    @staticmethod
    def find_spec(
        fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        script = current.get()
        if script is None:
            return None
        top = fullname.partition(".")[0]
        if top not in script.modules:
            if _is_built_in(top):
                return None
            installed = [place for place in script.path if _is_installed(place)]
            if PathFinder.find_spec(top, installed) is not None or _find(script, top) is None:
                return None
        return ModuleSpec(fullname, _Loader())  # type: ignore[arg-type]


class _Loader:
    """Loads a script's own module, and leaves the delegate in its place."""

    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType:
        return _Delegate(spec.name)

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        script = current.get()
        assert script is not None
        _load(script, object.__getattribute__(module, "__dict__")["__name__"])


# Import statements


def _import_statement(original: Callable[..., ModuleType]) -> Callable[..., ModuleType]:
    """`__import__`, which gives the script's own modules to the script and to them."""
    current_script = current.get

    def __import__(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        script = current_script()
        if script is not None and globals and (globals is script.namespace or script.owns(globals)):
            try:
                if not level and _is_known(script, name):
                    module = None  # mostly
                else:
                    module = _import(script, name, globals, fromlist or (), level)
            except BaseException as error:
                # As if the statement had raised it: without these frames.
                trace = error.__traceback__
                while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
                    trace = trace.tb_next
                error.__traceback__ = trace
                raise
            if module is not None:
                return module
        return original(name, globals, locals, fromlist, level)

    return __import__


def _import(
    script: Script, name: str, globals: Mapping[str, Any], fromlist: Sequence[str], level: int
) -> ModuleType | None:
    """What an import statement of the script's is to have; None if that is none of its own."""
    full = (
        importlib.util.resolve_name("." * level + name, globals.get("__package__") or "") if level else name
    )
    module = _load(script, full)
    if module is None or fromlist:
        if module is not None:
            _load_parts(script, module, full, fromlist)
        return module
    return script.modules[full.partition(".")[0]]


def _load_parts(script: Script, module: ModuleType, name: str, fromlist: Sequence[str]) -> None:
    """`from package import part`: parts that are modules are loaded."""
    if not hasattr(module, "__path__"):
        return
    for part in fromlist:
        if part == "*":
            _load_parts(script, module, name, [p for p in getattr(module, "__all__", ()) if p != "*"])
        elif not hasattr(module, part):
            full = f"{name}.{part}"
            try:
                _load(script, full)
            except ModuleNotFoundError as error:
                if error.name != full:
                    raise


def install() -> None:
    """Prepare this interpreter for scripts' own modules; once."""
    if isinstance(sys.modules["__main__"], _Delegate):
        return
    sys.modules["__main__"] = _Delegate("__main__", sys.modules["__main__"])
    sys.meta_path.insert(0, _Finder)
    builtins.__import__ = _import_statement(builtins.__import__)
