"""The handlers that are measured, for Kukulkan and for the old module alike."""

from mod_python import apache


def unflushed(req):
    req.content_type = "text/plain"
    req.write("Hello!", 0)
    return apache.OK


def flushing(req):
    req.content_type = "text/plain"
    req.write("Hello!")
    return apache.OK


def access(req):
    return apache.OK


def authen(req):
    password = req.get_basic_auth_pw()
    if req.user == "bench" and password == "mark":
        return apache.OK
    return apache.HTTP_UNAUTHORIZED
