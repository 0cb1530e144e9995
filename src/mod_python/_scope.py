"""What the calling thread works for: its request, the handler that runs, their configuration.

The core knows the request. What is called with something else, a filter or a
connection, is noted here while it runs, for each thread.
"""

import ast
import threading
from types import ModuleType
from typing import TYPE_CHECKING, Any

import _apache

from mod_python import _options

if TYPE_CHECKING:
    from mod_python._handlers import Handler

__all__ = [
    "IMPORTER_PATH",
    "autoreload",
    "complain",
    "config",
    "debug",
    "enter",
    "handler",
    "handler_root",
    "importer_path",
    "leave",
    "options",
    "seen_modules",
    "tell",
    "warn",
]

FLAG_RELOAD = 1  # as in _dispatch

#: The option that names directories with modules.
IMPORTER_PATH = "mod_python.importer.path"

#: A filter or a connection, and its handler.
_Entered = tuple[Any, "Handler"]


class _Thread(threading.local):
    entered: _Entered | None = None


_thread = _Thread()

#: By the text of the option.
_paths: dict[str, list[str]] = {}


def enter(subject: Any, handler: "Handler") -> _Entered | None:
    """Note that a filter's or a connection's handler is about to run; for leave()."""
    before = _thread.entered
    _thread.entered = (subject, handler)
    return before


def leave(before: _Entered | None) -> None:
    """That handler has returned."""
    _thread.entered = before


def handler() -> "Handler | None":
    """The handler that runs, or is being imported; None: none does."""
    request = _apache._current_request()
    entered = _thread.entered
    if entered is None:
        return request and request._running
    subject, running = entered
    if request is None or (isinstance(subject, _apache.mp_filter) and subject.req is request):
        return running
    return request._running  # of a request that the filter has made


def handler_root() -> str | None:
    """The directory that the running handler is configured for, ending in "/"; None: it
    has none, as in a <Location>, or none runs."""
    running = handler()
    return None if running is None or running.is_location else running.directory


def _source() -> Any:
    """What has the configuration that is in effect: a request or a server."""
    request = _apache._current_request()
    if request is not None:
        return request
    if _thread.entered is None:
        return _apache._main_server()
    subject, _ = _thread.entered
    connection = subject.connection if isinstance(subject, _apache.mp_filter) else subject
    return connection.base_server


def config() -> "_apache.mp_table":
    """The get_config() of the request, the connection's server, or the main server."""
    table: _apache.mp_table = _source().get_config()
    return table


def options() -> "_apache.mp_table":
    """The get_options() of the same."""
    table: _apache.mp_table = _source().get_options()
    return table


def autoreload() -> bool:
    """PythonAutoReload."""
    request = _apache._current_request()
    if request is not None:
        return bool(request._flags & FLAG_RELOAD)
    return bool(config().get("PythonAutoReload") != "0")


def debug() -> bool:
    """PythonDebug."""
    return bool(config().get("PythonDebug") == "1")


def seen_modules(make: bool | None = None) -> dict[str, ModuleType] | None:
    """The modules that the code of this request has seen, and is to see until its end.

    Subrequests and redirects belong to the request that they come from.

    Args:
        make: Begin with none, if nothing was noted yet; None: if PythonAutoReload is on.

    Returns:
        By name in sys.modules; None: there is no request, or nothing is noted in it.
    """
    request = first = _apache._current_request()
    if request is None or first is None:
        return None
    while (before := first.main or first.prev) is not None:
        first = before
    if first._modules is None and (request._flags & FLAG_RELOAD if make is None else make):
        first._modules = {}
    return first._modules


def importer_path(text: str | None) -> list[str]:
    """What the option of IMPORTER_PATH says: a list of strings, as Python writes it.

    Raises:
        ValueError: It is something else; it is not evaluated.
    """
    if not text:
        return []
    path = _paths.get(text)
    if path is None:
        try:
            path = ast.literal_eval(_options.path_of(text))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            path = None
        if not isinstance(path, list) or not all(isinstance(item, str) for item in path):
            raise ValueError(
                f"PythonOption {IMPORTER_PATH} {text:.200} is no list of strings: write "
                "the directories, as \"['/srv/lib', '~/lib']\"; it is read, not evaluated"
            )
        _paths[text] = path
    return path


def tell(message: str) -> None:
    """Write a notice to the error log, under the current request."""
    _apache._log(message, _apache.APLOG_NOTICE)


def warn(message: str) -> None:
    """Write a warning to it."""
    _apache._log(message, _apache.APLOG_WARNING)


def complain(message: str) -> None:
    """Write an error to it."""
    _apache._log(message, _apache.APLOG_ERR)
