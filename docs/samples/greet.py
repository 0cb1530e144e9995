from html import escape

from mod_python import apache, util


def handler(req):
    form = util.FieldStorage(req)
    name = form.getfirst("name", "stranger")
    req.content_type = "text/html; charset=utf-8"
    req.write(f"<p>Hello, {escape(name)}!\n")
    for colour in form.getlist("colour"):
        req.write(f"<p>You like {escape(colour)}.\n")
    return apache.OK
