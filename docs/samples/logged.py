import logging

from mod_python import apache

log = logging.getLogger("shop")
log.setLevel(logging.INFO)
if not log.handlers:
    log.addHandler(apache.LogHandler())


def handler(req):
    log.info("asked for %s", req.uri)
    req.write("noted\n")
    return apache.OK
