"""Python Server Pages: text with Python in it.

    PythonHandler mod_python.psp

runs the file that a request is for; PSP runs pages as templates from other handlers.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import _apache

from mod_python import _psp, _psp_code, apache
from mod_python._psp import parse, parsestring
from mod_python._psp_code import FileCache, HitsCache

__all__ = ["PSP", "FileCache", "HitsCache", "PSPInterface", "handler", "parse", "parsestring"]

FLAG_DEBUG = 2  # as in _dispatch

_NO_VARS: Mapping[str, Any] = {}


def handler(req: _apache.mp_request) -> int:
    """Run the page that a request is for; with PythonDebug On and a "_" behind its name, show it.

    Returns:
        OK, or HTTP_NOT_FOUND.

    Raises:
        SyntaxError: It is no page.
        Exception: What the page raises.
    """
    name = req.filename
    is_shown = name is not None and name.endswith("_") and req._flags & FLAG_DEBUG
    try:
        page = PSP(req, name[:-1] if name and is_shown else name)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return apache.HTTP_NOT_FOUND
    req.content_type = "text/html"
    if is_shown:
        page.display_code()
    else:
        page.run()
    return apache.OK


class PSP:
    """A page, to be run for a request."""

    __slots__ = ("_compiled", "_string", "filename", "req", "vars")

    def __init__(
        self,
        req: _apache.mp_request,
        filename: str | None = None,
        string: str | None = None,
        vars: Mapping[str, Any] = _NO_VARS,
    ) -> None:
        """
        Args:
            req: The request that the page answers.
            filename: Of the page; relative to the directory of req.filename, which it is
                without this and string.
            string: The page itself.
            vars: Global variables for its code.

        Raises:
            ValueError: There are both filename and string.
            OSError: The page cannot be read.
            SyntaxError: It is no page.
        """
        if filename is not None and string is not None:
            raise ValueError("a PSP is made from a filename or from a string, not from both")
        self.req = req
        self.vars = vars
        self._string = string
        self.filename = filename
        if string is not None:
            self._compiled = _psp_code.from_string(string, self.directory)
            return
        own = req.filename or ""
        if filename is None or filename == own:
            self.filename = own
        else:
            self.filename = os.path.join(os.path.dirname(own), filename)
        self._compiled = _psp_code.from_file(self.filename)

    @property
    def directory(self) -> str:
        """Where relative names begin."""
        return os.path.dirname(self.filename or self.req.filename or "")

    def __str__(self) -> str:
        self.run()
        return ""

    def run(self, vars: Mapping[str, Any] = _NO_VARS, flush: object = 0) -> None:
        """Run the page, which writes to the request; save its session afterwards.

        Args:
            vars: More global variables for its code.
            flush: Send what was written at the end.

        Raises:
            Exception: What the page raises, without an error page of its own.
        """
        req = self.req
        names = self._compiled.names
        form = _form_of(req) if "form" in names else None
        session, is_own = _session_of(req) if "session" in names else (None, False)
        psp = PSPInterface(req, self)
        scope = {
            "req": req,
            "psp": psp,
            "form": form,
            "session": session,
            "__file__": self.filename or _psp.STRING,
            "__mp_path__": [],
            **self.vars,
            **vars,
        }
        try:
            self._execute(scope, psp, flush)
            if flush:
                req.flush()
        finally:
            if session is not None:
                try:
                    session.save()
                finally:
                    if is_own:
                        session.unlock()
                        if getattr(req, "session", None) is session:
                            del req.session

    def _execute(self, scope: dict[str, Any], psp: "PSPInterface", flush: object) -> None:
        try:
            _psp_code.execute(self._compiled, scope)
        except apache.SERVER_RETURN:
            raise
        except BaseException as error:
            _psp_code.relocate(error, self._compiled)
            if psp.error_page is None or not isinstance(error, Exception):
                raise
            page = PSP(self.req, psp.error_page)
            page.run({"exception": (type(error), error, error.__traceback__)}, flush)

    def display_code(self) -> None:
        """Write a table of the page beside the Python code that it comes to, as HTML."""
        from mod_python import _psp_display

        if self._string is None:
            assert self.filename is not None
            page = _psp.parse_file(self.filename)
        else:
            page = _psp.parse_text(self._string, self.directory)
        self.req.write(_psp_display.render(page).encode("utf-8", "replace"), 0)


class PSPInterface:
    """What a page has as `psp`."""

    __slots__ = ("_page", "error_page", "req")

    def __init__(self, req: _apache.mp_request, page: PSP) -> None:
        self.req = req
        self._page = page
        #: The file of the page that runs if this one fails.
        self.error_page: str | None = None

    def set_error_page(self, filename: str) -> None:
        """Have another page answer if this one raises; it has `exception`, the triple of
        type, value and traceback.

        Args:
            filename: "/name" below the document root, "name" beside this page.
        """
        if filename.startswith("/"):
            self.error_page = os.path.join(self.req.document_root(), filename.lstrip("/"))
        else:
            self.error_page = os.path.join(self._page.directory, filename)

    def apply_data(self, callable: Callable[..., Any], **kw: Any) -> Any:
        """Call with those fields of the form that the callable has parameters for; see
        util.apply_fs_data()."""
        from mod_python import util

        return util.apply_fs_data(callable, _form_of(self.req), **kw)

    def redirect(self, location: str, permanent: int = 0) -> NoReturn:
        """Send the client elsewhere, and end the page; see util.redirect()."""
        from mod_python import util

        util.redirect(self.req, location, permanent)


def _form_of(req: _apache.mp_request) -> Any:
    """The request's form, made if there is none."""
    form = getattr(req, "form", None)
    if form is None:
        from mod_python import util

        form = req.form = util.FieldStorage(req, 1)
    return form


def _session_of(req: _apache.mp_request) -> tuple[Any, bool]:
    """The request's session, and whether it was made here."""
    session = getattr(req, "session", None)
    if session is not None:
        return session, False
    from mod_python import Session

    session = req.session = Session.Session(req)
    return session, True
