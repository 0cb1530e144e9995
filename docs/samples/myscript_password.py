from mod_python import apache


def authenhandler(req):
    user = req.user
    password = req.get_basic_auth_pw()
    if user == "spam" and password == "eggs":
        return apache.OK
    return apache.HTTP_UNAUTHORIZED


def handler(req):
    req.content_type = "text/plain"
    req.write("Hello World!")
    return apache.OK
