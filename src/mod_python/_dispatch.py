"""What the C core calls: running a phase's handlers, and the ends of things.

Everything here is called with the interpreter attached, by core/py_dispatch.c
and core/py_setup.c only.
"""

import atexit
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import _apache

from mod_python import _errors, _importer, _log, _processes, _scope, version
from mod_python._delicate import DELICATE_FILES
from mod_python._errors import SERVER_RETURN, BadResult, RequestTimeout, describe_stack
from mod_python._handlers import Handler, PlacedHandler, resolve_object
from mod_python._hlist import mp_hlist

__all__ = [
    "DELICATE_FILES",
    "RequestTimeout",
    "add_handler",
    "check_path",
    "conclude",
    "describe_stack",
    "import_at_start",
    "make_handler",
    "make_hlist",
    "register_filter",
    "register_server_cleanup",
    "report_timeout",
    "run",
    "run_cleanups",
    "run_connection",
    "run_filter",
    "shutdown",
]

# As in core/py_dispatch.c.
FLAG_RELOAD = 1
FLAG_DEBUG = 2
FLAG_PDB = 4

# As in core/config.h: what a handler's directory is. A pattern's is what it matched.
KIND_DIRECTORY = 0
KIND_LOCATION = 1
KIND_PATTERN = 2

OK = _apache.OK
DECLINED = _apache.DECLINED
DONE = _apache.DONE

_PHASES = _apache._phases

#: Results after which the next handler of the list runs: Apache's own rule for each
#: of its hooks; as the manual has it for the content handler and cleanup.
_GOES_ON: dict[str, tuple[int, ...]] = dict.fromkeys(_PHASES, (OK, DECLINED))
_GOES_ON.update(
    PythonTransHandler=(DECLINED,),
    PythonAuthenHandler=(DECLINED,),
    PythonAuthzHandler=(DECLINED,),
    PythonTypeHandler=(DECLINED,),
    PythonHandler=(OK,),
    PythonCleanupHandler=(OK,),
)
_GOES_ON_BY_NUMBER = [_GOES_ON[name] for name in _PHASES]

_Cleanup = tuple[Callable[[Any], object], Any]
_server_cleanups: list[_Cleanup] = []

_handlers: dict[tuple[str, str, str | None, int, int, int, str | None], Handler] = {}


#: The PythonPath last set: the core hands over the same object while it does not change.
_path: str | None = None
_path_lock = threading.Lock()


# Handlers


def make_handler(
    directive: str,
    text: str,
    directory: str | None,
    kind: int,
    is_silent: int,
    number: int,
    importer_path: str | None,
) -> Handler:
    """The one Handler for a directive's words, made when it is new.

    Args:
        directive: The directive.
        text: "module[::object]".
        directory: Of its section.
        kind: KIND_*: what that is.
        is_silent: A missing object is no error.
        number: Its place in the list, which tells one that is there twice from itself.
        importer_path: The option in effect, which may differ where one directive counts.
    """
    # Clients make up what a pattern matches: nothing may be kept by that.
    place = None if kind == KIND_PATTERN else directory
    key = (directive, text, place, kind, is_silent, number, importer_path)
    handler = _handlers.get(key)
    if handler is None:
        handler = Handler(directive, text, place, kind != KIND_DIRECTORY, bool(is_silent), importer_path)
        _handlers[key] = handler
    return PlacedHandler(handler, directory) if kind == KIND_PATTERN else handler


def _added_handler(
    req: _apache.mp_request,
    directive: str,
    handler: str | Callable[[Any], Any],
    directory: str | None,
    inherited: str | None,
    number: int,
) -> Handler:
    """What add_handler() and register_*_filter() are given."""
    if not isinstance(handler, str) and not callable(handler):
        raise TypeError(f"handler must be 'module[::object]' or a callable, not {type(handler).__name__}")
    running = req._running
    is_location = False
    if directory is not None:
        directory = os.path.join(os.path.abspath(os.fsdecode(directory)), "")
    elif inherited is not None or running is None:
        directory = inherited
    else:
        directory, is_location = running.directory, running.is_location
    if isinstance(handler, str):
        # A location may be a pattern's. Negative: configured ones count from 0.
        kind = KIND_PATTERN if is_location else KIND_DIRECTORY
        option = req.get_options().get(_scope.IMPORTER_PATH)
        return make_handler(directive, handler, directory, kind, 0, -1 - number, option)
    return Handler(directive, handler, directory, is_location)


def add_handler(
    req: _apache.mp_request,
    phase: int,
    handler: str | Callable[[_apache.mp_request], Any],
    directory: str | None,
    inherited: str | None,
    by_directive: int,
) -> str | None:
    """req.add_handler(): see core/py_request_handlers.c.

    Returns:
        None; or the directory, if that names another interpreter, where the handler
        is to run.
    """
    added = req._added if req._added is not None else {}
    number = len(added.get(phase, ()))
    made = _added_handler(req, _PHASES[phase], handler, directory, inherited, number)
    is_running = req._running is not None and req._running.phase == req.phase == _PHASES[phase]
    may_move = by_directive and directory is not None and isinstance(handler, str) and not is_running
    if may_move and made.directory != _apache.interpreter:
        return made.directory
    added.setdefault(phase, []).append(made)
    req._added = added
    return None


def register_filter(
    req: _apache.mp_request,
    name: str,
    is_input: int,
    handler: str | Callable[[_apache.mp_filter], Any],
    directory: str | None,
) -> Handler:
    """req.register_input_filter() and register_output_filter(), name in lower case."""
    directive = "PythonInputFilter" if is_input else "PythonOutputFilter"
    made = _added_handler(req, directive, handler, directory, None, 0)
    if req._filters is None:
        req._filters = {}
    req._filters[is_input, name] = made
    return made


def make_hlist(record: _apache.mp_request | _apache.mp_conn) -> mp_hlist:
    """req.hlist and conn.hlist."""
    handlers = list(record._handlers or ())
    if not isinstance(record, _apache.mp_request):
        return mp_hlist(handlers, 0)
    running = record._running
    if running is None:
        return mp_hlist([], 0)
    for number, directive in enumerate(_PHASES):
        if directive == running.phase and record._added is not None:
            handlers += record._added.get(number, ())
    places = [place for place, handler in enumerate(handlers) if handler is running]
    return mp_hlist(handlers, places[0] if places else len(handlers))


def run(
    req: _apache.mp_request,
    handlers: tuple[Handler, ...],
    phase: int,
    flags: int,
    python_path: str | None,
    before: int | None = None,
) -> int:
    """Run the handlers of a phase, and those that req.add_handler() adds to it.

    Args:
        req: The request.
        handlers: As configured.
        phase: Index into _apache._phases.
        flags: FLAG_*.
        python_path: The PythonPath directive in effect.
        before: The result of the phase's handlers in another interpreter, if any ran.

    Returns:
        The status for Apache.
    """
    goes_on = _GOES_ON_BY_NUMBER[phase]
    status = DECLINED
    if before is not None:
        status = before
        if status not in goes_on:
            return status
    for handler in handlers:
        status = _call(req, handler, flags, python_path, status)
        if status not in goes_on:
            return status
    return _run_added(req, phase, flags, python_path, status)


def conclude(
    req: _apache.mp_request,
    handlers: tuple[Handler],
    phase: int,
    flags: int,
    python_path: str | None,
    result: object,
    error: BaseException | None,
) -> int:
    """What run() does once its one handler was called, which the core has done itself.

    Args:
        result: What the handler returned.
        error: What it raised, or None.
    """
    (handler,) = handlers
    if error is None:
        status = _status_of_result(req, handler, flags, result)
    else:
        status = _status_of_error(req, handler, flags, error)
    if status not in _GOES_ON_BY_NUMBER[phase]:
        return status
    return _run_added(req, phase, flags, python_path, status)


def _run_added(req: _apache.mp_request, phase: int, flags: int, python_path: str | None, status: int) -> int:
    """Run what req.add_handler() added to the phase; status is that of the handlers before."""
    if req._added is not None:
        goes_on = _GOES_ON_BY_NUMBER[phase]
        for handler in req._added.get(phase, ()):
            status = _call(req, handler, flags, python_path, status)
            if status not in goes_on:
                return status
    return status


def _use_path(python_path: str) -> None:
    """Have sys.path be what PythonPath says."""
    global _path
    with _path_lock:
        _importer.set_path(python_path)
        _path = python_path
        for handler in list(_handlers.values()):
            handler.direct = None


def _call(req: _apache.mp_request, handler: Handler, flags: int, python_path: str | None, status: int) -> int:
    """Call one handler; status is that of the one before, for a handler to be skipped."""
    req._running = handler
    function = None
    try:
        if python_path is not None and python_path is not _path:
            _use_path(python_path)
        function = handler.resolve(req, bool(flags & FLAG_RELOAD))
        if function is None:
            return status
        result = function(req) if not flags & FLAG_PDB else _debug(function, req)
    except BaseException as error:
        return _status_of_error(req, handler, flags, error, function is not None)
    if type(result) is int and -3 < result < 600 and not 0 < result < 100:
        return result
    return _status_of_result(req, handler, flags, result)


def _status_of_result(req: _apache.mp_request, handler: Handler, flags: int, result: object) -> int:
    """The status that the handler has returned, or that of its having returned none."""
    if handler.phase == "PythonCleanupHandler":
        return OK
    try:
        return _status_from(result)
    except BaseException as error:  # a result's own methods may raise anything
        return _errors.report(req, handler, error, bool(flags & FLAG_DEBUG), True)


def _status_of_error(
    req: _apache.mp_request, handler: Handler, flags: int, error: BaseException, is_resolved: bool = True
) -> int:
    """The status for what left the handler, which is logged unless that is SERVER_RETURN."""
    if issubclass(type(error), SERVER_RETURN):  # which, unlike isinstance(), asks the error nothing
        try:
            return _status_from_exception(req, error)
        except BaseException as worse:
            error = worse
    return _errors.report(req, handler, error, bool(flags & FLAG_DEBUG), is_resolved)


def _status_from(result: object) -> int:
    """The status that a handler's result is.

    Raises:
        BadResult: It is none.
    """
    if isinstance(result, int) and not isinstance(result, bool):
        status = int.__int__(result)  # its own methods may say anything
        if status in (OK, DECLINED, DONE) or 100 <= status < 600:
            return status
        raise BadResult(
            f"returned {_shown(result)}, which is no HTTP status: return apache.OK, "
            "DECLINED, DONE or an apache.HTTP_* constant"
        )
    if type(result).__name__ == "coroutine":
        result.close()  # type: ignore[attr-defined]
        raise BadResult("is an async function: a handler is called, not awaited; use asyncio.run() in it")
    raise BadResult(
        f"returned {_shown(result)}, not a status: end it with 'return apache.OK', or "
        "DECLINED, DONE or an apache.HTTP_* constant"
    )


def _shown(result: object) -> str:
    """A result, or its type, for the log."""
    try:
        return f"{result!r:.100}"
    except Exception:
        return f"a {type(result).__qualname__}"


def _status_from_exception(req: _apache.mp_request, returned: BaseException) -> int:
    """The status that a SERVER_RETURN is for."""
    if not returned.args:
        raise BadResult(
            "raised SERVER_RETURN without a status: "
            "raise apache.SERVER_RETURN(apache.HTTP_FORBIDDEN), for example"
        )
    if len(returned.args) > 1 and returned.args[1]:
        req.status = returned.args[1]
    return _status_from(returned.args[0])


def _debug(function: Callable[[_apache.mp_request], Any], req: _apache.mp_request) -> Any:
    """PythonEnablePdb (manual, 5.4.1): on the terminal that httpd -X was started from."""
    import pdb

    debugger = pdb.Pdb(stdin=sys.__stdin__, stdout=sys.__stdout__, nosigint=True)
    result = debugger.runcall(function, req)
    if result is None and getattr(debugger, "quitting", False):
        raise BadResult("was left by quitting the debugger before it returned")
    return result


# Filters and connections


def run_filter(
    filter: _apache.mp_filter, handler: Handler, flags: int, python_path: str | None
) -> str | None:
    """Call the handler of a filter (manual, 4.3); its result is ignored.

    Returns:
        None; or, if it raised, what to show the client of that ("" for nothing).
    """
    function = None
    before = _scope.enter(filter, handler)
    try:
        if python_path is not None and python_path is not _path:
            _use_path(python_path)
        function = handler.resolve(filter, bool(flags & FLAG_RELOAD))
        if function is not None:
            function(filter)
    except BaseException as error:
        if issubclass(type(error), OSError) and (filter._neighbour_failed or filter.connection.aborted):
            return ""  # the client has gone, or what is behind it: not this handler's fault
        shown = _errors.report_filter(filter, handler, error, function is not None)
        return shown if flags & FLAG_DEBUG else ""
    finally:
        _scope.leave(before)
    return None


def run_connection(conn: _apache.mp_conn, handler: Handler, flags: int, python_path: str | None) -> int:
    """Call the handler of a connection (manual, 4.4).

    Returns:
        DECLINED to leave the connection to Apache, or another status.
    """
    function = None
    before = _scope.enter(conn, handler)
    try:
        if python_path is not None and python_path is not _path:
            _use_path(python_path)
        function = handler.resolve(conn, bool(flags & FLAG_RELOAD))
        if function is None:
            return DECLINED
        return _end_of_connection(function(conn))
    except BaseException as error:
        try:
            if issubclass(type(error), SERVER_RETURN):
                return _status_from(error.args[0]) if error.args else OK
        except BaseException as worse:
            error = worse
        _errors.report_connection(conn, handler, error, function is not None)
        return OK
    finally:
        _scope.leave(before)


def _end_of_connection(result: object) -> int:
    """What a connection handler's result comes to."""
    return DECLINED if isinstance(result, int) and result == DECLINED else OK


# Time


def report_timeout(
    subject: _apache.mp_request | _apache.mp_filter, handler: Handler, flags: int, error: RequestTimeout
) -> int | str:
    """RequestTimeout that came when its handler had just ended, or while that one's own error
    was being reported.

    Args:
        subject: What the handler was called with.

    Returns:
        As run() or run_filter().
    """
    debug = bool(flags & FLAG_DEBUG)
    if isinstance(subject, _apache.mp_filter):
        shown = _errors.report_filter(subject, handler, error, True)
        return shown if debug else ""
    return _errors.report(subject, handler, error, debug, True)


# Cleanups


def run_cleanups(cleanups: list[_Cleanup]) -> None:
    """Call the functions of register_cleanup(), the last first, as Apache calls those of a pool
    and atexit its own; log what they raise."""
    for function, data in reversed(cleanups):
        try:
            function(data)
        except BaseException as error:
            _errors.report_cleanup(function, error)


def register_server_cleanup(function: Callable[[Any], object], data: Any = None) -> None:
    """server.register_cleanup(): have function(data) called when the child ends."""
    if not callable(function):
        raise ValueError(f"register_cleanup() needs a callable, not {type(function).__name__}")
    _server_cleanups.append((function, data))


def shutdown(patience: float) -> None:
    """The end of the child: cleanups, then what CPython does at its own end.

    Args:
        patience: Seconds to wait for threads; those still running then are left alone.
    """
    cleanups = _server_cleanups[:]
    _server_cleanups.clear()
    run_cleanups(cleanups)
    threads = _unfinished_threads()
    if threads or _thread_ends():
        waiting = threading.Thread(target=_wait_for, args=(threads,), daemon=True)
        waiting.start()
        waiting.join(max(patience, 0))
        if waiting.is_alive():
            names = ", ".join(thread.name for thread in threads if thread.is_alive()) or "of an executor"
            where = f"interpreter {_apache.interpreter}"
            text = f"KK0195: the child ends although threads of {where} run: {names} (PythonShutdownTimeout)"
            _apache._log(text, _apache.APLOG_WARNING)
    atexit._run_exitfuncs()


def _unfinished_threads() -> list[threading.Thread]:
    """Those that CPython waits for before it ends."""
    never = (threading.current_thread(), threading.main_thread())
    return [thread for thread in threading.enumerate() if not thread.daemon and thread not in never]


def _thread_ends() -> list[Callable[[], object]]:
    """What CPython calls before it waits for them, the last first: concurrent.futures' end, for one."""
    return [*getattr(threading, "_threading_atexits", ())]


def _wait_for(threads: list[threading.Thread]) -> None:
    """Have threads told to end that can be told, and wait for all of them."""
    run_cleanups([(lambda function: function(), function) for function in _thread_ends()])
    for thread in threads:
        thread.join()


# Start


def check_path(text: str) -> str | None:
    """What is wrong with a PythonPath; None if nothing is."""
    try:
        _importer.evaluate_path(text)
    except ValueError as error:
        return str(error).encode("utf-8", "backslashreplace").decode()
    return None


def import_at_start(text: str, file: str, python_path: str | None, line: int) -> None:
    """PythonImport module[::callable] (manual, 5.4.3); what fails is logged."""
    name, _, path = text.partition("::")
    try:
        if python_path is not None and python_path is not _path:
            _use_path(python_path)
        module = _importer.load(name)
        if path:
            function = getattr(module, path, None)
            if not isinstance(function, type):  # a class is what to call, without arguments
                function, _ = resolve_object(module, path, None, False)
            function()
    except BaseException as error:
        where = f"PythonImport {text} (line {line} of {file})"
        _apache._log(f"KK0106: {where}: {_errors.describe(error)}", _apache.APLOG_ERR)


def _check_version() -> None:
    """The package and mod_python.so are installed together, or do not fit."""
    if version.version != _apache.version:
        _apache._log(
            f"KK0170: mod_python version mismatch, expected '{_apache.version}', found '{version.version}'.",
            _apache.APLOG_ERR,
        )


sys.argv = ["mod_python"]
_log.redirect_streams()
_processes.prepare(_apache.interpreter, _apache._is_only_interpreter)
_check_version()
