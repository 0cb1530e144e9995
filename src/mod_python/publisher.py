"""The publisher: functions and values of a module as pages (manual, 3.1 and 6.1).

    PythonHandler mod_python.publisher

`/form.py/email`, or `/form/email`, calls the function `email` of the module `form.py`
with the fields of the request's form that it has parameters for, and sends what it
returns. `req.form` has the whole form.
"""

import html
import os
import weakref
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

from mod_python import _importer, apache
from mod_python._calls import NO_PARAMETERS, MissingArguments, Parameters, by_name, parameters_of, settled
from mod_python._publisher_access import Gate, nested_in
from mod_python._publisher_objects import DEFAULT, candidates, find, may_follow, split

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["handler"]

METHODS = ("GET", "HEAD", "POST")

BYTES = (bytes, bytearray, memoryview)

#: Callables that a callable may return, one after the other, before that is an error.
MOST_CALLS = 100

#: Characters at the end of a page in which "</html>" is looked for.
END_OF_PAGE = 100

MOST_PAGES = 4096
LONGEST_KEPT = 256

FLAG_RELOAD = 1  # as in _dispatch

OK = apache.OK


def handler(req: Any) -> int:
    """Answer with what the URL names.

    Returns:
        OK, or HTTP_METHOD_NOT_ALLOWED, HTTP_NOT_FOUND, HTTP_BAD_REQUEST where required
        arguments are missing.

    Raises:
        SERVER_RETURN: For other refusals.
        Exception: What the program raises.
    """
    page = req._kept_page(_pages, _make_form)
    module = None if page is None else _importer.loaded_file(page.path)
    if module is None:
        if req.method not in METHODS:
            req.allow_methods(METHODS, reset=1)
            return apache.HTTP_METHOD_NOT_ALLOWED
        found = _load(req)
        if found is None:
            return apache.HTTP_NOT_FOUND
        module, page = found
        req._make_form = _make_form
    try:
        plain = page.plain_function(module)
        gate = None
        if plain is None:
            gate = Gate(req)
            result = find(module, page.names, gate)
            page.remember(result)
        elif plain[1].takes_request_only:
            result = plain[0](req)
        else:
            result = _call(req, *plain)
        if type(result) is not str:
            result = _result(req, settled(result) if gate is None else result, gate)
    except MissingArguments as missing:
        return _bad_request(req, missing.names)
    if not req._write_page(result):
        _publish(req, result)
    return OK


# The module


class _Page:
    """What URLs with the same req.filename and req.path_info are for."""

    __slots__ = ("_key", "_known", "names", "path")

    def __init__(self, path: str, names: list[str], key: bytes | None) -> None:
        """
        Args:
            path: The module's file.
            names: Those that lead to the object.
            key: Under which it may be kept, if it may: req._page_key().
        """
        self.path = path
        self.names = names
        self._key = key
        #: The function that was found, which may go when its module does, and what it takes:
        #: one value, for many threads come to the same page.
        self._known: tuple[Callable[[], Any], Parameters] = (_nothing, NO_PARAMETERS)

    def plain_function(self, module: "ModuleType") -> tuple[Any, Parameters] | None:
        """The function that find() would come to, and what it takes, if it is the one that it
        came to before and there still is nothing to check on the way; else None."""
        reference, parameters = self._known
        function = reference()
        if function is None:
            return None
        members = module.__dict__
        if members.get(self.names[0]) is not function or function.__dict__:
            return None
        if "__auth__" in members or "__access__" in members or "__all__" in members:
            return None
        return function, parameters

    def remember(self, found: Any) -> None:
        """Keep the page, now that there is one; have plain_function() answer with what find()
        has come to, if it can."""
        if self._key is not None:
            if len(_pages) >= MOST_PAGES:
                _pages.clear()
            _pages[self._key] = self
            self._key = None
        if found.__class__ is FunctionType and len(self.names) == 1 and not nested_in(found):
            self._known = (weakref.ref(found), parameters_of(found))


def _nothing() -> Any:
    """A reference to what has gone."""


_pages: dict[bytes, _Page] = {}


def _load(req: Any) -> "tuple[ModuleType, _Page] | None":
    """The module that a request is for, and its page; None if there is none.

    Raises:
        SERVER_RETURN: HTTP_FORBIDDEN: Apache follows no symbolic links there.
    """
    reload = bool(req._flags & FLAG_RELOAD)
    key = req._page_key()
    page = _pages.get(key)
    # What kept it had perhaps other options, or the file was no link then.
    if page is not None and may_follow(page.path, req._allow_options):
        try:
            return _importer.load_file(page.path, reload), page
        except FileNotFoundError:
            if os.path.exists(page.path):
                raise  # it is the module that misses a file
            _pages.pop(key, None)
    page = _locate(req, key)
    return (_importer.load_file(page.path, reload), page) if page else None


def _locate(req: Any, key: bytes) -> _Page | None:
    """The page that a request is for.

    Raises:
        SERVER_RETURN: HTTP_FORBIDDEN: Apache follows no symbolic links there.
    """
    filename, path_info = req.filename, req.path_info
    if not filename:
        return None
    choices = candidates(filename, _extensions(req))
    if choices and not os.path.isfile(choices[0][0]) and os.path.isdir(filename):
        choices = candidates(os.path.join(filename, ""), ())
    for path, first in choices:
        if os.path.isfile(path):
            if not may_follow(path, req._allow_options):
                raise apache.SERVER_RETURN(apache.HTTP_FORBIDDEN)
            # Behind the first choice another file may come; a client's long names are not kept.
            is_lasting = not first and len(path_info or "") <= LONGEST_KEPT
            names = first + split(path_info)
            return _Page(path, names or [DEFAULT], key if is_lasting else None)
    return None


def _extensions(req: Any) -> tuple[str, ...]:
    """What is stripped of a file's name: ".py", and what sends such files to Python."""
    listed = (req.extension.lower(),) if req._is_listed and req.extension else ()
    return (*listed, ".py", *(f".{name}" for name in req.get_addhandler_exts().lower().split()))


# The object


def _make_form(req: Any) -> Any:
    from mod_python import util

    return util.FieldStorage(req, 1)


def _result(req: Any, thing: Any, gate: Gate | None) -> Any:
    """What a published object comes to: callables, and those that they return, are called.

    Args:
        gate: Where it was let in; None if it is what a function has returned.
    """
    if gate is None and callable(thing):
        gate = Gate(req)
        gate.enter(thing)
    for _ in range(MOST_CALLS):
        if not callable(thing) or isinstance(thing, type):
            return thing
        thing = _call(req, thing, parameters_of(thing))
        if callable(thing) and gate is not None:
            gate.enter(thing)
    raise RecursionError(f"{MOST_CALLS} callables each returned the next: {thing!r:.100}")


def _call(req: Any, function: Any, parameters: Parameters) -> Any:
    if not parameters.takes_fields:
        result = function(req) if parameters.names else function()
    else:
        fields = by_name(req.form.items()) if req.method == "POST" or req.args else {}
        positional, keywords = parameters.arguments(fields, {"req": req})
        result = function(*positional, **keywords)
    return result if result.__class__ is str else settled(result)


def _bad_request(req: Any, names: list[str]) -> int:
    """Apache's page for HTTP_BAD_REQUEST has these notes in it."""
    fields = ", ".join(f"<code>{html.escape(name)}</code>" for name in names)
    what = "field is" if len(names) == 1 else "fields are"
    req.notes["error-notes"] = f"This required {what} missing: {fields}."
    return apache.HTTP_BAD_REQUEST


# The response


def _publish(req: Any, result: Any) -> None:
    """Send a result, without flushing; req._write_page() does the same for the usual str."""
    if result is None:
        return
    is_bytes = isinstance(result, BYTES)
    if not is_bytes:
        result = str(result)
    if not req._content_type_set:
        end = result[-END_OF_PAGE:]
        if is_bytes:
            end = bytes(end).decode("ascii", "replace")
        req.content_type = "text/html" if "</html>" in end.lower() else "text/plain"
    try:
        req.write(result, 0)
    except UnicodeEncodeError:
        # What a client sent that is no UTF-8 goes back as it came.
        req.write(result.encode("utf-8", "surrogateescape"), 0)
