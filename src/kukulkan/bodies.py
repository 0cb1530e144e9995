"""Bodies taken for text: what requests, filters and connections read is bytes in Python 3.

Of each function those variables are followed that have nothing but what `req.read()` and the
like return; where they meet a string constant, something is wrong.
"""

import ast
from collections.abc import Iterator

from kukulkan.findings import WARNING, Finding

# What handlers call their first parameter.
_READERS = frozenset(("conn", "connection", "filter", "flt", "req", "request"))
_READS = frozenset(("read", "readline"))

# Methods of bytes whose arguments are bytes.
_METHODS = frozenset(
    (
        "count", "endswith", "find", "index", "lstrip", "partition", "replace", "rfind", "rpartition", "rsplit",
        "rstrip", "split", "startswith", "strip",
    )
)  # fmt: skip

# Those that give bytes again.
_SAME = frozenset(("lower", "lstrip", "replace", "rstrip", "strip", "upper"))

_BYTES = "Python 2: what was read is bytes, no text"


def examine(tree: ast.Module, file: str) -> Iterator[Finding]:
    """Where what was read meets text."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef) or not function.args.args:
            continue
        reader = function.args.args[0].arg
        if reader in _READERS:
            names = _bodies(function, reader)
            for node in ast.walk(function):
                found = _mistake(node, names, reader)
                if found:
                    yield Finding(file, getattr(node, "lineno", 0), WARNING, *found)


def _bodies(function: ast.FunctionDef, reader: str) -> set[str]:
    """The variables that have nothing but what was read."""
    read: set[str] = set()
    others: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign | ast.NamedExpr):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            into = read if _is_read(node.value, reader) else others
            into |= {target.id for target in targets if isinstance(target, ast.Name)}
            known = {id(target) for target in targets if isinstance(target, ast.Name)}
            others |= {
                name.id
                for target in targets
                for name in ast.walk(target)
                if isinstance(name, ast.Name) and id(name) not in known
            }
        elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.For | ast.comprehension):
            others |= {name.id for name in ast.walk(node.target) if isinstance(name, ast.Name)}
    return read - others


def _is_read(node: ast.expr, reader: str) -> bool:
    """Whether it is req.read() or the like, or form["upload"].file.read()."""
    match node:
        case ast.Call(ast.Attribute(value, method)) if method in _READS:
            return (isinstance(value, ast.Name) and value.id == reader) or (
                isinstance(value, ast.Attribute) and value.attr == "file"
            )
    return False


def _mistake(node: ast.AST, names: set[str], reader: str) -> tuple[str, str] | None:
    """What is wrong with a part of a function, and the cure."""

    def is_body(part: ast.expr) -> bool:
        match part:
            case ast.Name(name):
                return name in names
            case ast.Call(ast.Attribute(value, method)) if method in _SAME:
                return is_body(value)
        return _is_read(part, reader)

    match node:
        case ast.Compare(left, [ast.Eq() | ast.NotEq()], [right]):
            if (is_body(left) and _is_text(right)) or (is_body(right) and _is_text(left)):
                return f"{_BYTES}: the two are never equal", "Write `if not data`, or compare with b'...'."
        case ast.Compare(left, [ast.In() | ast.NotIn()], [right]) if _is_text(left) and is_body(right):
            return _BYTES, "Look for b'...', or decode what was read."
        case ast.Call(ast.Attribute(value, method), arguments) if is_body(value):
            if method in _METHODS and any(map(_is_text, arguments)):
                return _BYTES, f"Write .{method}(b'...'), or decode what was read: read().decode('utf-8')."
            if method == "encode":
                return _BYTES, "Take the encode() out."
        case ast.BinOp(left, ast.Mod(), right) if _is_text(left):
            parts = right.elts if isinstance(right, ast.Tuple) else [right]
            if any(map(is_body, parts)):
                return f"{_BYTES}: this writes b'...'", "Decode it: read().decode('utf-8')."
        case ast.BinOp(left, ast.Add(), right):
            if (is_body(left) and _is_text(right)) or (_is_text(left) and is_body(right)):
                return _BYTES, "Write b'...', or decode what was read."
    return None


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
