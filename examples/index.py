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
<table>
{rows}
</table>
"""

ROW = '<tr><td><a href="{url}">{url}</a><td>{title}<td><a href="/source.py?{url}">source</a>'


def handler(req):
    """Answer with the list."""
    req.content_type = "text/html; charset=utf-8"
    pages = [*sorted(HERE.glob("[a-z]*.py")), *sorted(HERE.glob("*/[a-z]*.py"))]
    rows = "\n".join(row(page) for page in pages)
    python = platform.python_version()
    req.write(PAGE.format(python=python, directory=escape(str(HERE)), rows=rows))
    return apache.OK


def row(page):
    """The table row of one module."""
    title = (ast.get_docstring(ast.parse(page.read_bytes())) or "").partition("\n")[0]
    return ROW.format(url=escape(page.relative_to(HERE).as_posix()), title=escape(title))
