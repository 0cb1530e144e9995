from mod_python import apache


def handler(req):
    req.status = apache.HTTP_CREATED
    req.headers_out["Location"] = "/things/1"
    req.write("made\n")
    return apache.OK
