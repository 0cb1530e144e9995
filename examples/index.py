"""This page: a list of the others, made from their docstrings."""

import ast
import platform
from html import escape
from pathlib import Path

from mod_python import apache

HERE = Path(__file__).parent

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Kukulkan</title>
<link rel="stylesheet" href="/style.css">
<h1>Kukulkan</h1>
<p>Apache answers, and Python {python} inside it.
<p>Each of these pages is a Python file in <code>{directory}</code>.
Change one and reload: the new code runs at once.
What is no link is no page: its source says how Apache is told to use it.
<table>
{rows}
</table>
"""

ROW = '<tr><td>{name}<td>{title}<td><a href="/source.py?{url}">source</a>'
LINK = '<a href="{url}">{url}</a>'

#: What a module has that is no page: it is for a configuration of its own, in its docstring.
NO_PAGES = {"connectionhandler", "outputfilter"}


def handler(req):
    """Answer with the list."""
    req.content_type = "text/html; charset=utf-8"
    patterns = ("[a-z]*.py", "*/[a-z]*.py", "[a-z]*.psp")
    pages = [page for pattern in patterns for page in sorted(HERE.glob(pattern))]
    rows = "\n".join(row(page) for page in pages)
    python = platform.python_version()
    req.write(PAGE.format(python=python, directory=escape(str(HERE)), rows=rows))
    return apache.OK


def row(page):
    """The table row of one page."""
    text = page.read_text("utf-8")
    if page.suffix == ".psp":  # its first line is a comment
        module, title = ast.Module([], []), text.removeprefix("<%--").partition("--%>")[0].strip()
    else:
        module = ast.parse(text)
        title = (ast.get_docstring(module) or "").partition("\n")[0]
    functions = {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
    url = escape(page.relative_to(HERE).as_posix())
    name = url if functions & NO_PAGES else LINK.format(url=url)
    return ROW.format(name=name, url=url, title=escape(title))
