"""A status and headers of one's own."""

from mod_python import apache


def handler(req):
    """Answer with 418, and a body of our own."""
    req.status = 418
    # Only of a status that Apache does not know must the text be given.
    req.status_line = "418 I'm a teapot"
    req.headers_out["X-Brewed-With"] = "Python"
    req.content_type = "text/plain"
    req.write("Short and stout.\n")
    return apache.OK
