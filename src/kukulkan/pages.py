"""PSP pages, for `kukulkan doctor`: their code is looked at as any source's."""

import ast
from pathlib import Path

from kukulkan import python2
from kukulkan.findings import ERROR, Finding
from mod_python import _psp


def parse(path: Path) -> tuple[ast.Module | None, list[Finding]]:
    """The syntax tree of a page's code, its lines those of the page, and what is wrong with it
    and with what it includes."""
    try:
        page = _psp.parse_file(str(path))
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        return None, [Finding(str(path), 0, ERROR, what, "Allow it, or run as root.")]
    except SyntaxError as error:
        file, line = error.filename or str(path), error.lineno or 0
        is_encoding = "UTF-8" in error.msg
        cure = "Save it as UTF-8: iconv -f latin1 -t utf-8." if is_encoding else "docs/psp.md has the syntax."
        return None, [Finding(file, line, ERROR, f"no PSP page: {error.msg}", cure)]
    places = [line.origin for line in page.source] or [_psp.Origin(str(path), 1, 0)]
    tree, findings = python2.parse_text("".join(f"{line.text}\n" for line in page.source), str(path))
    if tree is not None:
        for node in ast.walk(tree):
            if isinstance(node, ast.expr | ast.stmt | ast.ExceptHandler | ast.alias):
                node.lineno = places[min(node.lineno, len(places)) - 1].line
    moved = []
    for finding in findings:
        place = places[min(max(finding.line, 1), len(places)) - 1]
        moved.append(Finding(place.file, place.line, finding.severity, finding.what, finding.cure))
    return tree, moved
