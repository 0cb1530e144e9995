"""Making modules from their source: always the newest, and with what the API adds to them.

A file of a handler's directory, which is no package, has `__mp_info__` and
`__mp_path__`. When such a module is made anew, the old one's `__mp_clone__(new)` may
fill it before its code runs.
"""

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

import _apache

from mod_python import _scope
from mod_python._errors import describe

__all__ = ["ModuleInfo", "SourceLoader", "Stamp", "file_of", "info_of", "is_half_done", "stamp_of"]

#: What tells one version of a file from another: nanoseconds, bytes, inode number.
Stamp = tuple[int, int, int]

# Of these a clone may have copied the old module's; Python sets them where they are missing.
PYTHONS_OWN = ("__loader__", "__package__", "__spec__", "__file__", "__cached__")


class ModuleInfo:
    """What is known of a file module: its `__mp_info__`."""

    __slots__ = ("_is_gone", "file", "imported", "label", "stamp")

    def __init__(self, label: str, file: str) -> None:
        #: Its name in sys.modules, which no other module has.
        self.label = label
        #: The path of its source.
        self.file = file
        #: The version of the file that it was made from.
        self.stamp: Stamp | None = None
        #: By label: the file modules that it has imported.
        self.imported: dict[str, ModuleType] = {}
        self._is_gone = False

    @property
    def children(self) -> set[str]:
        """The labels of the file modules that it has imported."""
        return set(self.imported)

    def __repr__(self) -> str:
        return f"<module info of {self.label!r} from {self.file!r}>"

    def has_changed(self) -> bool:
        """Whether the file is another than it was made from. One that has gone is not: what
        is loaded stays, and the error log says so, once."""
        stamp = stamp_of(self.file)
        if stamp is None:
            if not self._is_gone:
                self._is_gone = True
                _scope.warn(
                    f"KK0210: module '{self.label}': its file {self.file} has gone or cannot be "
                    "looked at; what was loaded from it is used on"
                )
            return False
        self._is_gone = False
        return stamp != self.stamp


class SourceLoader(SourceFileLoader):
    """Loads a module from its source, for the handler's directory that it belongs to."""

    def __init__(
        self,
        fullname: str,
        path: str,
        namespace: dict[str, Any] | None,
        info: ModuleInfo | None,
        search: list[str],
        is_reloaded: bool,
        take_old: Callable[[str], ModuleType | None],
    ) -> None:
        """
        Args:
            fullname: The name in sys.modules.
            path: The file.
            namespace: What the module has for `__builtins__`; None: Python's.
            info: Of a file module.
            search: Its `__mp_path__`.
            is_reloaded: A .pyc is not enough: that is told from its source by whole
                seconds and the size, which an edit need not change.
            take_old: Gives the module in whose place this one comes.
        """
        super().__init__(fullname, path)
        self.stamp: Stamp | None = None
        self._namespace = namespace
        self._info = info
        self._search = search
        self._is_reloaded = is_reloaded
        self._take_old = take_old
        self._code: CodeType | None = None

    def get_code(self, fullname: str) -> CodeType | None:
        """The code, of which stamp says the version."""
        if self._code is not None:
            code, self._code = self._code, None
            return code
        path = self.get_filename(fullname)
        self.stamp = stamp_of(path)
        if self._info is not None:
            self._info.stamp = self.stamp
        if not self._is_reloaded:
            return super().get_code(fullname)
        compiled: CodeType = self.source_to_code(self.get_data(path), path)
        return compiled

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module, still empty but for what Python would not give it."""
        module = ModuleType(spec.name)
        old = self._take_old(spec.name) if self._info is not None else None
        if old is not None and hasattr(old, "__mp_clone__"):
            self._code = self.get_code(spec.name)  # what cannot be compiled takes nothing over
            module = _clone(old, module, self._set)
        self._set(module)
        if spec.submodule_search_locations is not None:
            # A package executed anew: import statements find its parts in sys.modules,
            # and would not make them its attributes again.
            for name, part in list(sys.modules.items()):
                package, _, child = name.rpartition(".")
                if package == spec.name:
                    setattr(module, child, part)
        return module

    def _set(self, module: ModuleType) -> None:
        members = vars(module)
        for name in PYTHONS_OWN:
            members.pop(name, None)
        members["__name__"] = self.name
        if self._namespace is not None:
            members["__builtins__"] = self._namespace
        if self._info is not None:
            members["__mp_info__"] = self._info
            members["__mp_path__"] = list(self._search)
            members["__file__"] = self.path


def _clone(old: ModuleType, new: ModuleType, prepare: Callable[[ModuleType], None]) -> ModuleType:
    """The new module, filled by the old one; or an empty one, if that failed."""
    prepare(new)
    if _runs(old, "__mp_clone__", new):
        return new
    if hasattr(old, "__mp_purge__"):
        _runs(old, "__mp_purge__")
    return ModuleType(new.__name__)


def _runs(module: ModuleType, name: str, *arguments: ModuleType) -> bool:
    """Whether a function of a module did not raise; if it did, that is logged."""
    try:
        getattr(module, name)(*arguments)
    except Exception as error:
        where = f"{name}() of module '{module.__name__}' ({file_of(module)})"
        _scope.complain(f"KK0211: {where} failed; the reloaded module starts empty: {describe(error)}")
        return False
    return True


def info_of(module: object) -> ModuleInfo | None:
    """What is known of a file module; None: it is another thing."""
    info = getattr(module, "__mp_info__", None)
    return info if isinstance(info, ModuleInfo) else None


def is_half_done(module: object) -> bool:
    """Whether it is still being executed, and may yet fail."""
    return getattr(getattr(module, "__spec__", None), "_initializing", False) is True


#: The version of a file; None if it cannot be looked at.
stamp_of: Callable[[str], Stamp | None] = _apache._stamp


def file_of(module: ModuleType) -> str | None:
    """The source file of a module, or None if it has none that could change."""
    path = getattr(module, "__file__", None)
    return path if isinstance(path, str) and path.endswith(".py") else None
