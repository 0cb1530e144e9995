"""What of a source runs wherever it is: not what stands in a `try` that expects it to fail,
nor what depends on the version of Python or on the system."""

import ast
from collections.abc import Iterator

_ERRORS = frozenset(("AttributeError", "Exception", "ImportError", "ModuleNotFoundError", "NameError"))
# What a condition names that is about where the program runs.
_VERSIONS = frozenset(("PY2", "PY3", "TYPE_CHECKING", "hasattr", "hexversion", "platform", "version_info"))


def walk(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a tree, as they stand in the source, without those that are not for all."""
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, ast.Try) and any(map(_is_expecting, node.handlers)):
            todo += reversed([*node.orelse, *node.finalbody])
        elif not (isinstance(node, ast.If | ast.IfExp) and _is_about_versions(node.test)):
            todo += reversed([*ast.iter_child_nodes(node)])


def _is_expecting(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or not _ERRORS.isdisjoint(_words(handler.type))


def _is_about_versions(condition: ast.expr) -> bool:
    return not _VERSIONS.isdisjoint(_words(condition))


def _words(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
