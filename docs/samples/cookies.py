from mod_python import apache


def handler(req):
    req.headers_out["Cache-Control"] = "no-store"
    req.headers_out.add("Set-Cookie", "a=1")
    req.headers_out.add("Set-Cookie", "b=2")
    req.content_type = "text/plain"
    req.write(f"{req.headers_out['set-cookie']} for {req.headers_in.get('User-Agent')}\n")
    return apache.OK
