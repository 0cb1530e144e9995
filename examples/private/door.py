"""Another phase of the request: a handler that checks the password of this directory, serpent."""

import hmac

from mod_python import apache

PASSWORD = "serpent"


def authenhandler(req):
    """Let in whoever knows the password; `.htaccess` beside this file names this function's module."""
    password = req.get_basic_auth_pw() or ""
    if hmac.compare_digest(password.encode(), PASSWORD.encode()):
        return apache.OK
    return apache.HTTP_UNAUTHORIZED


def handler(req):
    """Greet the user."""
    req.content_type = "text/plain; charset=utf-8"
    req.write(f"Come in, {req.user}.\n")
    return apache.OK
