from mod_python import apache

PASSWORDS = {"spam": "eggs", "king": "arthur"}


def authenhandler(req):
    password = req.get_basic_auth_pw()
    if password is None or PASSWORDS.get(req.user) != password:
        return apache.HTTP_UNAUTHORIZED
    req.role = "manager" if req.user == "king" else "guest"
    return apache.OK


def handler(req):
    req.content_type = "text/plain"
    req.write(f"{req.user} is a {req.role}.\n")
    return apache.OK
