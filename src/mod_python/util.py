"""Forms and query strings, for handlers (manual, 4.6).

It can be imported inside httpd only, where the module `_apache` is built in.
"""

import html
from typing import TYPE_CHECKING, NoReturn

from _apache import parse_qs, parse_qsl

from mod_python import apache
from mod_python._calls import apply_fs_data
from mod_python._fields import Field, StringField, parse_header
from mod_python._forms import FieldStorage

if TYPE_CHECKING:
    import _apache

__all__ = [
    "Field",
    "FieldStorage",
    "StringField",
    "apply_fs_data",
    "parse_header",
    "parse_qs",
    "parse_qsl",
    "redirect",
]


def redirect(
    req: "_apache.mp_request", location: str, permanent: int = 0, text: str | bytes | None = None
) -> NoReturn:
    """Send the client elsewhere, and end the request: no later phase runs, and no error
    document is sent.

    Args:
        req: The request.
        location: Where to; sent as it is.
        permanent: Answer 301 and not 302.
        text: The body, which few clients show; None is an HTML page with a link.

    Raises:
        SERVER_RETURN: Always, unless one of the others is.
        OSError: A part of the response was sent already.
        ValueError: The location has characters that no header can have.
    """
    if req.sent_bodyct:
        raise OSError("Cannot redirect: a part of the response was sent already")
    if text is None:
        link = html.escape(location)
        text = f'<!DOCTYPE html>\n<title>Moved</title>\n<p>It is <a href="{link}">here</a>.\n'
    req.headers_out["Location"] = location
    req.status = apache.HTTP_MOVED_PERMANENTLY if permanent else apache.HTTP_MOVED_TEMPORARILY
    if not req._content_type_set:
        req.content_type = "text/html; charset=utf-8"
    req._discard_body()
    req.write(text, 0)
    raise apache.SERVER_RETURN(apache.DONE)
