"""What an error in a handler becomes: one record in the log, and a response.

Exceptions of this package:

    BaseException
     +-- RequestTimeout    a handler takes longer than PythonRequestTimeout allows
     +-- Exception
          +-- SERVER_RETURN     ends a handler with a status (manual, 4.2)
          +-- BadResult         a handler returned what is no status
          +-- AttributeError
               +-- MissingObject    a module lacks the object that a directive names
"""

import contextlib
import html
import os
import re
import traceback
from http import HTTPStatus
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

import _apache

if TYPE_CHECKING:
    from mod_python._handlers import Handler

__all__ = [
    "SERVER_RETURN",
    "BadResult",
    "MissingObject",
    "RequestTimeout",
    "describe",
    "describe_stack",
    "report",
    "report_cleanup",
    "report_connection",
    "report_filter",
]

_PACKAGE = os.path.dirname(__file__)

_STYLE = (
    "<style>body{font:16px/1.5 system-ui,sans-serif;margin:2em}h1{font-size:1.3em}"
    "pre{background:#f4f4f2;padding:1em;overflow:auto}</style>"
)

#: How extension modules say that they do not load in a further interpreter: CPython, NumPy,
#: Cython, PyO3.
_ONE_INTERPRETER_ONLY = re.compile(
    r"(?:module (?P<module>\S+) )?does not support loading in subinterpreters"
    r"|cannot load module more than once per process"
    r"|only be loaded into one interpreter per process"
    r"|do not yet support subinterpreters"
)


class SERVER_RETURN(Exception):
    """Raise it to return a status from anywhere in a handler (manual, 4.2).

    SERVER_RETURN(status) counts as returning status; SERVER_RETURN(result, status)
    returns result and sets req.status.
    """


class RequestTimeout(BaseException):
    """Raised in a handler that takes longer than PythonRequestTimeout allows.

    No Exception, for the same reason as KeyboardInterrupt: it can come at any place, is
    about none, and what goes on after any Exception must not go on after this.
    """

    __module__ = "mod_python.apache"

    def __str__(self) -> str:
        return super().__str__() or "it took longer than PythonRequestTimeout allows"


class BadResult(Exception):
    """A handler returned something that is no status."""


class MissingObject(AttributeError):
    """A module does not contain the object that a directive names."""


def report(
    req: _apache.mp_request, handler: "Handler", error: BaseException, debug: bool, is_resolved: bool
) -> int:
    """Log an exception that left a handler, and answer the client.

    Args:
        req: The request.
        handler: Which handler.
        error: The exception.
        debug: PythonDebug is On.
        is_resolved: The handler's code was found, and has raised it.

    Returns:
        The status for Apache.
    """
    try:
        return _report(req, handler, error, debug, is_resolved)
    except RequestTimeout:
        raise
    except BaseException as worse:
        _apache._log(_plain_text("KK0101", f"{handler}", error, worse), _apache.APLOG_ERR)
        return _apache.HTTP_INTERNAL_SERVER_ERROR


def _report(
    req: _apache.mp_request, handler: "Handler", error: BaseException, debug: bool, is_resolved: bool
) -> int:
    """See report(); what the exception's own methods raise comes out of it."""
    status = _client_fault(req, handler, error)
    if status is not None:
        return status
    code = _code_of(error, is_resolved)
    # Where a result is wrong or an object missing, a traceback would show this package only.
    text = "" if isinstance(error, BadResult | MissingObject) else _format(error)
    _apache._log(f"{code}: {handler}: {_summary(error)}\n{text}".rstrip(), _apache.APLOG_ERR)
    status = _apache.HTTP_INTERNAL_SERVER_ERROR
    if isinstance(error, RequestTimeout):
        status = _apache.HTTP_GATEWAY_TIME_OUT
    if debug and handler.phase not in ("PythonLogHandler", "PythonCleanupHandler"):
        return _show(req, status, f"{handler}: {_summary(error)}", text)
    return status


def report_filter(
    filter: _apache.mp_filter, handler: "Handler", error: BaseException, is_resolved: bool
) -> str:
    """Log an exception that left a filter.

    Returns:
        What was logged.
    """
    what = f"filter {filter.name}: {handler}"
    try:
        code = _code_of(error, is_resolved)
        code = "KK0112" if code == "KK0101" else code
        text = f"{code}: {what}: {describe(error)}"
    except RequestTimeout:
        raise
    except BaseException as worse:
        _apache._log(_plain_text("KK0112", what, error, worse), _apache.APLOG_ERR)
        return ""
    _apache._log(text, _apache.APLOG_ERR)
    return text.encode("utf-8", "backslashreplace").decode() + "\n"


def report_connection(
    conn: _apache.mp_conn, handler: "Handler", error: BaseException, is_resolved: bool
) -> None:
    """Log what ended a connection handler, with the peer's address; that the client has gone
    is no error, an OSError of the handler's own is one."""
    level = _apache.APLOG_ERR
    try:
        # As conn.read() and conn.write() leave it.
        if isinstance(error, OSError) and "_mp_status" in vars(error):
            text, level = f"KK0108: {handler}: {_summary(error)}", _apache.APLOG_INFO
        else:
            text = f"{_code_of(error, is_resolved)}: {handler}: {describe(error)}"
    except BaseException as worse:
        text = _plain_text("KK0101", f"{handler}", error, worse)
    conn.log_error(text, level)


def report_cleanup(function: object, error: BaseException) -> None:
    """Log an exception that left a cleanup function."""
    try:
        text = f"KK0107: cleanup {function!r}: {describe(error)}"
    except RequestTimeout:
        raise
    except BaseException as worse:
        text = _plain_text("KK0107", f"cleanup {object.__repr__(function)}", error, worse)
    _apache._log(text, _apache.APLOG_ERR)


def _plain_text(code: str, what: str, error: BaseException, worse: BaseException) -> str:
    """What to log of an exception that cannot be described, as its own methods or members fail.

    Args:
        code: The message's.
        what: Which handler.
        error: The exception, which is not asked for anything.
        worse: What describing it has raised.
    """
    trace = _skip_own_frames(BaseException.__dict__["__traceback__"].__get__(error))
    stack = "".join(traceback.format_tb(trace, limit=-100)).rstrip()
    return (
        f"{code}: {what}: {type.__repr__(type(error))}, describing which has raised "
        f"{type.__repr__(type(worse))}: mend its methods and members\n"
        f"Traceback (most recent call last):\n{stack}"
    )


def describe(error: BaseException) -> str:
    """What happened and where on one line, then the traceback."""
    return f"{_summary(error)}\n{_format(error)}"


def describe_stack(frame: FrameType) -> str:
    """The stack of a thread, as a traceback has it, without this package's own frames."""
    entries = traceback.extract_stack(frame, limit=100)
    while len(entries) > 1 and os.path.dirname(entries[0].filename) == _PACKAGE:
        del entries[0]
    text = "".join(entries.format()).rstrip()
    return text.encode("utf-8", "backslashreplace").decode()


def _client_fault(req: _apache.mp_request, handler: "Handler", error: BaseException) -> int | None:
    """The status if it is the client who failed: no traceback is of use then."""
    if not isinstance(error, OSError):
        return None
    # As req.read() leaves it; urllib's HTTPError has an attribute of this name too.
    status = vars(error).get("_mp_status")
    if isinstance(status, int) and status < 0:
        return _apache.DONE  # an input filter has failed, logged that, and answered
    if isinstance(status, int):
        _apache._log(f"KK0111: {handler}: {_summary(error)}", _apache.APLOG_WARNING)
        return status
    if req.connection.aborted:
        _apache._log(f"KK0108: {handler}: {_summary(error)}", _apache.APLOG_WARNING)
        return _apache.DONE
    return None


def _code_of(error: BaseException, is_resolved: bool) -> str:
    if isinstance(error, RequestTimeout):
        return "KK0190"
    if isinstance(error, BadResult):
        return "KK0102"
    if isinstance(error, MissingObject):
        return "KK0103"
    return "KK0101" if is_resolved else "KK0104"


def _skip_own_frames(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame on that is not this package's."""
    first = trace
    while first is not None and os.path.dirname(first.tb_frame.f_code.co_filename) == _PACKAGE:
        first = first.tb_next
    return first or trace


def _format(error: BaseException) -> str:
    trace = _skip_own_frames(error.__traceback__)
    text = "".join(traceback.format_exception(type(error), error, trace, limit=-100)).rstrip()
    module = _refusing_module(error, text)
    if module is None:
        return text
    if _apache._own_gil:
        return (
            f"{text}\n{module} does not load in an interpreter with a GIL of its own, which "
            f"'{_apache.interpreter}' is: let that share the main GIL, with 'PythonInterpGIL Shared', "
            "or run what uses the module in the main one, with 'PythonInterpreter main_interpreter'"
        )
    return (
        f"{text}\n{module} loads in one interpreter of a process only, "
        f"and this is '{_apache.interpreter}': run what uses it in one, best in the main one, "
        "with 'PythonInterpreter main_interpreter'"
    )


def _refusing_module(error: BaseException, text: str) -> str | None:
    """The extension module that does not load in this interpreter, if that is behind the error.

    text: What is written of it; the words of the errors behind it are there.
    """
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, ImportError):
        behind = behind.__cause__ or behind.__context__
    if behind is None:
        return None
    match = _ONE_INTERPRETER_ONLY.search(str(error) if behind is error else text)
    return (match["module"] or behind.name or "This extension module") if match else None


def _summary(error: BaseException) -> str:
    """What happened and where, on one line."""
    if isinstance(error, BadResult):
        return str(error)
    if isinstance(error, MissingObject):
        return f"AttributeError: {error}"
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{type(error).__name__}: {error.msg} ({error.filename}:{error.lineno})"
    # More lines are the message's own, or notes.
    first = traceback.format_exception_only(type(error), error)[0].splitlines()[0]
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or os.path.dirname(trace.tb_frame.f_code.co_filename) == _PACKAGE:
        return first
    return f"{first} ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})"


def _show(req: _apache.mp_request, status: int, title: str, text: str) -> int:
    """PythonDebug On: the traceback is the response (manual, 5.4.2)."""
    if req.sent_bodyct:
        # Behind what was sent already; the response then breaks off.
        with contextlib.suppress(OSError):
            req.write(f"\n{title}\n\n{text}\n".encode("utf-8", "backslashreplace"))
        return status
    req._discard_output()
    req.status = status
    if "html" in (req.headers_in.get("Accept") or ""):
        req.content_type = "text/html; charset=utf-8"
        body = (
            f"<!DOCTYPE html>\n<title>{status} {HTTPStatus(status).phrase}</title>\n{_STYLE}\n"
            f"<h1>{html.escape(title)}</h1>\n<pre>{html.escape(text)}</pre>\n"
            "<p>PythonDebug is On: turn it off where strangers can see this.</p>\n"
        )
    else:
        req.content_type = "text/plain; charset=utf-8"
        body = f"{title}\n\n{text}\n"
    with contextlib.suppress(OSError):  # the client has gone; the log has it all
        req.write(body.encode("utf-8", "backslashreplace"), 0)
    return _apache.DONE
