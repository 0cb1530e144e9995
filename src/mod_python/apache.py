"""Access to Apache's internals, for handlers (manual, 4.5).

It can be imported inside httpd only, where the module `_apache` is built in.
"""

# The names that the star brings are this module's own, for type checkers too:
# mypy: implicit-reexport

import sys
from typing import TYPE_CHECKING, Any

import _apache
from _apache import *  # noqa: F403

from mod_python import _dispatch, _importer, _module_graph, _reload, _scope
from mod_python._errors import SERVER_RETURN as SERVER_RETURN
from mod_python._errors import RequestTimeout as RequestTimeout
from mod_python._handlers import resolve_object as _resolve_object

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from mod_python._logging import LogHandler as LogHandler
    from mod_python._source_loader import ModuleInfo

# For this package's own modules.
_enter_directory = _apache._enter_directory
_leave_directory = _apache._leave_directory

#: Obsolete alias of table (manual, 4.5.1).
make_table = _apache.table

#: The server object of the main server.
main_server = _apache._main_server()

# Older names of results.
REQ_PROCEED = _apache.OK
REQ_NOACTION = _apache.DECLINED
REQ_ABORTED = _apache.HTTP_INTERNAL_SERVER_ERROR
REQ_EXIT = "REQ_EXIT"

# Items of req.finfo and req.parsed_uri (manual, 4.5.3).
(
    FINFO_MODE,
    FINFO_INO,
    FINFO_DEV,
    FINFO_NLINK,
    FINFO_UID,
    FINFO_GID,
    FINFO_SIZE,
    FINFO_ATIME,
    FINFO_MTIME,
    FINFO_CTIME,
    FINFO_FNAME,
    FINFO_NAME,
    FINFO_FILETYPE,
) = range(13)
(
    URI_SCHEME,
    URI_HOSTINFO,
    URI_USER,
    URI_PASSWORD,
    URI_HOSTNAME,
    URI_PORT,
    URI_PATH,
    URI_QUERY,
    URI_FRAGMENT,
) = range(9)

# Values of conn.keepalive.
AP_CONN_UNKNOWN = 0
AP_CONN_CLOSE = -1
AP_CONN_KEEPALIVE = 1


def allow_methods(*methods: int) -> int:
    """The bitmask of M_* constants, to be assigned to req.allowed (manual, 4.5.1)."""
    mask = 0
    for method in methods:
        mask |= 1 << method
    return mask


def register_cleanup(callable: "Callable[[Any], object]", data: Any = None) -> None:
    """Have callable(data) called when the child ends, as server.register_cleanup() does.

    Raises:
        ValueError: It is not callable.
    """
    _dispatch.register_server_cleanup(callable, data)


def import_module(
    name: str, autoreload: bool | None = None, log: bool | None = None, path: list[str] | None = None
) -> "ModuleType":
    """Import a module, or reload it if its file, or that of a module it imported, has changed.

    Args:
        name: Dotted name; or a file ending in ".py": absolute, "~/" (from the directory of
            the handler), "./" or "../" (from the importing file's directory).
        autoreload: Whether changed files are noticed; None: PythonAutoReload.
        log: Write to the error log what is imported and reloaded; None: PythonDebug.
        path: Directories to look in first; the module's `__mp_path__`.

    Raises:
        ImportError: There is no such module.
        FileNotFoundError: There is no such file.
        ValueError: PythonOption mod_python.importer.path is no list of strings.
    """
    importer = sys._getframe(1).f_globals
    reload = _scope.autoreload() if autoreload is None else bool(autoreload)
    tells = _scope.debug() if log is None else bool(log)
    return _importer.import_module(name, importer, reload, tells, path)


def freeze_modules() -> None:
    """Reload no module any more, in this interpreter of this process."""
    _reload.freeze()


def module_info(label: str) -> "ModuleInfo":
    """The `__mp_info__` of a loaded file module: its label, file and children.

    Raises:
        KeyError: No file module has this label.
    """
    return _module_graph.module_info(label)


def modules_graph(verbose: int = 0) -> str:
    """Which of this interpreter's file modules imports which, for Graphviz's dot.

    Args:
        verbose: Add their files and when those were changed.
    """
    return _module_graph.graph(_module_graph.all_modules(), verbose)


def request_modules_graph(verbose: int = 0) -> str:
    """The same, of the modules that the current request's code has come to so far."""
    return _module_graph.graph(_module_graph.request_modules(), verbose)


def get_current_config() -> _apache.mp_table:
    """The get_config() of the current request; of the server, where there is no request."""
    return _scope.config()


def get_current_options() -> _apache.mp_table:
    """The get_options() of the current request; of the server, where there is no request."""
    return _scope.options()


def get_handler_root() -> str | None:
    """The directory that the running handler is configured for, ending in "/".

    Returns:
        None, if no handler runs, or its directive is in a <Location> or outside any section.
    """
    return _scope.handler_root()


def resolve_object(module: Any, path: str, arg: Any = None, silent: bool = False) -> Any:
    """Walk a dotted path from a module; a class on the way is instantiated with arg.

    Raises:
        AttributeError: It is missing, and silent is false.
    """
    return _resolve_object(module, path, arg, silent)[0]


def build_cgi_env(req: _apache.mp_request) -> "_apache.mp_table":
    """The variables of a CGI script (RFC 3875, 4.1), as a table of their own.

    Beside what req.add_cgi_vars() sets there is HTTP_AUTHORIZATION, if it was sent;
    GATEWAY_INTERFACE is "Python-CGI/1.1".
    """
    req.add_cgi_vars()
    env = req.subprocess_env.copy()
    script, path_info = req.uri, req.path_info or ""
    if path_info and script.endswith(path_info):
        script = script[: -len(path_info)]
        env["SCRIPT_NAME"] = script.encode("utf-8", "surrogateescape")
    env["GATEWAY_INTERFACE"] = "Python-CGI/1.1"
    password = req.headers_in.get("Authorization")
    if password is not None:
        env["HTTP_AUTHORIZATION"] = password
    return env


def setup_cgi(req: _apache.mp_request) -> tuple[Any, Any, Any]:
    """Have os.environ, sys.stdin, sys.stdout and the current directory be a CGI script's.

    What is then printed is the response, beginning with its header. The handler
    must call restore_nocgi(), in the same thread.

    Returns:
        os.environ, sys.stdin and sys.stdout.
    """
    from mod_python import _cgi  # which needs this module

    return _cgi.begin(req)


def restore_nocgi(env: Any, si: Any, so: Any) -> None:
    """Undo setup_cgi(), whose results it takes; what was printed is sent.

    Raises:
        SERVER_RETURN: What was printed is no response, or calls for another one.
    """
    from mod_python import _cgi

    status = _cgi.end_current()
    if status != _apache.OK:
        raise SERVER_RETURN(status)


if not TYPE_CHECKING:  # a type checker would take any name then

    def __getattr__(name: str) -> Any:
        if name == "LogHandler":  # imports logging, which not every program needs
            from mod_python._logging import LogHandler

            return LogHandler
        raise AttributeError(f"module 'mod_python.apache' has no attribute '{name}'")
