"""Handlers as directives name them: "module[::object]" (manual, 5.1.1)."""

import inspect
import os
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, cast

from mod_python import _importer
from mod_python._errors import MissingObject

__all__ = ["Handler", "PlacedHandler", "resolve_object"]


class Handler:
    """One handler of one phase, and what it was resolved to."""

    __slots__ = (
        "_cached",
        "_place",
        "direct",
        "directory",
        "importer_path",
        "is_location",
        "is_silent",
        "module",
        "path",
        "phase",
        "text",
    )

    def __init__(
        self,
        phase: str,
        text: str | Callable[[Any], Any],
        directory: str | None = None,
        is_location: bool = False,
        is_silent: bool = False,
        importer_path: str | None = None,
    ) -> None:
        """
        Args:
            phase: The directive, as "PythonAuthenHandler".
            text: "module[::object]", or a callable.
            directory: That of the directive, ending in "/".
            is_location: directory is that of a <Location>, no directory.
            is_silent: A missing object is no error (PythonHandlerModule).
            importer_path: The option mod_python.importer.path.
        """
        self.phase = phase
        self.directory = directory
        self.is_location = is_location
        self.is_silent = is_silent
        self.importer_path = importer_path
        #: The module, what was found in it, and the path generation then: one value, for
        #: many threads resolve the same handler.
        self._cached: tuple[object, Callable[[Any], Any], int] | None = None
        #: Where the module was found before sys.path; "": it was not found yet.
        self._place: str | None = ""
        #: What the core may call without asking resolve(), as long as it need not notice
        #: changed files and sys.path is as PythonPath says; None: it has to ask.
        self.direct: Callable[[Any], Any] | None = None
        if callable(text):
            self.text = f"{text.__module__}::{getattr(text, '__qualname__', text)}"
            self.module = self.path = ""
            self._cached = (None, text, 0)
            self.direct = text
        else:
            self.text = text
            self.module, _, self.path = text.partition("::")
            self.path = self.path or phase.lower().removeprefix("python")

    def __str__(self) -> str:
        return f"{self.phase} {self.text}"

    @property
    def function(self) -> Callable[[Any], Any] | None:
        """What was found last, or given; None where nothing was looked for yet."""
        return self._cached and self._cached[1]

    @property
    def found_in(self) -> ModuleType | None:
        """The module that it was found in last."""
        module = self._cached and self._cached[0]
        return module if isinstance(module, ModuleType) else None

    def resolve(self, argument: object, reload: bool) -> Callable[[Any], Any] | None:
        """What to call; None if there is nothing and the handler is silent.

        Args:
            argument: What the handler is called with: request, filter or connection.
            reload: Whether changed files are noticed.

        Raises:
            MissingObject: The module lacks the object.
            Exception: The module cannot be imported.
        """
        cached = self._cached
        if cached is not None and (
            (not reload and cached[2] == _importer.path_generation()) or not self.module
        ):
            return cached[1]
        return self._resolve(argument, reload)

    def _not_found(self) -> str:
        if self.is_location:
            name = "<Location>" if self.directory is None else f"<Location {self.directory}>"
            where = f"on sys.path: {name} has no directory to look in, name one with PythonPath"
        elif self.directory is None:
            where = (
                "on sys.path: outside any <Directory> there is no directory to look in, "
                "name one with PythonPath"
            )
        else:
            where = f"in {self.directory}, nor on sys.path"
        places = sys.path if self.is_location or self.directory is None else [self.directory, *sys.path]
        reasons = [*_misspellings(self.module), *_closed(places)]
        return "; ".join([f"no module named '{self.module}' {where}", *reasons])

    def _resolve(self, argument: object, reload: bool) -> Callable[[Any], Any] | None:
        directory = None if self.is_location else self.directory
        generation = _importer.path_generation()
        if directory is not None:
            _importer.add_directory(directory)
        try:
            place = self._place
            if place == "":
                place = _importer.place_of(self.module, directory, self.importer_path)
            module = _importer.load(self.module, place, reload)
            self._place = place
        except ModuleNotFoundError as error:
            if error.name not in (self.module, self.module.partition(".")[0]):
                raise  # it is there, and lacks something itself
            raise ModuleNotFoundError(self._not_found(), name=self.module) from None
        cached = self._cached
        is_lasting = True
        if cached is not None and cached[0] is module:
            function: Any = cached[1]
        else:
            try:
                function, is_lasting = self._look_up(module, argument)
            except MissingObject:
                if self.is_silent:
                    return None
                raise
        if not callable(function):
            raise TypeError(
                f"{self.path} in module {self.module} is no handler: "
                f"it is {type(function).__name__}, not a function"
            )
        if is_lasting:
            self._cached = (module, function, _importer.path_generation())
            self.direct = function
            if generation != _importer.path_generation():
                self.direct = None  # another thread set sys.path meanwhile
        return function  # type: ignore[no-any-return]

    def _look_up(self, module: object, argument: object) -> tuple[Any, bool]:
        """What the module has under the path, and whether it is the same each time."""
        return resolve_object(module, self.path, argument, False)


def _misspellings(module: str) -> Iterable[str]:
    """What somebody meant who wrote what is no name of a module, or is hardly one."""
    if "/" in module:
        yield "write the module's name, not its path"
    elif ":" in module:
        yield "write two colons before the object"
    elif module.endswith(".py"):
        yield "write the name without '.py'"


def _closed(places: Iterable[str]) -> Iterable[str]:
    """The directories in which Python finds nothing because it may not list them."""
    for place in dict.fromkeys(places):
        try:
            with os.scandir(place):
                pass
        except PermissionError:
            yield f"{place} cannot be read by the user of Apache's children"
        except OSError:
            pass


class PlacedHandler(Handler):
    """A handler in a <Location> with a pattern, at what that has matched of one URI.

    Only the place is its own: what it was resolved to is the original's, which lasts.
    """

    __slots__ = ("_original",)

    def __init__(self, original: Handler, directory: str | None) -> None:
        """
        Args:
            original: The handler as it is configured.
            directory: The part of the URI.
        """
        self._original = original
        self.phase = original.phase
        self.text = original.text
        self.module = original.module
        self.path = original.path
        self.is_location = original.is_location
        self.is_silent = original.is_silent
        self.importer_path = original.importer_path
        self.directory = directory

    @property
    def _cached(self) -> tuple[object, Callable[[Any], Any], int] | None:
        return self._original._cached

    @_cached.setter
    def _cached(self, found: tuple[object, Callable[[Any], Any], int] | None) -> None:
        self._original._cached = found

    @property
    def _place(self) -> str | None:
        return self._original._place

    @_place.setter
    def _place(self, place: str | None) -> None:
        self._original._place = place

    @property
    def direct(self) -> Callable[[Any], Any] | None:
        return self._original.direct

    @direct.setter
    def direct(self, function: Callable[[Any], Any] | None) -> None:
        self._original.direct = function


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
            found = cast(Any, found)(argument)
            is_lasting = False
    return found, is_lasting
