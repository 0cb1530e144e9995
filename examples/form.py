"""A form, and what is filled in."""

from html import escape

from mod_python import apache, util

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
        name = util.FieldStorage(req).getfirst("name", "stranger")
        greeting = f"<p>Hello, {escape(name)}!"
    req.content_type = "text/html; charset=utf-8"
    req.write(PAGE.format(greeting=greeting))
    return apache.OK
