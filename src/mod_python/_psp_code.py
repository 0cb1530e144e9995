"""PSP pages, compiled: code objects whose lines are those of the page, and a cache of them."""

import ast
import re
import sys
import threading
from collections.abc import Callable
from types import CodeType, FunctionType, TracebackType
from typing import Any, Generic, NamedTuple, TypeVar

import _apache

from mod_python import _psp

__all__ = ["Compiled", "FileCache", "HitsCache", "execute", "from_file", "from_string", "relocate"]

_T = TypeVar("_T")

#: Entries of a cache.
SIZE = 512

#: The global variable that a page's text and expressions are written with, by its code; no
#: name that the page can have. See req._write_piece().
WRITER = "psp write"

#: In what Python says of a mistake: a line of the source.
_ON_LINE = re.compile(r"\bon line (\d+)")


class Compiled(NamedTuple):
    """A page that can be run."""

    code: CodeType
    #: Names that its code uses, of functions within too.
    names: frozenset[str]
    #: Of what it includes: a line's place by how far its number is beyond `lines`.
    included: list[tuple[str, int]]
    #: Of the page itself.
    lines: int
    #: The files it consists of, in the versions that were read; its own is the first.
    files: list[tuple[str, _psp.Stamp]]


def compile_page(page: _psp.Page) -> Compiled:
    """The code of a page.

    Raises:
        SyntaxError: It is not Python; with the page's name, line and text.
    """
    places = _Places(page)
    text = "".join(f"{line.text}\n" for line in page.source)
    if "\0" in text:  # which versions of Python report differently, and without a place
        raise SyntaxError("a page cannot contain null bytes", (page.file, 1, None, None))
    try:
        tree = ast.parse(text, page.file)
    except SyntaxError as error:
        raise places.translated(error) from None
    if _is_writer_known(tree):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and page.source[node.lineno - 1].is_write:
                _use_writer(node)
    for node in ast.walk(tree):
        if hasattr(node, "lineno"):
            places.move(node)
    try:
        code = compile(tree, page.file, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise places.named(error) from None
    return Compiled(code, frozenset(_names_in(code)), places.included, places.lines, page.files)


def execute(compiled: Compiled, scope: dict[str, Any]) -> None:
    """Run a page.

    Args:
        compiled: The page.
        scope: Its global variables; `req` is what it writes to.

    Raises:
        BaseException: What the page raises.
    """
    req = scope["req"]
    if isinstance(req, _apache.mp_request) and "str" not in scope:
        scope[WRITER] = req._write_piece
    else:  # it only looks like one, or the page has another str()
        scope[WRITER] = _writer(req, scope.get("str", str))
    exec(compiled.code, scope)


def _writer(req: Any, as_text: Callable[[object], str]) -> Callable[..., None]:
    """What req._write_piece() does, for another request or str()."""

    def write(value: Any, text: str | None = "") -> None:
        req.write(value if text is None else as_text(value) + text, 0)

    return write


def _is_writer_known(tree: ast.Module) -> bool:
    """Whether `req` is what the page is run with, and `str` Python's, everywhere in it."""
    for node in ast.walk(tree):
        match node:
            case ast.Name("eval" | "exec" | "globals" | "locals" | "vars"):
                return False
            case ast.Name("req" | "str", ast.Store() | ast.Del()) | ast.alias(asname="req" | "str"):
                return False
            case ast.alias(name) if name == "*" or name.partition(".")[0] in ("req", "str"):
                return False
            case (
                ast.arg("req" | "str")
                | ast.ExceptHandler(name="req" | "str")
                | ast.MatchAs(name="req" | "str")
                | ast.MatchStar("req" | "str")
                | ast.MatchMapping(rest="req" | "str")
                | ast.FunctionDef("req" | "str")
                | ast.AsyncFunctionDef("req" | "str")
                | ast.ClassDef("req" | "str")
            ):
                return False
    return True


def _use_writer(node: ast.Call) -> None:
    """Have req.write(str(x) + "text", 0) call WRITER, which joins nothing."""
    match node:
        case ast.Call(
            ast.Attribute(ast.Name("req"), "write"),
            [ast.Call(ast.Name("str"), [value], []), ast.Constant(0)],
        ):
            arguments = [value]
        case ast.Call(
            ast.Attribute(ast.Name("req"), "write"), [ast.Constant(str()) as text, ast.Constant(0)]
        ):
            arguments = [text, ast.copy_location(ast.Constant(None), text)]
        case ast.Call(
            ast.Attribute(ast.Name("req"), "write"),
            [
                ast.BinOp(ast.Call(ast.Name("str"), [value], []), ast.Add(), ast.Constant(str()) as text),
                ast.Constant(0),
            ],
        ):
            arguments = [value, text]
        case _:
            return
    node.func = ast.copy_location(ast.Name(WRITER, ast.Load()), node.func)
    node.args = arguments


class _Places:
    """Where the lines of a page's source are from.

    A code object has one file name. Lines that are included have numbers beyond the page's
    own, until a traceback is shown: see relocate().
    """

    def __init__(self, page: _psp.Page) -> None:
        self._page = page
        self.lines = page.text.count("\n") + page.text.count("\r") + 1
        self.included: list[tuple[str, int]] = []
        self._numbers: list[int] = []
        for line in page.source:
            number = line.origin.line
            if line.origin.file != page.file:
                self.included.append((line.origin.file, number))
                number = self.lines + len(self.included)
            self._numbers.append(number)

    def move(self, node: Any) -> None:
        """Give a node its place in the page."""
        line, column = self._place(node.lineno, node.col_offset)
        last, end = self._place(node.end_lineno, node.end_col_offset)
        if (last, end) < (line, column):  # it ends in another file, or is our own call
            last, end = line, column
        node.lineno, node.col_offset, node.end_lineno, node.end_col_offset = line, column, last, end

    def _place(self, line: int, column: int) -> tuple[int, int]:
        index = min(line, len(self._numbers)) - 1
        return self._numbers[index], max(column + self._page.source[index].origin.shift, 0)

    def translated(self, error: SyntaxError) -> SyntaxError:
        """The error as one of the page, not of the source."""
        source = self._page.source
        if error.lineno is None or not source:
            return error
        line, origin, _ = source[min(error.lineno, len(source)) - 1]
        shown = _line_of_file(self._page, origin.file, origin.line)
        column = None
        if error.offset and shown:
            before = len(line[: error.offset - 1].encode()) + origin.shift
            column = len(shown.encode()[: max(before, 0)].decode("utf-8", "ignore")) + 1
        message = _ON_LINE.sub(lambda found: f"on line {self._line_of(int(found[1]))}", error.msg)
        return type(error)(message, (origin.file, origin.line, column, shown))

    def named(self, error: SyntaxError) -> SyntaxError:
        """The error, whose line is moved already, with its file and text."""
        line = error.lineno or 1
        file = self._page.file
        if line > self.lines:
            file, line = self.included[line - self.lines - 1]
        shown = _line_of_file(self._page, file, line)
        return type(error)(error.msg, (file, line, None, shown))

    def _line_of(self, number: int) -> int:
        source = self._page.source
        return source[min(number, len(source)) - 1].origin.line


def _line_of_file(page: _psp.Page, file: str, number: int) -> str | None:
    if file == page.file:
        lines = re.split(r"[\r\n]", page.text)
        return lines[number - 1] if number <= len(lines) else None
    try:
        with open(file, encoding="utf-8-sig") as opened:
            return opened.read().split("\n")[number - 1]
    except (OSError, ValueError, IndexError):
        return None


def _names_in(code: CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names_in(constant)
    return names


# Tracebacks


def relocate(error: BaseException, compiled: Compiled) -> None:
    """Have the traceback of an error name the files and lines of what the page includes."""
    if not compiled.included:
        return
    entries = []
    trace = error.__traceback__
    while trace is not None:
        entries.append(trace)
        trace = trace.tb_next
    moved: TracebackType | None = None
    for entry in reversed(entries):
        code = entry.tb_frame.f_code
        number = entry.tb_lineno - compiled.lines - 1
        if code.co_filename == compiled.code.co_filename and 0 <= number < len(compiled.included):
            file, line = compiled.included[number]
            moved = TracebackType(moved, _frame(file, code.co_name), -1, line)
        else:
            moved = TracebackType(moved, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    error.__traceback__ = moved


def _frame(file: str, name: str) -> Any:
    """A frame of a code that is said to be in this file."""
    code = _own_frame.__code__.replace(co_filename=file, co_name=name)
    return FunctionType(code, {"sys": sys})()


def _own_frame() -> Any:
    return sys._getframe()


# Caches


class HitsCache(Generic[_T]):
    """A mapping of so many entries; a further one takes the place of the one least asked for."""

    def __init__(self, size: int = SIZE) -> None:
        """
        Args:
            size: Most entries, from 1 on.
        """
        self.size = size
        self._values: dict[str, _T] = {}
        self._hits: dict[str, int] = {}
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __getitem__(self, key: str) -> _T:
        value = self._values[key]
        self._hits[key] = self._hits.get(key, 0) + 1  # one lost between threads matters to nobody
        return value

    def __setitem__(self, key: str, value: _T) -> None:
        with self._lock:
            if key not in self._values and len(self._values) >= self.size:
                self._drop_one()
            self._values[key] = value
            self._hits[key] = 0

    def __delitem__(self, key: str) -> None:
        with self._lock:
            del self._values[key]
            self._hits.pop(key, None)

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or default."""
        try:
            return self[key]
        except KeyError:
            return default

    def clear(self) -> None:
        """Drop all entries."""
        with self._lock:
            self._values.clear()
            self._hits.clear()

    def _drop_one(self) -> None:
        least = min(self._values, key=lambda key: self._hits.get(key, 0))
        del self._values[least]
        # What was much used once does not stay for ever.
        self._hits = {key: self._hits.get(key, 0) // 2 for key in self._values}


class FileCache(HitsCache[_T]):
    """The same by the name of a file, as long as that is unchanged."""

    def __init__(self, size: int = SIZE) -> None:
        """See HitsCache."""
        super().__init__(size)
        self._stamps: dict[str, _psp.Stamp | None] = {}

    def __getitem__(self, key: str) -> _T:
        value = super().__getitem__(key)
        if self._stamps.get(key) != _apache._stamp(key):
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: _T) -> None:
        stamp = _apache._stamp(key)
        super().__setitem__(key, value)
        with self._lock:
            self._stamps[key] = stamp
            if len(self._stamps) > 2 * self.size:
                self._stamps = {key: self._stamps[key] for key in self._values if key in self._stamps}


_files: HitsCache[Compiled] = HitsCache()
_strings: HitsCache[Compiled] = HitsCache()


def from_file(file: str) -> Compiled:
    """The code of the page in a file, of which the absolute name is given.

    Raises:
        OSError: It cannot be read.
        SyntaxError: It is no page.
    """
    try:
        compiled = _files[file]
    except KeyError:
        pass
    else:
        if _is_current(compiled):
            return compiled
    compiled = _files[file] = compile_page(_psp.parse_file(file))
    return compiled


def _is_current(compiled: Compiled) -> bool:
    return all(_apache._stamp(name) == stamp for name, stamp in compiled.files)


def from_string(text: str, directory: str | None) -> Compiled:
    """The code of the page in a string.

    Args:
        directory: Where relative names of what it includes begin.

    Raises:
        SyntaxError: It is no page.
    """
    if "<%@" in text:
        return compile_page(_psp.parse_text(text, directory))
    compiled: Compiled | None = _strings.get(text)
    if compiled is None:
        compiled = _strings[text] = compile_page(_psp.parse_text(text))
    return compiled
