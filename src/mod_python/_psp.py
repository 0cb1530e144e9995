"""From a PSP page to Python source: no request, no code run.

    <%= expr %>  <% code %>  <%@ include file="f"%>  <%-- comment --%>

Everything else is text, which the page writes. A line of the source knows the place in the
page it is from, so that what is compiled from it can say that place.
"""

import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import NamedTuple

__all__ = ["Line", "Origin", "Page", "parse", "parsestring"]

#: What text without a file is called in errors and tracebacks.
STRING = "<psp string>"

#: One level of indentation, in a page that has no indented code of its own to go by.
LEVEL = "    "

#: By what follows "<%": what the piece is, and what ends it.
_CODE = ("", "%>")
_KINDS = {"=": "%>", "@": "%>", "--": "--%>"}

_INCLUDE = re.compile(r"""\s*include\s+file\s*=\s*(?:"([^"]+)"|'([^']+)')\s*""")

_NEEDS_PARENTHESES = re.compile("[,=*]")

_BREAK = re.compile(r"\r\n|\r|\n")
_LINE_OF_TEXT = re.compile(r"[^\n]*\n|[^\n]+")
#: The code of a line, up to a comment.
_BEFORE_COMMENT = re.compile(r"""(?:[^'"#]|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")*""")


class Origin(NamedTuple):
    """A place in a page."""

    file: str
    #: From 1.
    line: int
    #: What to add to a column of the source to have that of the page, in bytes of UTF-8.
    shift: int


#: What tells one version of a file from another: nanoseconds, bytes, inode number; as
#: _apache._stamp() has it.
Stamp = tuple[int, int, int]


class Line(NamedTuple):
    """A line of Python source, and where it is from."""

    text: str
    origin: Origin
    #: It begins with a call of req.write() that is this module's.
    is_write: bool = False


class Page(NamedTuple):
    """What a page comes to."""

    #: The page's own.
    file: str
    text: str
    source: list[Line]
    #: The files it consists of, in the versions that were read.
    files: list[tuple[str, Stamp]]


def parse(filename: str, dir: str | None = None) -> str:
    """The Python source of a page.

    Args:
        filename: Of the page, in UTF-8.
        dir: Where relative names begin, of the page and of what it includes.

    Raises:
        OSError: The page cannot be read.
        SyntaxError: It is no page; with its name and line.
    """
    return _source_of(parse_file(os.path.join(dir, filename) if dir else filename, dir))


def parsestring(text: str) -> str:
    """The Python source of a page that is in no file; what it includes has absolute names.

    Raises:
        SyntaxError: It is no page; with its line.
    """
    return _source_of(parse_text(text))


def parse_file(filename: str, dir: str | None = None) -> Page:
    """The same, with places."""
    text, stamp = _read(filename)
    return _Parser(_Text(filename, text), dir or _directory_of(filename), stamp).page


def parse_text(text: str, dir: str | None = None) -> Page:
    """The same, with places."""
    return _Parser(_Text(STRING, text), dir).page


def stamp_of(status: os.stat_result) -> Stamp:
    """The version of a file."""
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def _source_of(page: Page) -> str:
    return "".join(f"{line.text}\n" for line in page.source)


def _directory_of(filename: str) -> str | None:
    """Where a page's own includes begin; None: its name is relative to nothing known."""
    return os.path.dirname(filename) if os.path.isabs(filename) else None


def _read(filename: str) -> tuple[str, Stamp]:
    with open(filename, "rb") as file:
        stamp = stamp_of(os.fstat(file.fileno()))  # of before: what changes from here on is noticed
        data = file.read()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = len(_BREAK.findall(data[: error.start].decode("latin-1"))) + 1
        what = f"pages are UTF-8, and byte 0x{data[error.start]:02x} here is not"
        raise SyntaxError(what, (filename, line, None, None)) from None
    return text, stamp


class _Text:
    """The text of one file, and where its lines begin."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text.replace("\r\n", "\n")
        self._starts = [0, *(found.end() for found in _BREAK.finditer(self.text))]

    def line_at(self, offset: int) -> int:
        """The number of a line, from 1."""
        return bisect_right(self._starts, offset)

    def column_at(self, offset: int) -> int:
        """Bytes before it in its line."""
        return len(self.text[self._starts[self.line_at(offset) - 1] : offset].encode("utf-8", "replace"))

    def error(self, message: str, offset: int) -> SyntaxError:
        line = self.line_at(offset)
        start = self._starts[line - 1]
        shown = self.text[start:].partition("\n")[0]
        return SyntaxError(message, (self.file, line, offset - start + 1, shown))

    def pieces(self) -> Iterator[tuple[str | None, str, int]]:
        """What the text is made of: kind (None is text), content, where that begins."""
        position = 0
        while (start := self.text.find("<%", position)) >= 0:
            if start > position:
                yield None, self.text[position:start], position
            kind, mark = next(
                (item for item in _KINDS.items() if self.text.startswith(item[0], start + 2)), _CODE
            )
            begin = start + 2 + len(kind)
            end = self.text.find(mark, begin)
            if end < 0:
                raise self.error(f"'<%{kind}' is never closed by '{mark}'", start)
            yield kind, self.text[begin:end], begin
            position = end + len(mark)
        if position < len(self.text):
            yield None, self.text[position:], position


class _Parser:
    """Parses one page."""

    def __init__(self, own: _Text, directory: str | None, stamp: Stamp | None = None) -> None:
        self._page = own
        self._directory = directory
        self._lines: list[Line] = []
        self._indent = ""
        self._level = _level_of(own)
        #: Of the pages that are being parsed, the innermost last.
        self._open = [os.path.realpath(own.file)] if stamp else []
        self._files = [(own.file, stamp)] if stamp else []
        self._parse(own)
        self.page = Page(own.file, own.text, self._lines, self._files)

    def _parse(self, text: _Text) -> None:
        actions: dict[str, Callable[[_Text, str, int], None]] = {
            "": self._add_code,
            "=": self._add_expression,
            "@": self._include,
            "--": lambda text, content, offset: None,
        }
        is_open = False
        for kind, content, offset in text.pieces():
            # What follows an expression is written with it.
            if kind is None:
                self._add_text(text, content, offset, is_open)
            elif is_open:
                self._close()
            is_open = kind == "="
            if kind is not None:
                actions[kind](text, content, offset)
        if is_open:
            self._close()

    def _add(self, line: str, text: _Text, offset: int, before: int = 0, is_write: bool = False) -> None:
        """Add a line; what is at `offset` in the page is behind `before` bytes in it."""
        shift = text.column_at(offset) - before
        self._lines.append(Line(line, Origin(text.file, text.line_at(offset), shift), is_write))

    def _add_text(self, text: _Text, content: str, offset: int, is_open: bool) -> None:
        before = self._indent + "req.write("
        lines = _LINE_OF_TEXT.findall(content)
        is_write = not is_open
        if is_open:
            last = self._lines[-1]
            end = f" {content!r}, 0)" if len(lines) == 1 else ""
            self._lines[-1] = last._replace(text=f"{last.text} +{end}")
            if end:
                return
            before = " " * len(before)
        for number, line in enumerate(lines, 1):
            end = ", 0)" if number == len(lines) else ""
            self._add(f"{before}{line!r}{end}", text, offset, len(before), is_write)
            is_write = False
            before = " " * len(before)
            offset += len(line)

    def _add_expression(self, text: _Text, content: str, offset: int) -> None:
        if not content.strip():
            raise text.error("'<%=' without an expression", offset)
        # A tuple is one expression, in parentheses of its own.
        opening, closing = ("str((", "))") if _NEEDS_PARENTHESES.search(content) else ("str(", ")")
        before = f"{self._indent}req.write({opening}"
        first, *others = _BREAK.split(content)
        begin = offset + len(first) - len(first.lstrip())
        if not others and "#" not in first:
            self._add(f"{before}{first.strip()}{closing}", text, begin, len(before), True)
            return
        self._add(before + first.lstrip(), text, begin, len(before), True)
        self._add_as_is(others, text, offset)
        # A line of its own: the last one may end in a comment.
        self._lines.append(Line(closing, self._lines[-1].origin))

    def _close(self) -> None:
        """End the call that an expression began."""
        last = self._lines[-1]
        self._lines[-1] = last._replace(text=f"{last.text}, 0)")

    def _add_code(self, text: _Text, content: str, offset: int) -> None:
        first, *others = lines = _BREAK.split(content)
        if others and not others[-1]:
            others.pop()  # "%>" in the first column
        code = first.strip()
        if code:
            begin = offset + len(first) - len(first.lstrip())
            line = self._indent + (first.lstrip() if others else code)
            self._add(line, text, begin, len(self._indent))
        self._add_as_is(others, text, offset)
        self._indent = self._indent_after(code, others, len(lines) > 1)

    def _add_as_is(self, lines: list[str], text: _Text, offset: int) -> None:
        """Add the lines that follow the one at `offset`."""
        for line in lines:
            found = _BREAK.search(text.text, offset)
            assert found
            offset = found.end()
            self._add(line, text, offset)

    def _indent_after(self, first: str, others: list[str], has_break: bool) -> str:
        """The indentation of what comes behind code.

        Args:
            first: Its first line, which is at the current indentation, without that.
            others: The lines after the first.
            has_break: There is a line break in it.
        """
        if others:
            last = _margin(others[-1])
        elif has_break and not first:
            last = ""
        else:
            last = self._indent
        lines = [(self._indent, first), *((_margin(line), line) for line in others)]
        opener = next(((margin, code) for margin, line in reversed(lines) if (code := _code(line))), None)
        if opener is None or not opener[1].endswith(":"):
            return last
        # Blanks or a comment behind it may be within the new block already.
        margin = opener[0]
        is_within = len(last) > len(margin) and last.startswith(margin)
        return last if is_within else margin + self._level

    def _include(self, text: _Text, content: str, offset: int) -> None:
        match = _INCLUDE.fullmatch(content)
        if match is None:
            raise text.error("'<%@' is followed by: include file=\"name\"", offset)
        name = match[1] or match[2]
        path = self._find(name, text)
        if path is None:
            raise text.error(f"include of {name!r}: a relative name needs a directory to start at", offset)
        real = os.path.realpath(path)
        if real in self._open:
            raise text.error(f"include of {name!r}: it includes itself", offset)
        try:
            content, stamp = _read(path)
        except OSError as error:
            raise text.error(f"include of {name!r}: {error.strerror}: {path}", offset) from error
        self._files.append((path, stamp))
        self._open.append(real)
        self._parse(_Text(path, content))
        self._open.pop()

    def _find(self, name: str, text: _Text) -> str | None:
        """The file of an include: beside the file that includes it, or else beside the page."""
        if os.path.isabs(name):
            return name
        places = [self._directory] if self._directory is not None else []
        if text is not self._page:
            places.insert(0, os.path.dirname(text.file))
        paths = [os.path.join(place, name) for place in places]
        return next((path for path in paths if os.path.exists(path)), paths[-1] if paths else None)


def _margin(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t\f"))]


def _code(line: str) -> str:
    """A line without comment and blanks."""
    match = _BEFORE_COMMENT.match(line)
    assert match
    rest = line[match.end() :]
    return (match[0] if rest.startswith("#") else line).strip()


def _level_of(text: _Text) -> str:
    """One level of indentation as the page's own code has it: a tab if its first indented
    line begins with one, two or three blanks if that has so many, else four."""
    for kind, content, _ in text.pieces():
        if kind == "":
            for line in _BREAK.split(content)[1:]:
                margin = _margin(line)
                if margin and line.strip():
                    if margin[0] == "\t":
                        return "\t"
                    return margin if 1 < len(margin) < len(LEVEL) else LEVEL
    return LEVEL
