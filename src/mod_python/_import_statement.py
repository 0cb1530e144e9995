"""What import statements do in the modules of handlers' directories.

What such a module imports from beside it is its own. All modules of a directory share
one `__builtins__`, a copy whose `__import__` gives the name at the front of an absolute
import the meaning it has in that directory, if any, or else in the module's
`__mp_path__` or the option mod_python.importer.path, and leaves everything else to
Python. importlib.import_module() stays as it is. A name that a program adds to builtins
is in the copy once a module of the directory has been executed after that, or the one
that adds it.

A file module that is imported is noted in the importing one's `__mp_info__`, and, with
PythonAutoReload, looked at as at a handler's module.
"""

import builtins
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from mod_python import _module_names, _reload, _scope
from mod_python._source_loader import ModuleInfo

__all__ = ["absolute", "builtins_of", "note", "places", "places_of_option"]

_builtins: dict[str, dict[str, Any]] = {}

#: The files whose frames are none of the program's business.
_OURS = (__file__, _reload.__file__)


def builtins_of(directory: str) -> dict[str, Any]:
    """What modules of a directory have for `__builtins__`, brought up to date."""
    own = _builtins.get(directory)
    if own is None:
        own = _builtins.setdefault(directory, {"__import__": _import_statement(directory)})
    own.update({**vars(builtins), "__import__": own["__import__"]})
    return own


def absolute(text: str, base: str | None) -> str:
    """The path that "/x", "~/x" (from the handler's directory), "./x" or "../x" (from the
    importing file's) stands for.

    Args:
        base: The directory of the importing file, if there is one.

    Raises:
        ImportError: There is no such directory to begin from.
    """
    if text == "~" or text.startswith("~/"):
        start, rest, lacking = _scope.handler_root(), text[2:], "the running handler's directive has no"
    else:
        start, rest, lacking = base, text, "what imports it is no file: there is no"
    if os.path.isabs(rest):
        return os.path.normpath(rest)
    if start is None:
        raise ImportError(f"cannot find {text!r}: {lacking} directory; give the absolute path")
    return os.path.normpath(os.path.join(start, rest))


def places(globals: Mapping[str, Any], path: Sequence[str] | None = None) -> Iterator[str]:
    """The directories in which a module with these globals looks for what it imports, before
    sys.path, in order.

    Args:
        path: The first of them.
    """
    file = globals.get("__file__")
    base = os.path.dirname(file) if isinstance(file, str) else None
    for item in path or ():
        yield absolute(item, base)
    if base is not None and isinstance(globals.get("__mp_info__"), ModuleInfo):
        yield base
        for item in globals.get("__mp_path__") or ():
            yield absolute(item, base)
    elif (root := _scope.handler_root()) is not None:
        yield os.path.normpath(root)
    yield from places_of_option(_scope.options().get(_scope.IMPORTER_PATH), _scope.handler_root())


def places_of_option(option: str | None, root: str | None) -> Iterator[str]:
    """The directories of the option mod_python.importer.path, without those that would begin
    from the handler's directory where there is none.

    Args:
        option: Its value, if there is one.
        root: The handler's directory.
    """
    for item in _scope.importer_path(option):
        if os.path.isabs(item) or root is not None:
            yield absolute(item, root)


def note(globals: Mapping[str, Any] | None, module: ModuleType) -> None:
    """Note that the module with these globals has imported another."""
    importer = globals.get("__mp_info__") if globals else None
    if isinstance(importer, ModuleInfo):
        _reload.note(importer, module)


def _meaning(top: str, directory: str, globals: Mapping[str, Any]) -> str:
    """What the first part of a name is in sys.modules."""
    if _module_names.is_built_in(top):
        return top
    own = _module_names.name_in(directory, top)
    if own is not None:
        return own
    for place in places(globals):
        own = _module_names.name_in(place, top)
        if own is not None:
            return own
    return top


def _file_module(name: str) -> ModuleType:
    """A file module by its name in sys.modules; as it is now, if that is wanted."""
    seen = _scope.seen_modules()
    if seen is not None and not _reload.is_frozen():
        return _reload.current(name, seen)
    return builtins.__import__(name)


def _import_statement(directory: str) -> Callable[..., ModuleType]:
    """The `__import__` of a directory's modules."""
    # By the first part of a name that has been imported, with the importer's __mp_path__ if it
    # has one: what that is in sys.modules. Functions import at each call, so this is short.
    known: dict[str | tuple[str, ...], str] = {}

    def import_statement(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        top, dot, rest = name.partition(".")
        try:
            if level:
                return builtins.__import__(name, globals, locals, fromlist, level)
            path = globals.get("__mp_path__") if globals else None
            key = (top, *path) if path else top
            found = known.get(key)
            is_new = found is None
            if found is None:
                found = _meaning(top, directory, globals or {})
            if not dot and _module_names.is_file_module(found):
                module = _file_module(found)
                importer = globals.get("__mp_info__") if globals else None
                if isinstance(importer, ModuleInfo) and importer.imported.get(found) is not module:
                    _reload.note(importer, module)
            else:
                module = builtins.__import__(found + dot + rest, globals, locals, fromlist, 0)
        except BaseException as error:
            # As if the statement had raised it: without these frames.
            trace = error.__traceback__
            while trace is not None and trace.tb_frame.f_code.co_filename in _OURS:
                trace = trace.tb_next
            error.__traceback__ = trace
            raise
        if is_new:
            known[key] = found
            builtins_of(directory)
        return module

    return import_statement
