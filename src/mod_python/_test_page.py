"""The page of testhandler: what is shown as HTML, what is not shown at all."""

import html
import re
from collections.abc import Iterable, Sequence

__all__ = ["log_page", "mask", "page"]

MASK = "••••••••"

#: In the name of a header, a variable, an option or a field: its value is nobody's business.
_SECRET = (
    r"pass|pwd|secret|token|auth(?!_?(type|name|or))|cookie|credential|session_?id|pysid|signature"
    r"|api_?key|private|access_?key|_key\b|-key\b|\bkey\b"
)
_SECRET_NAME = re.compile(rf"(?!(?:OLD)?PWD$)(?=.*(?:{_SECRET}))", re.IGNORECASE | re.DOTALL)
#: A field of a URL or of a form with such a name.
_SECRET_FIELD = re.compile(rf"([\w.-]*(?:{_SECRET})[\w.-]*)=([^&;\s\"']+)", re.IGNORECASE)
#: user:password@ in a URL. Either may have "@" in it, and a password anything, though it should
#: not; what follows the colon may also be a port.
_USER_INFO = re.compile(r"(\w+://[^/\s:]*):(?!\d{1,5}/)\S+@")
_BEARER = re.compile(r"\b(Basic|Bearer|Digest)\s+[\w+/=.~-]{6,}", re.IGNORECASE)

_STYLE = """
:root { --text: #1d2129; --dim: #667; --back: #f6f6f3; --card: #fff; --line: #e3e3de; --accent: #1c6b4a }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e4e0; --dim: #99a; --back: #17191c; --card: #202327; --line: #33373c; --accent: #6fcf97 }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1.5rem 4rem; color: var(--text);
  background: var(--back); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .2rem 1rem }
h1 { font-size: 1.7rem; margin: 0 }
header p { margin: 0; color: var(--dim) }
nav { margin: 1rem 0 1.5rem; display: flex; flex-wrap: wrap; gap: .3rem 1.1rem }
a { color: var(--accent) }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); gap: .8rem; margin: 0 }
.facts div, section { background: var(--card); border: 1px solid var(--line); border-radius: 8px }
.facts div { padding: .7rem 1rem }
.facts dt { color: var(--dim); font-size: .8rem }
.facts dd { margin: 0; font-weight: 600; overflow-wrap: anywhere }
section { margin-top: 1.2rem; padding: .9rem 1rem .6rem; overflow: hidden }
h2 { font-size: 1.05rem; margin: 0 0 .5rem }
h2 small { color: var(--dim); font-weight: 400; margin-left: .5rem }
table { border-collapse: collapse; width: 100%; table-layout: fixed }
th, td { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0; border-top: 1px solid var(--line);
  font: 13px/1.55 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere }
th { width: 18rem; color: var(--dim); font-weight: 400 }
p.none { color: var(--dim); margin: .2rem 0 .5rem }
pre { margin: 0; font: 13px/1.55 ui-monospace, "DejaVu Sans Mono", monospace; white-space: pre-wrap;
  overflow-wrap: anywhere }
pre .bad { color: #b3261e } pre .warn { color: #8a5a00 }
@media (prefers-color-scheme: dark) { pre .bad { color: #ff8a80 } pre .warn { color: #f0b45a } }
@media (max-width: 40rem) { th { width: 40% } }
footer { margin-top: 1.5rem; color: var(--dim); font-size: .85rem }
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1><p>{subtitle}</p></header>
{body}
<footer>Shown because PythonDebug is On here. Values whose names speak of credentials are masked: {mask}</footer>
</body>
</html>
"""

#: A heading, what it says about it, and its rows of name and value.
Section = tuple[str, str, Sequence[tuple[str, object]]]


def mask(name: str, value: object) -> str:
    """A value as it may be shown: nothing of credentials."""
    text = str(value)
    if text and _SECRET_NAME.match(name):
        return MASK
    return mask_text(text)


def mask_text(text: str) -> str:
    """Text without the passwords and the like that are recognised in it."""
    text = _USER_INFO.sub(rf"\1:{MASK}@", text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    return _SECRET_FIELD.sub(lambda found: f"{found[1]}={MASK}", text)


def page(facts: Iterable[tuple[str, object]], sections: Iterable[Section], subtitle: str) -> str:
    """The page with tables."""
    sections = list(sections)
    links = [f'<a href="#{_anchor(title)}">{html.escape(title)}</a>' for title, _, _ in sections]
    links.append('<a href="?view_log=1">Error log</a>')
    tiles = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(str(value))}</dd></div>\n"
        for name, value in facts
    )
    body = f'<nav>{" ".join(links)}</nav>\n<dl class="facts">\n{tiles}</dl>\n' + "".join(
        map(_section, sections)
    )
    return _render("It works", html.escape(mask_text(subtitle)), body)


def log_page(name: str, lines: Sequence[str] | None, problem: str = "") -> str:
    """The page with the end of the log.

    Args:
        name: Of the log.
        lines: Its last ones; None: it cannot be read.
        problem: Why not.
    """
    if lines is None:
        shown = f'<p class="none">{html.escape(problem)}</p>'
    else:
        shown = (
            "<pre>" + "\n".join(map(_log_line, lines)) + "</pre>"
            if lines
            else '<p class="none">It is empty.</p>'
        )
    count = f"last {len(lines)} lines" if lines else ""
    body = f'<nav><a href="?">Back</a></nav>\n<section><h2>{html.escape(name)}<small>{count}</small></h2>{shown}</section>'
    return _render("Error log", "", body)


def _render(title: str, subtitle: str, body: str) -> str:
    return _PAGE.format(title=title, style=_STYLE, subtitle=subtitle, body=body, mask=MASK)


def _anchor(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower())


def _section(section: Section) -> str:
    title, note, rows = section
    table = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(mask(name, value))}</td></tr>\n"
        for name, value in rows
    )
    content = f"<table>\n{table}</table>" if rows else '<p class="none">None.</p>'
    heading = f"{html.escape(title)}<small>{html.escape(note)}</small>"
    return f'<section id="{_anchor(title)}"><h2>{heading}</h2>{content}</section>\n'


def _log_line(line: str) -> str:
    text = html.escape(mask_text(line))
    if re.search(r"\[(\w+:)?(emerg|alert|crit|error)\]", line):
        return f'<span class="bad">{text}</span>'
    if re.search(r"\[(\w+:)?warn\]", line):
        return f'<span class="warn">{text}</span>'
    return text
