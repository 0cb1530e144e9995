"""Pages with Python in them, PSP's and server-side includes, for `kukulkan doctor`: their
code is looked at as any source's."""

import ast
import html
import re
from pathlib import Path

from kukulkan import python2
from kukulkan.findings import ERROR, Finding
from mod_python import _psp

#: The extensions of their files.
KINDS = (".psp", ".shtml")

_BLOCK = re.compile(r"<!--#python\s+(eval|exec)\s*=\s*(\"|')(.*?)\2\s*-->", re.DOTALL | re.IGNORECASE)


def parse(path: Path) -> tuple[ast.Module | None, list[Finding]]:
    """The syntax tree of a page's code, its lines those of the page, and what is wrong with it
    and with what it includes."""
    try:
        return _parse_psp(path) if path.suffix == ".psp" else _parse_ssi(path)
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        return None, [Finding(str(path), 0, ERROR, what, "Allow it, or run as root.")]


def _parse_psp(path: Path) -> tuple[ast.Module | None, list[Finding]]:
    try:
        page = _psp.parse_file(str(path))
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


def _parse_ssi(path: Path) -> tuple[ast.Module | None, list[Finding]]:
    text = path.read_bytes().decode("utf-8", "replace")
    whole = ast.Module([], [])
    findings: list[Finding] = []
    for block in _BLOCK.finditer(text):
        code = html.unescape(block[3]).replace("\r\n", "\n")
        before = text.count("\n", 0, block.start(3))
        if block[1].lower() == "eval":
            code = f"({code.strip()}\n)"
        tree, found = python2.parse_text("\n" * before + code, str(path))
        findings += found
        whole.body += tree.body if tree else []
    return whole, findings
