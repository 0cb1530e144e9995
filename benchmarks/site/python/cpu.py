"""A handler that computes: some 5 ms of Python, without a pause."""

from mod_python import apache


def handler(req):
    """Add squares, and say hello."""
    total = 0
    for n in range(125_000):
        total += n * n
    req.content_type = "text/plain"
    req.write("Hello!", 0)
    return apache.OK
