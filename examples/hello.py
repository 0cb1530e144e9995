"""The smallest handler."""

from mod_python import apache


def handler(req):
    """Answer with a line of text."""
    req.content_type = "text/plain"
    req.write("Hello, world!\n")
    return apache.OK
