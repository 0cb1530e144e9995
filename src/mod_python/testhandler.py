"""A page that shows that and where Python runs.

    PythonHandler mod_python.testhandler
    PythonDebug On

Without PythonDebug On there is no such page. `?view_log=1` shows the end of the error log.
"""

import os
import platform
import re
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING

import mod_python
from mod_python import _test_page, apache, version

if TYPE_CHECKING:
    import _apache

__all__ = ["handler"]

FLAG_DEBUG = 2  # as in _dispatch

AP_MPMQ_IS_ASYNC = 14  # as in ap_mpm.h

LOG_LINES = 100
#: Bytes at the end of a log that are looked at for them.
LOG_BYTES = 1 << 18


def handler(req: "_apache.mp_request") -> int:
    """Show versions, the request, its environment and its configuration.

    Returns:
        OK; HTTP_NOT_FOUND unless PythonDebug is On.
    """
    if not req._flags & FLAG_DEBUG:
        return apache.HTTP_NOT_FOUND
    if "view_log=1" in (req.args or "").split("&"):
        text = _log(req)
    else:
        where = f"{req.method} {req.uri}, answered by Python in {req.server.server_hostname}"
        text = _test_page.page(_facts(req), _sections(req), where)
    req.content_type = "text/html; charset=utf-8"
    req.headers_out["Cache-Control"] = "no-store"
    req.write(text.encode("utf-8", "backslashreplace"), 0)
    return apache.OK


def _facts(req: "_apache.mp_request") -> list[tuple[str, object]]:
    """What a person looks for first."""
    req.add_common_vars()
    apache_version = re.match(r"Apache/(\S+(?: \([^)]*\))?)", req.subprocess_env.get("SERVER_SOFTWARE", ""))
    return [
        ("Kukulkan", mod_python.mp_version),
        ("Apache", apache_version[1] if apache_version else version.HTTPD_VERSION),
        ("Python", platform.python_version()),
        ("Multi-processing module", _mpm()),
        ("Interpreter", req.interpreter),
        ("Process", f"{os.getpid()}, thread {threading.get_native_id()}"),
    ]


def _mpm() -> str:
    """The multi-processing module, which its answers tell, and how many requests it has at a time."""
    threads = apache.mpm_query(apache.AP_MPMQ_MAX_THREADS)
    processes = apache.mpm_query(apache.AP_MPMQ_MAX_DAEMONS)
    counted = "one process" if processes == 1 else f"at most {processes} processes"
    if not apache.mpm_query(apache.AP_MPMQ_IS_THREADED):
        return f"prefork: {counted}"
    name = "event" if apache.mpm_query(AP_MPMQ_IS_ASYNC) else "worker"
    return f"{name}: {counted} of {threads} threads"


def _sections(req: "_apache.mp_request") -> list[_test_page.Section]:
    handler = req._running
    directory = handler.directory if handler is not None else None
    return [
        (
            "Request",
            "",
            [
                ("the_request", req.the_request),
                ("uri", req.uri),
                ("args", req.args or ""),
                ("filename", req.filename or ""),
                ("path_info", req.path_info or ""),
                ("handler", req.handler or ""),
                ("user", req.user or ""),
                ("client", f"{req.useragent_ip} (connection from {req.connection.remote_ip})"),
                ("directory of the directive", directory or ""),
            ],
        ),
        ("Headers", "that the client has sent", list(req.headers_in.items())),
        ("Configuration", "of Python, in effect here", sorted(req.get_config().items())),
        ("Options", "PythonOption, in effect here", sorted(req.get_options().items())),
        ("Environment of the request", "what CGI scripts get", sorted(req.subprocess_env.items())),
        ("Environment of the process", "", sorted(os.environ.items())),
        (
            "Server",
            "",
            [
                ("hostname", f"{req.server.server_hostname}, port {req.server.port or 'any'}"),
                ("document root", req.document_root()),
                ("server root", apache.server_root()),
                ("error log", req.server.error_fname or ""),
                ("built for", f"Apache {version.HTTPD_VERSION}, APR {version.APR_VERSION}"),
                ("platform", platform.platform()),
            ],
        ),
        (
            "Python",
            sys.version.partition("\n")[0],
            [("prefix", sys.prefix), *((f"sys.path[{n}]", path) for n, path in enumerate(sys.path))],
        ),
    ]


def _log(req: "_apache.mp_request") -> str:
    """The page with the end of the error log."""
    name = req.server.error_fname or apache.main_server.error_fname or ""
    if not name or name.startswith("|") or name.partition(":")[0] in ("syslog", "journald"):
        return _test_page.log_page(name or "Error log", None, "The log is not a file that could be shown.")
    path = os.path.join(apache.server_root(), name)
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - LOG_BYTES, 0))
            data = file.read()
    except OSError as error:
        who = f"the user of Apache's children, number {os.geteuid()}"
        return _test_page.log_page(path, None, f"It cannot be read by {who}: {error.strerror}.")
    lines = deque(data.decode("utf-8", "replace").splitlines(), LOG_LINES)
    return _test_page.log_page(path, list(lines))
