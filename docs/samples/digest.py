import hashlib

from mod_python import apache


def inputfilter(filter):
    if not hasattr(filter, "digest"):
        filter.digest = hashlib.sha256()
    while data := filter.read():
        filter.digest.update(data)
        filter.write(data)
    if data is None:
        filter.req.body_digest = filter.digest.hexdigest()
        filter.close()


def handler(req):
    size = len(req.read())
    if req.headers_in.get("X-SHA256") != req.body_digest:
        return apache.HTTP_BAD_REQUEST
    req.write(f"{size} bytes, as they were sent\n")
    return apache.OK
