"""Finding what was written for Python 2 in a source: by `ast`, nothing is run.

Python's parser stops at the first error. What is of a known kind is therefore replaced
by `pass` once it is reported, and the rest looked at again.
"""

import ast
import builtins
import re
import tokenize
import warnings
from collections.abc import Iterator
from pathlib import Path

from kukulkan.findings import ERROR, WARNING, Finding

# Errors of one file that are reported before the rest is left for the next time.
MOST_ERRORS = 20

# What the parser says or the line looks like, what it is, and the cure; the first that fits counts.
_CAUSES = (
    (r"Missing parentheses in call to 'print'", None, "print statement", "Write print(...)."),
    (r"Missing parentheses in call to 'exec'", None, "exec statement", "Write exec(code, globals)."),
    (
        r"multiple exception types must be parenthesized",
        None,
        "except with a comma",
        "Write `except X as e:`.",
    ),
    (r"", r"^\s*except\s+[^:]+,\s*\w+\s*:", "except with a comma", "Write `except X as e:`."),
    (r"", r"(^|:)\s*raise\s+[\w.]+\s*,", "raise with a comma", "Write `raise X(value)`."),
    (r"", r"^\s*exec\s+[\w\"']", "exec statement", "Write exec(code, globals)."),
    (r"", r"^\s*print\s+\S|:\s*print\s+\S", "print statement", "Write print(...)."),
    (r"", r"`", "backticks", "Write repr(...)."),
    (r"", r"<>", "the operator <>", "Write !=."),
    (
        r"leading zeros in decimal",
        None,
        "octal number with a leading zero",
        "Write 0o755 for 0755.",
    ),
    (
        r"invalid (decimal|hexadecimal|digit|octal)",
        r"\b(0[xX][\da-fA-F]+|\d+)[lL]\b",
        "long number",
        "Drop the L.",
    ),
    (r"", r"\b[uU][rR][\"']", "ur'...' string", "Write r'...': every str is text."),
    (
        r"",
        r"^\s*def\s+\w+\(.*\([\w\s,]+\).*\)\s*:",
        "parameter that is a tuple",
        "Unpack it in the function.",
    ),
    (r"", r"\blambda\s*\(", "lambda whose parameter is a tuple", "Take one parameter and index it."),
    (
        r"inconsistent use of tabs|unindent does not match|unexpected indent",
        r"\t",
        "tabs and spaces mixed",
        "Indent with spaces only: Python 3 does not take a tab for eight.",
    ),
    (
        r"\(unicode error\)|invalid or missing encoding|codec can't decode|unknown encoding",
        None,
        "source that is not UTF-8",
        "Save it as UTF-8, or name its encoding in the first line: # -*- coding: latin-1 -*-.",
    ),
)

# Names that Python 2 had built in.
_BUILTINS = {
    "unicode": "str",
    "basestring": "str",
    "unichr": "chr",
    "xrange": "range",
    "raw_input": "input",
    "long": "int",
    "reduce": "functools.reduce",
    "execfile": "exec(open(name).read())",
    "reload": "apache.import_module(), which reloads what has changed,",
    "apply": "function(*arguments)",
    "cmp": "(a > b) - (a < b)",
    "file": "open",
    "intern": "sys.intern",
    "buffer": "memoryview",
    "coerce": "no replacement",
}
_METHODS = {
    "has_key": "`key in d`",
    "iteritems": "d.items()",
    "iterkeys": "d.keys()",
    "itervalues": "d.values()",
}


def parse(path: Path) -> tuple[ast.Module | None, list[Finding]]:
    """The syntax tree of a source, and what in it Python 3 does not run; None, if it cannot
    be parsed."""
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
        what, cure = _CAUSES[-1][2:]
        return None, [Finding(str(path), line, ERROR, f"{what}: {error}", cure)]
    findings: list[Finding] = []
    tree = _parse(text, path, findings)
    if tree is not None and not findings:
        findings += _old_names(tree, str(path))
        return tree, findings
    return None, findings


def _parse(text: str, path: Path, findings: list[Finding]) -> ast.Module | None:
    lines = text.removeprefix("\ufeff").splitlines(keepends=True)
    while len(findings) < MOST_ERRORS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # invalid escapes are no matter of Python 2
                return ast.parse("".join(lines), str(path))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            finding, number = _explain(error, lines, str(path))
            if number or not findings:  # later ones may come of what was replaced
                findings.append(finding)
            if not number or lines[number - 1].strip() in ("", "pass"):
                return None
            lines[number - 1] = _without(lines[number - 1])
    return None


def _explain(error: Exception, lines: list[str], file: str) -> tuple[Finding, int]:
    """What is wrong, and the number of the line that the rest can be read without; 0: none."""
    message = getattr(error, "msg", None) or str(error) or type(error).__name__
    reported = getattr(error, "lineno", None) or 0
    # The parser may notice at the line behind that something was missing.
    for number in (reported, reported - 1):
        line = lines[number - 1] if 0 < number <= len(lines) else ""
        for said, looks, what, cure in _CAUSES:
            if re.search(said, message) and (looks is None or re.search(looks, line)):
                is_plain = looks is not None or number == reported
                if is_plain and line:
                    return Finding(file, number, ERROR, f"Python 2: {what}: {line.strip():.80}", cure), number
    cure = "Correct it; `python3 -m py_compile FILE` says the same."
    return Finding(file, reported, ERROR, f"{type(error).__name__}: {message}", cure), 0


def _without(line: str) -> str:
    """A line that stands for the one that cannot be parsed."""
    indent = line[: len(line) - len(line.lstrip())]
    code = line.strip()
    if re.match(r"except\b.*:", code):
        return f"{indent}except Exception:\n" if code.endswith(":") else f"{indent}except Exception: pass\n"
    if re.match(r"(if|elif|while)\b.*:$", code):
        return f"{indent}{code.split()[0]} 1:\n"
    if re.match(r"(def|for|with)\b.*:$", code):
        return f"{indent}while 1:\n"
    return f"{indent}pass\n"


def _old_names(tree: ast.Module, file: str) -> Iterator[Finding]:
    """Uses of what Python 2 had, and print statements that happen to be expressions."""
    bound = {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.alias):
            bound.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
    if "*" in bound:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.RShift) and _is_print(node.left):
            yield Finding(file, node.lineno, ERROR, "Python 2: print >>file", "Write print(..., file=file).")
        elif isinstance(node, ast.Name) and node.id in _BUILTINS and node.id not in bound:
            if not hasattr(builtins, node.id):
                cure = f"Use {_BUILTINS[node.id]} instead."
                yield Finding(
                    file, node.lineno, WARNING, f"Python 2: the name {node.id} is not there any more", cure
                )
        elif (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS
        ):
            method = node.func.attr
            cure = f"Write {_METHODS[method]}, unless this is a method of your own."
            yield Finding(
                file, node.lineno, WARNING, f"Python 2: dictionaries have no {method}() any more", cure
            )


def _is_print(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "print"
