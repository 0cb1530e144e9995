from mod_python import apache


def require_post(req):
    if req.method != "POST":
        req.allow_methods(["POST"], 1)
        raise apache.SERVER_RETURN(apache.HTTP_METHOD_NOT_ALLOWED)


def handler(req):
    require_post(req)
    req.write(f"{len(req.read())} bytes\n")
    return apache.OK
