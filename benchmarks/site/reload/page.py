"""A handler that imports a helper, as most do."""

import words


def handler(req):
    """Answer as hello does."""
    req.content_type = "text/plain"
    req.write(words.HELLO, 0)
    return 0
