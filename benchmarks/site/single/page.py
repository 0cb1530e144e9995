"""The handler of ../reload without its helper."""

HELLO = "Hello!"


def handler(req):
    """Answer as hello does."""
    req.content_type = "text/plain"
    req.write(HELLO, 0)
    return 0
