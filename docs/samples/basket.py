from mod_python import Cookie, apache

SECRET = "something that nobody can guess"


def handler(req):
    cookie = Cookie.get_cookie(req, "basket", Cookie.MarshalCookie, secret=SECRET, mismatch=Cookie.IGNORE)
    basket = cookie.value if cookie else []
    if req.args:
        basket = [*basket, req.args][-10:]
        Cookie.add_cookie(req, Cookie.MarshalCookie("basket", basket, SECRET, path="/", httponly=True))
    req.content_type = "text/plain; charset=utf-8"
    req.write("\n".join(basket) + "\n")
    return apache.OK
