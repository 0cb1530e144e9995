"""Runs CGI scripts as they are: PythonHandler mod_python.cgihandler (manual, 6.2)."""

from typing import TYPE_CHECKING

from mod_python import _cgi, _script_modules, apache

if TYPE_CHECKING:
    from _apache import mp_request

__all__ = ["handler"]


def handler(req: "mp_request") -> int:
    """Run the file that the request is for, and answer with what it prints.

    Returns:
        OK, HTTP_NOT_FOUND if there is no such file, HTTP_FORBIDDEN if it is a directory,
        or what the script's header amounts to.
    """
    file = req.filename
    if file is None or (req.path_info and req.used_path_info == apache.AP_REQ_REJECT_PATH_INFO):
        return apache.HTTP_NOT_FOUND
    try:
        code = _script_modules.code_of(file, req._file_stamp())
    except (FileNotFoundError, NotADirectoryError):
        return apache.HTTP_NOT_FOUND
    except IsADirectoryError:
        return apache.HTTP_FORBIDDEN
    run = _cgi.Run(req, file)
    try:
        run.execute(code)
    except BaseException:
        run.fail()
        raise
    return run.end()
