"""Finding Python 2 in a source: by `ast`, nothing is run.

Python's parser stops at the first error. What is of a known kind is therefore put into
words of Python 3 once it is reported, or else replaced by `pass`, and the rest looked at
again.
"""

import ast
import io
import re
import tokenize
import warnings
from pathlib import Path
from typing import NamedTuple

from kukulkan import bodies, old_names
from kukulkan.findings import ERROR, Finding

# Errors of one file that are reported before the rest is left for the next time.
MOST_ERRORS = 50

_TUPLE = r"\(\s*\w+\s*(?:,\s*\w+\s*)*,?\s*\)"
_OCTAL = r"\b0+([0-7]+)\b"
_LONG = r"\b(0[xX][\da-fA-F]+|\d+)[lL]\b"
_EXCEPT = rf"^(\s*except\b\s*)(.+?)\s*,\s*(\w+|{_TUPLE})\s*:"


class _Cause(NamedTuple):
    """A kind of error."""

    said: str
    """What the parser says, as a pattern."""
    looks: str | None
    """What the line looks like; None: what is said is enough."""
    what: str
    cure: str
    old: str = ""
    """What of the line is to be replaced for the rest to be looked at; "": all of it."""
    new: str = ""


# The first that fits counts.
_CAUSES = (
    _Cause(r"Missing parentheses in call to 'print'", None, "print statement", "Write print(...)."),
    _Cause(r"Missing parentheses in call to 'exec'", None, "exec statement", "Write exec(code, globals)."),
    _Cause("", _EXCEPT, "except with a comma", "Write `except X as e:`.", _EXCEPT, r"\1\2:"),
    _Cause("", r"(^|:)\s*raise\s+([\w.]+|\".*\"|'.*')\s*,", "raise with a comma", "Write `raise X(value)`."),
    _Cause("", r"(^|:)\s*exec\s+[\w\"']", "exec statement", "Write exec(code, globals)."),
    _Cause("", r"(^|:)\s*print\s+\S", "print statement", "Write print(...)."),
    _Cause("", r"`", "backticks", "Write repr(...).", r"`([^`]*)`", r"repr(\1)"),
    _Cause("", r"<>", "the operator <>", "Write !=.", "<>", "!="),
    _Cause("leading zeros in decimal", None, "octal number with a leading zero", r"Write 0o\1.", _OCTAL, r"0o\1"),
    _Cause("invalid (decimal|hexadecimal|digit|octal)", _LONG, "long number", "Drop the L.", _LONG, r"\1"),
    _Cause(
        "",
        r"\b[uU][rR][\"']",
        "ur'...' string",
        "Write r'...': every str is text.",
        r"\b[uU][rR](?=[\"'])",
        "r",
    ),
    _Cause(
        "",
        rf"^\s*def\s+\w+\(.*{_TUPLE}.*\)\s*:",
        "parameter that is a tuple",
        "Unpack it in the function.",
        rf"(?<=[(,])\s*{_TUPLE}",
        " _",
    ),
    _Cause(
        "",
        r"\blambda\b[^:]*\(",
        "lambda whose parameter is a tuple",
        "Take one parameter and index it.",
        r"\blambda\b[^:]*:",
        "lambda *_:",
    ),
)  # fmt: skip

_TABS = "tabs and spaces mixed"
_TABS_CURE = "Indent with spaces only: Python 3 does not take a tab for eight."
_ENCODING = "source that is not UTF-8"
_ENCODING_CURE = "Save it as UTF-8, or name its encoding in the first line: # -*- coding: latin-1 -*-."

# A statement behind the colon of a compound one.
_AFTER_COLON = re.compile(
    r"(\s*(?:if|elif|else|while|for|try|except|finally|with|def|class)\b.*?:)\s*(?:print|raise|exec)\b"
)
_RAISE = re.compile(r"\braise\s+([\w.]+)\s*,\s*(.+)")


def parse(path: Path) -> tuple[ast.Module | None, list[Finding]]:
    """The syntax tree of a source, and what in it Python 3 does not run.

    The tree is what could be made of it; None: nothing.
    """
    try:
        data = path.read_bytes()
        with path.open("rb") as file:
            encoding, _ = tokenize.detect_encoding(file.readline)
        text = data.decode(encoding)
    except OSError as error:
        return None, [
            Finding(str(path), 0, ERROR, f"cannot be read: {error.strerror}", "Allow it, or run as root.")
        ]
    except (SyntaxError, UnicodeDecodeError) as error:
        line = data[: error.start].count(b"\n") + 1 if isinstance(error, UnicodeDecodeError) else 1
        return None, [Finding(str(path), line, ERROR, f"{_ENCODING}: {error}", _ENCODING_CURE)]
    return parse_text(text, str(path))


def parse_text(text: str, file: str) -> tuple[ast.Module | None, list[Finding]]:
    """The same of a source that has been read."""
    parser = _Parser(text, file)
    tree = parser.parse()
    if tree is None:
        return None, parser.findings
    old = old_names.examine(tree, file, parser.bound)
    return tree, [*parser.findings, *old, *bodies.examine(tree, file)]


class _Parser:
    """Parses one source, over and over."""

    def __init__(self, text: str, file: str) -> None:
        self.findings: list[Finding] = []
        #: Names that may get a value in what was replaced.
        self.bound: set[str] = set()
        self._lines = text.removeprefix("\ufeff").splitlines(keepends=True)
        self._file = file
        self._has_tabs = True

    def parse(self) -> ast.Module | None:
        while len(self.findings) < MOST_ERRORS:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # invalid escapes are no matter of Python 2
                    tree = ast.parse("".join(self._lines), self._file)
                    if not self.findings:
                        compile(tree, self._file, "exec", dont_inherit=True)  # finds some errors more
                    return tree
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                if not self._is_mended(error):
                    return None
        return None

    def _is_mended(self, error: Exception) -> bool:
        """Whether the rest can be looked at; the error is reported."""
        reported = getattr(error, "lineno", None) or 0
        if isinstance(error, IndentationError) and self._has_tabs and self._expand_tabs():
            self._find(reported, f"Python 2: {_TABS}", _TABS_CURE)
            return True
        message = getattr(error, "msg", None) or str(error) or type(error).__name__
        # The parser may notice at the line behind that something was missing.
        for number in (reported, reported - 1):
            line = self._lines[number - 1] if 0 < number <= len(self._lines) else ""
            for cause in _CAUSES:
                if not line or not re.search(cause.said, message):
                    continue
                is_it = number == reported if cause.looks is None else re.search(cause.looks, line)
                if is_it:
                    what = f"Python 2: {cause.what}: {line.strip():.80}"
                    self._find(number, what, _cure(cause, line))
                    self._replace(number, cause)
                    return True
        if not self.findings:  # later ones may come of what was replaced
            lines = self._lines[reported - 1 : reported] if reported else []
            shown = "".join(f": {line.strip():.80}" for line in lines)
            self._find(reported, f"{type(error).__name__}: {message}{shown}", "Correct it.")
        return False

    def _find(self, line: int, what: str, cure: str) -> None:
        self.findings.append(Finding(self._file, line, ERROR, what, cure))

    def _expand_tabs(self) -> bool:
        """Put blanks for tabs, as Python 2 understood them; False: there were none."""
        self._has_tabs = False
        before = self._lines
        self._lines = [line.expandtabs(8) for line in before]
        return self._lines != before

    def _replace(self, number: int, cause: _Cause) -> None:
        """Put something for a statement that could not be parsed."""
        line = self._lines[number - 1]
        for replaced in re.finditer(cause.old, line) if cause.old else ():
            self.bound.update(re.findall(r"\w+", replaced[0]))
        mended = re.sub(cause.old, cause.new, line) if cause.old else line
        if mended != line:
            self._lines[number - 1] = mended
            return
        for further in range(number, number + _length(self._lines[number - 1 :]) - 1):
            self._lines[further] = "\n"
        begin = _AFTER_COLON.match(line)
        indent = line[: len(line) - len(line.lstrip())]
        self._lines[number - 1] = f"{begin[1]} pass\n" if begin else f"{indent}{_stand_in(line.strip())}\n"


def _stand_in(code: str) -> str:
    """What may stand for a line, so that those indented below it are no error."""
    if re.match(r"except\b.*:", code):
        return "except Exception:" if code.endswith(":") else "except Exception: pass"
    if re.match(r"(if|elif|while)\b.*:$", code):
        return f"{code.split()[0]} 1:"
    return "while 1:" if re.match(r"(def|for|with)\b.*:$", code) else "pass"


def _length(lines: list[str]) -> int:
    """How many lines the statement has that these begin with."""
    try:
        for token in tokenize.generate_tokens(io.StringIO("".join(lines).lstrip(" \t")).readline):
            if token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
                return token.start[0]
    except (tokenize.TokenError, SyntaxError):
        pass
    return 1


def _cure(cause: _Cause, line: str) -> str:
    """The cure, in the words of this line if they are simple."""
    if "\\1" in cause.cure:
        found = re.search(cause.old, line)
        return found.expand(cause.cure) if found else "Write 0o755 for 0755."
    raised = _RAISE.search(line) if "raise" in cause.what else None
    if raised:
        return f"Write `{_raise(raised[1], raised[2]) or 'raise X(value)'}`."
    return cause.cure


def _raise(kind: str, rest: str) -> str | None:
    """`raise X, value, traceback` as it is written now; None: it cannot be told from one line."""
    source = f"f({rest.strip()})"
    try:
        call = ast.parse(source, mode="eval").body
    except SyntaxError:
        return None
    if not isinstance(call, ast.Call) or call.keywords or len(call.args) > 2:
        return None
    value, *trace = (ast.get_source_segment(source, node) or "" for node in call.args)
    value = "" if value == "None" else value
    return f"raise {kind}({value})" + (f".with_traceback({trace[0]})" if trace else "")
