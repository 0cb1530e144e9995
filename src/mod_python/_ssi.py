"""Python in server-side includes: `<!--#python eval="..." -->` and `exec="..."`.

A block is a handler, which the core calls with a filter that has nothing to read and
writes where the block stands in the page.
"""

import ast
import html
import os
import re
from functools import lru_cache
from types import CodeType
from typing import TYPE_CHECKING, Any

from mod_python._handlers import Handler

if TYPE_CHECKING:
    import _apache

__all__ = ["make_handler"]

#: Blocks that are kept compiled.
SIZE = 512


class Block:
    """What a directive has in its attribute, to be called with a filter."""

    def __init__(self, attribute: str, code: str) -> None:
        """
        Args:
            attribute: "eval" for an expression, or "exec".
            code: Its value, entities decoded.
        """
        self.attribute = attribute
        self.code = code.replace("\r\n", "\n")

    def __call__(self, filter: "_apache.mp_filter") -> None:
        """Run it.

        Raises:
            SyntaxError: It is no Python.
            TypeError: A handler has set req.ssi_globals to no dict.
            Exception: What the code raises.
        """
        req = filter.req
        code = self._compiled(req)
        scope = _globals_of(req)
        scope["filter"] = filter
        scope["__file__"] = req.filename
        if self.attribute == "exec":
            exec(code, scope)
            return
        result = eval(code, scope)
        if result is not None:
            filter.write(str(result))

    def _compiled(self, req: "_apache.mp_request") -> CodeType:
        file = req.filename or ""
        finfo = req.finfo
        return _compile(self.code, self.attribute, file, (finfo.mtime, finfo.size))


def make_handler(attribute: str, code: str, file: str | None) -> Handler:
    """The handler that a directive is.

    Args:
        attribute: "eval" or "exec".
        code: Its value, entities decoded.
        file: Of the page.
    """
    handler = Handler("#python", Block(attribute, code), os.path.dirname(file) + "/" if file else None)
    handler.text = attribute
    return handler


def _globals_of(req: "_apache.mp_request") -> dict[str, Any]:
    """What the blocks of a request share; a handler may have put something there."""
    scope = getattr(req, "ssi_globals", None)
    if scope is None:
        scope = req.ssi_globals = {}
    if not isinstance(scope, dict):
        raise TypeError(f"req.ssi_globals is to be a dict, not {type(scope).__name__}")
    return scope


@lru_cache(SIZE)
def _compile(text: str, attribute: str, file: str, version: object) -> CodeType:
    """The code of a block, which says where it stands in this version of the file."""
    code = text.strip("\n") if attribute == "exec" else text.strip()
    place = _place_of(code, file)
    name = f"<#python {attribute} in {file}>" if place is None else file
    line, column = place or (1, 0)
    try:
        tree: Any = compile(code, name, attribute, ast.PyCF_ONLY_AST, dont_inherit=True)
    except SyntaxError as error:
        _move_error(error, line)
        raise
    for node in ast.walk(tree):
        _move(node, line, column)
    compiled: CodeType = compile(tree, name, attribute, dont_inherit=True)
    return compiled


def _place_of(code: str, file: str) -> tuple[int, int] | None:
    """The line, from 1, and the column, from 0, of a block in its page; None: not known, as the
    page is no file, or has the same block twice."""
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as opened:
            page = html.unescape(opened.read())
    except (OSError, ValueError):
        return None
    found = re.findall(rf"([\"'`]\s*){re.escape(code)}(?=\s*[\"'`])", page)
    if len(found) != 1:
        return None
    before = page[: page.index(found[0] + code) + len(found[0])]
    return before.count("\n") + 1, len(before.rpartition("\n")[2].encode("utf-8", "replace"))


def _move(node: Any, line: int, column: int) -> None:
    if not hasattr(node, "lineno"):
        return
    if node.lineno == 1:
        node.col_offset += column
    if node.end_lineno == 1:
        node.end_col_offset += column
    node.lineno += line - 1
    node.end_lineno += line - 1


def _move_error(error: SyntaxError, line: int) -> None:
    """Has it name the line of the page; the columns stay those of the text that it shows."""
    if error.lineno is not None:
        error.lineno += line - 1
    if error.end_lineno is not None:
        error.end_lineno += line - 1
