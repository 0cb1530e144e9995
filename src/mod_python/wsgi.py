"""The handler of WSGI applications (PEP 3333).

    PythonHandler mod_python.wsgi
    PythonOption mod_python.wsgi.application module::callable

What each request needs of Apache is in core/py_request_wsgi.c; here is the order
in which an application is found, called, and asked for its response.
"""

import io
import operator
import os
import stat
import tempfile
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.util import FileWrapper

import _apache

from mod_python import _errors
from mod_python._handlers import Handler
from mod_python._importer import path_generation

__all__ = ["handler"]

OK = _apache.OK
DECLINED = _apache.DECLINED

_OPTION = "PythonOption mod_python.wsgi.application"


class _Application(Handler):
    """An application, found, cached and reloaded as handlers are."""

    __slots__ = ()

    def _look_up(self, module: object, argument: object) -> tuple[Any, bool]:
        # A class is an application itself: its instances are responses (PEP 3333).
        try:
            return operator.attrgetter(self.path)(module), True
        except AttributeError as error:
            where = getattr(module, "__file__", module)
            raise _errors.MissingObject(f"module '{where}' contains no '{self.path}'") from error


#: By the option's value, and by the handler's directory and whether there can be none, in a
#: <Location>. The path of that is no part of it: clients make up what a pattern matches.
_applications: dict[tuple[str, str | None, bool], _Application] = {}

#: An application, the handler that ran it, and the path generation then.
_Found = tuple[Callable[..., Any], Handler | None, int]

#: By the option's value: what was found last, for requests that do not look for changes;
#: req._wsgi_known() reads it.
_found: dict[str, _Found] = {}


def handler(req: _apache.mp_request) -> int:
    """Answer with the response of the application that the configuration names.

    Returns:
        OK; DECLINED if there is no such application, or the request is not below
        its base_uri; HTTP_INTERNAL_SERVER_ERROR if the response is shorter than
        its Content-Length.
    """
    application = req._wsgi_known(_found, path_generation())
    if application is None:
        application = _find(req)
        if application is None:
            return DECLINED
    environ = req.build_wsgi_env()
    if environ is None:
        base = req.get_options().get("mod_python.wsgi.base_uri")
        _warn("KK0151", f"{req.uri} is not below mod_python.wsgi.base_uri {base}")
        return DECLINED
    environ["wsgi.file_wrapper"] = FileWrapper
    response = application(environ, req.wsgi_start_response)
    kind = type(response)
    if kind is list or kind is tuple:
        fault = req._wsgi_send_all(response)
    else:
        try:
            fault = _send_file(req, response) if kind is FileWrapper else _send_each(req, response)
        finally:
            _close(response)
    return OK if fault == 0 else _wrong_length(req, fault)


def _find(req: _apache.mp_request) -> Callable[..., Any] | None:
    """The application; None, and a warning in the log, if there is none."""
    text, reload = req._wsgi_application()
    if text is None:
        _warn("KK0150", f"{_OPTION} is not set: name the application, as module::callable")
        return None
    running = req._running
    is_location = running is not None and running.is_location
    directory = None if running is None or is_location else running.directory
    target = _applications.get((text, directory, is_location))
    if target is None:
        name = text if "::" in text else f"{text}::application"
        target = _Application("PythonHandler", name, directory, is_location)
        _applications[text, directory, is_location] = target
    try:
        application = target.resolve(req, reload)
    except _errors.MissingObject as error:
        _warn("KK0150", f"{_OPTION} {text}: {error}")
        return None
    except ModuleNotFoundError as error:
        if error.name != target.module:
            raise  # it is there, and lacks something itself
        _warn("KK0150", f"{_OPTION} {text}: {error}")
        return None
    assert application is not None  # no application is silent
    _found[text] = (application, running, path_generation())
    return application


def _send_each(req: _apache.mp_request, response: Iterable[bytes]) -> int:
    """Send every block as soon as it is there; what req._wsgi_end() returns."""
    send = req._wsgi_send
    for block in response:
        if not send(block):
            break
    return req._wsgi_end()


def _send_file(req: _apache.mp_request, response: FileWrapper) -> int:
    """Have Apache send the file, from where it stands, if it is a real one."""
    file: Any = response.filelike
    if type(file) is tempfile._TemporaryFileWrapper:
        file = file.file
    # Not whatever has a fileno(): that of gzip.GzipFile is the compressed file's.
    if type(getattr(file, "raw", file)) is io.FileIO and type(file) in (
        io.FileIO,
        io.BufferedReader,
        io.BufferedRandom,
    ):
        if type(file) is io.BufferedRandom:
            file.flush()
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode):
            offset = file.tell()
            return req._wsgi_sendfile(file.fileno(), offset, max(0, status.st_size - offset))
    return _send_each(req, response)


def _close(response: object) -> None:
    """Call the response's close(), if it has one; what that raises is only logged."""
    close = getattr(response, "close", None)
    if close is not None:
        try:
            close()
        except BaseException as error:
            _errors.report_cleanup(close, error)


def _wrong_length(req: _apache.mp_request, fault: int) -> int:
    """Log it; a client that got too little must be able to tell."""
    text, _ = req._wsgi_application()
    if fault < 0:
        _warn("KK0152", f"{text}: the response is longer than its Content-Length: the rest is not sent")
        return OK
    _apache._log(
        f"KK0153: {text}: the response is {fault} bytes shorter than its Content-Length", _apache.APLOG_ERR
    )
    return _apache.HTTP_INTERNAL_SERVER_ERROR


def _warn(code: str, text: str) -> None:
    _apache._log(f"{code}: {text}", _apache.APLOG_WARNING)
