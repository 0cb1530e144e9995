"""A status and headers of one's own."""

from mod_python import apache


def handler(req):
    """Answer with 418, which is not an error here: the body is ours."""
    req.status = 418
    req.headers_out["X-Brewed-With"] = "Python"
    req.content_type = "text/plain"
    req.write("Short and stout.\n")
    return apache.OK
