"""The list of handlers that a running handler stands in (req.hlist, conn.hlist)."""

from collections.abc import Callable
from typing import Any

from mod_python._handlers import Handler

__all__ = ["mp_hlist"]


class mp_hlist:
    """A place in the list of a phase's handlers; next() goes on to the next.

    What it shows was so when it was asked for, and stays so when the request is over.
    Past the end everything is None.
    """

    __module__ = "builtins"  # type(req.hlist) has no module, as the API has it
    __slots__ = ("_handlers", "_place")

    def __init__(self, handlers: list[Handler], place: int) -> None:
        self._handlers = handlers
        self._place = place

    def _current(self) -> Handler | None:
        return self._handlers[self._place] if self._place < len(self._handlers) else None

    @property
    def handler(self) -> str | Callable[[Any], Any] | None:
        """The handler as written, "module[::object]"; or the callable that was added."""
        handler = self._current()
        if handler is None:
            return None
        return handler.text if handler.module else handler.function

    @property
    def directory(self) -> str | None:
        """The directory that it is configured for, ending in "/"; the path of a <Location>."""
        handler = self._current()
        return None if handler is None else handler.directory

    @property
    def is_location(self) -> bool | None:
        """Whether that is the path of a <Location>."""
        handler = self._current()
        return None if handler is None else handler.is_location

    @property
    def location(self) -> str | None:
        """The path of the <Location>, or what its pattern matches of the URI; else None."""
        handler = self._current()
        return handler.directory if handler and handler.is_location else None

    @property
    def silent(self) -> bool | None:
        """Whether it is no error that the module lacks the object (PythonHandlerModule)."""
        handler = self._current()
        return None if handler is None else handler.is_silent

    def next(self) -> None:
        """Go on to the next handler; at the end nothing happens."""
        self._place = min(self._place + 1, len(self._handlers))
