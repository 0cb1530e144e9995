"""A handler that fails: see the terminal, and with --debug the page."""

from mod_python import apache


def handler(req):
    """Divide by nothing."""
    req.content_type = "text/plain"
    req.write(str(ratio(1, 0)))
    return apache.OK


def ratio(a, b):
    """One level deeper, for the traceback."""
    return a / b
