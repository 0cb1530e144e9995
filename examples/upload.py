"""Files sent with a form: how large they are, and their checksums."""

import hashlib
from html import escape

from mod_python import apache, util

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>Uploads</title>
<link rel="stylesheet" href="/style.css">
<h1>Uploads</h1>
<table>
{rows}
</table>
<form method="post" enctype="multipart/form-data">
<label>Files: <input type="file" name="file" multiple></label>
<button>Send</button>
</form>
"""

ROW = "<tr><td>{name}<td>{type}<td>{size} bytes<td><code>{digest}</code>"


def handler(req):
    """Show the form, and what was sent; a large file is on disk and not in memory."""
    form = util.FieldStorage(req)
    rows = [row(field) for field in form.getlist("file") if field.filename]
    req.content_type = "text/html; charset=utf-8"
    req.write(PAGE.format(rows="\n".join(rows)))
    return apache.OK


def row(field):
    """The table row of one file."""
    digest = hashlib.file_digest(field.file, "sha256").hexdigest()
    name, kind = escape(field.filename), escape(field.type)
    return ROW.format(name=name, type=kind, size=field.file.tell(), digest=digest)
