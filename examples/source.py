"""The source of one of these pages, named by the query."""

from pathlib import Path
from urllib.parse import unquote

from mod_python import apache

HERE = Path(__file__).resolve().parent


def handler(req):
    """Send a module or a PSP page of this directory as text, and nothing else whatever is asked for."""
    try:
        page = (HERE / unquote(req.args or "source.py")).resolve()
        is_page = page.suffix in (".py", ".psp") and page.is_relative_to(HERE) and page.is_file()
    except (OSError, ValueError):  # a name that no file can have: too long, or with a NUL
        is_page = False
    if not is_page:
        return apache.HTTP_NOT_FOUND
    req.content_type = "text/plain; charset=utf-8"
    req.write(page.read_bytes())
    return apache.OK
