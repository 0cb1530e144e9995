"""What an error in a handler becomes: one record in the log, and a response.

Exceptions of this package:

    Exception
     +-- SERVER_RETURN     ends a handler with a status (manual, 4.2)
     +-- BadResult         a handler returned what is no status
     +-- AttributeError
          +-- MissingObject    a module lacks the object that a directive names
"""

import html
import os
import traceback
from types import TracebackType
from typing import TYPE_CHECKING

import _apache

if TYPE_CHECKING:
    from mod_python._handlers import Handler

__all__ = ["SERVER_RETURN", "BadResult", "MissingObject", "describe", "report", "report_cleanup"]

_PACKAGE = os.path.dirname(__file__)


class SERVER_RETURN(Exception):  # noqa: N801, N818 - the API's name
    """Raise it to return a status from anywhere in a handler (manual, 4.2).

    SERVER_RETURN(status) counts as returning status; SERVER_RETURN(result, status)
    returns result and sets req.status.
    """


class BadResult(Exception):
    """A handler returned something that is no status."""


class MissingObject(AttributeError):
    """A module does not contain the object that a directive names."""


def report(
    req: _apache.mp_request, handler: "Handler", error: BaseException, debug: bool, phase: str
) -> int:
    """Log an exception that left a handler, and answer the client.

    Returns:
        The status for Apache.
    """
    status = _client_fault(req, handler, error)
    if status is not None:
        return status
    code = _code_of(handler, error)
    # Where a result is wrong or an object missing, a traceback would show this package only.
    text = "" if isinstance(error, BadResult | MissingObject) else _format(error)
    _apache._log(f"{code}: {handler}: {_summary(error)}\n{text}".rstrip(), _apache.APLOG_ERR)
    if debug and phase != "PythonLogHandler" and not req.sent_bodyct:
        return _show(req, handler, error, text)
    return _apache.HTTP_INTERNAL_SERVER_ERROR


def report_cleanup(function: object, error: BaseException) -> None:
    """Log an exception that left a cleanup function."""
    _apache._log(f"KK0107: cleanup {function!r}: {describe(error)}", _apache.APLOG_ERR)


def describe(error: BaseException) -> str:
    """What happened and where on one line, then the traceback."""
    return f"{_summary(error)}\n{_format(error)}"


def _client_fault(
    req: _apache.mp_request, handler: "Handler", error: BaseException
) -> int | None:
    """The status if it is the client who failed: no traceback is of use then."""
    if not isinstance(error, OSError):
        return None
    status = getattr(error, "status", None)
    if isinstance(status, int):
        _apache._log(f"KK0111: {handler}: {_summary(error)}", _apache.APLOG_WARNING)
        return status
    if req.connection.aborted:
        _apache._log(f"KK0108: {handler}: {_summary(error)}", _apache.APLOG_WARNING)
        return _apache.DONE
    return None


def _code_of(handler: "Handler", error: BaseException) -> str:
    if isinstance(error, BadResult):
        return "KK0102"
    if isinstance(error, MissingObject):
        return "KK0103"
    return "KK0101" if handler.is_resolved else "KK0104"


def _skip_own_frames(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame on that is not this package's."""
    first = trace
    while first is not None and os.path.dirname(first.tb_frame.f_code.co_filename) == _PACKAGE:
        first = first.tb_next
    return first or trace


def _format(error: BaseException) -> str:
    trace = _skip_own_frames(error.__traceback__)
    return "".join(traceback.format_exception(type(error), error, trace, limit=-100)).rstrip()


def _summary(error: BaseException) -> str:
    """What happened and where, on one line."""
    if isinstance(error, BadResult):
        return str(error)
    if isinstance(error, MissingObject):
        return f"AttributeError: {error}"
    text = "".join(traceback.format_exception_only(type(error), error)).strip().splitlines()
    last = text[-1] if text else type(error).__name__
    if isinstance(error, SyntaxError):
        return f"{last} ({error.filename}:{error.lineno})"
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or os.path.dirname(trace.tb_frame.f_code.co_filename) == _PACKAGE:
        return last
    return f"{last} ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})"


def _show(req: _apache.mp_request, handler: "Handler", error: BaseException, text: str) -> int:
    """PythonDebug On: the traceback is the response (manual, 5.4.2)."""
    title = f"{handler}: {_summary(error)}"
    req._discard_output()
    req.status = _apache.HTTP_INTERNAL_SERVER_ERROR
    if "html" in (req.headers_in.get("Accept") or ""):
        req.content_type = "text/html; charset=utf-8"
        body = (
            "<!DOCTYPE html>\n<title>500 Internal Server Error</title>\n"
            f"<h1>{html.escape(title)}</h1>\n<pre>{html.escape(text)}</pre>\n"
            "<p>PythonDebug is On: turn it off where strangers can see this.</p>\n"
        )
    else:
        req.content_type = "text/plain; charset=utf-8"
        body = f"{title}\n\n{text}\n"
    try:
        req.write(body.encode("utf-8", "backslashreplace"), 0)
    except OSError:
        pass  # the client has gone; the log has it all
    return _apache.DONE
