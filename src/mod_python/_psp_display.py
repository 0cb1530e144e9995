"""A PSP page beside the Python that it comes to, as HTML."""

import html

from mod_python import _psp

__all__ = ["render"]

_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2em; color: #222; background: #fff }}
h1 {{ font-size: 1.3em; overflow-wrap: anywhere }}
table {{ border-collapse: collapse; width: 100%; table-layout: fixed }}
th {{ text-align: left; padding: .3em .8em; border-bottom: 2px solid #888 }}
td {{ vertical-align: top; padding: .1em .8em; border-bottom: 1px solid #e4e4e0 }}
th:first-child, td:first-child {{ width: 3em; text-align: right; color: #777; font-size: 13px; padding-left: 0 }}
pre {{ font: 13px/1.5 ui-monospace, monospace; margin: 0; white-space: pre-wrap; overflow-wrap: anywhere }}
td + td + td {{ background: #f4f4f2 }}
@media (prefers-color-scheme: dark) {{
    body {{ color: #ddd; background: #1b1b1b }}
    td {{ border-color: #333 }}
    td + td + td {{ background: #242424 }}
}}
</style>
<h1>{title}</h1>
<table>
<thead><tr><th>Line</th><th>Page</th><th>Python</th></tr></thead>
<tbody>
{rows}</tbody>
</table>
</html>
"""


def render(page: _psp.Page) -> str:
    """A table with a row for each line of the page; what a line includes is in its row."""
    lines = page.text.split("\n")
    code: list[list[str]] = [[] for _ in lines]
    current = 0
    for line in page.source:
        if line.origin.file == page.file:
            current = min(line.origin.line, len(lines)) - 1
        code[current].append(line.text)
    rows = "".join(
        f"<tr><td>{number}</td><td><pre>{html.escape(text)}</pre></td>"
        f"<td><pre>{html.escape(chr(10).join(source))}</pre></td></tr>\n"
        for number, (text, source) in enumerate(zip(lines, code, strict=True), 1)
    )
    return _PAGE.format(title=html.escape(page.file), rows=rows)
