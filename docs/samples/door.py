from mod_python import apache


def fixuphandler(req):
    manager = req.headers_in.get("X-Role") == "manager"
    req.add_handler("PythonHandler", "door::admin" if manager else "door::basic")
    return apache.OK


def admin(req):
    req.write("the manager's menu\n")
    return apache.OK


def basic(req):
    req.write("the menu\n")
    return apache.OK
