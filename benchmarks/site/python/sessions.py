"""A handler with a session, for Kukulkan and for the old module alike."""

import time

from mod_python import Session, apache

SID = "0123456789abcdef" * 2
"""The session that every request has."""

Session.MemorySession.sdict[SID] = {
    "_data": {},
    "_created": time.time(),
    "_accessed": time.time(),
    "_timeout": 86400,
}


def counting(req):
    session = Session.MemorySession(req)
    session["requests"] = session.get("requests", 0) + 1
    session.save()
    req.content_type = "text/plain"
    req.write("Hello!", 0)
    return apache.OK
