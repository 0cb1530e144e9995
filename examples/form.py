"""A form, and the body of the request it sends."""

from html import escape
from urllib.parse import parse_qs

from mod_python import apache

# Bytes of a body that are read at most.
LIMIT = 10_000

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>A form</title>
<link rel="stylesheet" href="/style.css">
<h1>A form</h1>
{greeting}
<form method="post">
<label>Your name: <input name="name" autofocus></label>
<button>Send</button>
</form>
"""


def handler(req):
    """Show the form; greet who filled it in."""
    greeting = ""
    if req.method == "POST":
        fields = parse_qs(req.read(LIMIT).decode("utf-8", "replace"))
        name = fields.get("name", ["stranger"])[0]
        greeting = f"<p>Hello, {escape(name)}!"
    req.content_type = "text/html; charset=utf-8"
    req.write(PAGE.format(greeting=greeting))
    return apache.OK
