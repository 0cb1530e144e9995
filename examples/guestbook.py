"""A guest book, published: each function without underscore is a page."""

from html import escape

# Entries that are kept, the last ones: each process has its own.
MOST = 20

# Name and text of each. What begins with an underscore has no URL.
_entries = [("Kukulkan", "Welcome!")]

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Guest book</title>
<link rel="stylesheet" href="/style.css">
<h1>Guest book</h1>
<form method="post" action="/guestbook.py/sign">
<p><label>Name: <input name="name" required></label>
<p><label>Text: <input name="text" required></label>
<p><button>Sign</button>
</form>
<ul>
{entries}
</ul>
</html>
"""


def index():
    """/guestbook.py: the entries, and a form."""
    items = [f"<li><b>{escape(name)}</b>: {escape(text)}" for name, text in _entries]
    return PAGE.format(entries="\n".join(items))


def sign(name, text, req):
    """/guestbook.py/sign: what the form is sent to; its fields are the arguments."""
    if req.method != "POST":
        return "Please use the form."
    if name.strip() and text.strip():
        _entries.append((name[:100], text[:500]))
        del _entries[:-MOST]
    return index()


def count():
    """/guestbook.py/count: any result is sent as text."""
    return len(_entries)


class _Editor:
    """An object is a directory of its methods; this one asks for a password."""

    __auth_realm__ = "Guest book"
    # htpasswd -nbB editor serpent
    __auth__ = {"editor": "$2y$05$EOkmf2rEDyBh7ZjA0TjjV.G.JAljWKm8YMyb0CQAJL4BMAUkrUMEq"}  # noqa: RUF012

    def clear(self):
        """/guestbook.py/editor/clear"""
        _entries.clear()
        return "It is empty now."


editor = _Editor()
