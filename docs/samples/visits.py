from mod_python import Session, apache


def handler(req):
    session = Session.Session(req)
    session["visits"] = session.get("visits", 0) + 1
    session.save()
    req.content_type = "text/plain"
    req.write(f"You were here {session['visits']} times.\n")
    return apache.OK
