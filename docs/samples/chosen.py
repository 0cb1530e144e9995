from mod_python import apache


def fixuphandler(req):
    if req.headers_in.get("X-Loud"):
        req.add_output_filter("CAPITALIZE")
    return apache.OK
