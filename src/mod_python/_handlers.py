"""Handlers as directives name them: "module[::object]" (manual, 5.1.1)."""

import inspect
from collections.abc import Callable
from typing import Any

import _apache
from mod_python import _importer
from mod_python._errors import MissingObject

__all__ = ["Handler", "resolve_object"]


class Handler:
    """One handler of one phase, and what it was resolved to."""

    __slots__ = (
        "directory",
        "is_location",
        "is_resolved",
        "is_silent",
        "module",
        "path",
        "phase",
        "text",
        "_function",
        "_generation",
        "_module",
    )

    def __init__(
        self,
        phase: str,
        text: str | Callable[[_apache.mp_request], Any],
        directory: str | None = None,
        is_location: bool = False,
        is_silent: bool = False,
    ) -> None:
        """
        Args:
            phase: The directive, as "PythonAuthenHandler".
            text: "module[::object]", or a callable.
            directory: That of the directive, ending in "/".
            is_location: directory is that of a <Location>, no directory.
            is_silent: A missing object is no error (PythonHandlerModule).
        """
        self.phase = phase
        self.directory = directory
        self.is_location = is_location
        self.is_silent = is_silent
        self.is_resolved = False
        self._function: Callable[[_apache.mp_request], Any] | None = None
        self._generation = -1
        self._module: object = None
        if callable(text):
            self.text = f"{text.__module__}::{getattr(text, '__qualname__', text)}"
            self.module = self.path = ""
            self._function = text
            self.is_resolved = True
        else:
            self.text = text
            self.module, _, self.path = text.partition("::")
            self.path = self.path or phase.lower().removeprefix("python")

    def __str__(self) -> str:
        return f"{self.phase} {self.text}"

    def resolve(
        self, req: _apache.mp_request, reload: bool
    ) -> Callable[[_apache.mp_request], Any] | None:
        """What to call; None if there is nothing and the handler is silent.

        Raises:
            MissingObject: The module lacks the object.
            Exception: The module cannot be imported.
        """
        if self._function is not None and (
            (not reload and self._generation == _importer.path_generation()) or not self.module
        ):
            return self._function
        return self._resolve(req, reload)

    def _not_found(self) -> str:
        if self.is_location:
            where = (
                f"on sys.path: <Location {self.directory}> has no directory to look in, "
                "name one with PythonPath"
            )
        elif self.directory is None:
            where = (
                "on sys.path: outside any <Directory> there is no directory to look in, "
                "name one with PythonPath"
            )
        else:
            where = f"in {self.directory}, nor on sys.path"
        return f"no module named '{self.module}' {where}"

    def _resolve(
        self, req: _apache.mp_request, reload: bool
    ) -> Callable[[_apache.mp_request], Any] | None:
        self.is_resolved = False
        directory = None if self.is_location else self.directory
        if directory is not None:
            _importer.add_directory(directory)
        try:
            module = _importer.load(self.module, directory, reload)
        except ModuleNotFoundError as error:
            if error.name not in (self.module, self.module.partition(".")[0]):
                raise  # it is there, and lacks something itself
            raise ModuleNotFoundError(self._not_found(), name=self.module) from None
        if module is self._module and self._function is not None:
            function: Any = self._function
        else:
            function, is_lasting = resolve_object(module, self.path, req, self.is_silent)
            self._function = function if is_lasting else None
            self._module = module
        self._generation = _importer.path_generation()
        self.is_resolved = True
        if function is not None and not callable(function):
            raise TypeError(
                f"{self.path} in module {self.module} is no handler: "
                f"it is {type(function).__name__}, not a function"
            )
        return function  # type: ignore[no-any-return]


def resolve_object(module: object, path: str, argument: object, silent: bool) -> tuple[Any, bool]:
    """Walk a dotted path from a module; classes met are instantiated with argument.

    Returns:
        The object, None if it is missing and that is silent; and whether it will
        be the same next time.

    Raises:
        MissingObject: It is missing.
    """
    found: Any = module
    is_lasting = True
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            if silent:
                return None, False
            where = getattr(module, "__file__", module)
            raise MissingObject(f"module '{where}' contains no '{path}'") from None
        if inspect.isclass(found):
            found = found(argument)
            is_lasting = False
    return found, is_lasting
