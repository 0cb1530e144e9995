"""LATER, section 7: cookies of a request and a response. The rest is in unit/test_cookie.py."""

CODE = "from mod_python import Cookie\n"


def test_add_cookie(httpd):
    """Set-Cookie for each, Cache-Control for the first."""
    code = """
        from mod_python import apache, Cookie

        def handler(req):
            Cookie.add_cookie(req, "a", "1", path="/", expires=0)
            Cookie.add_cookie(req, Cookie.Cookie("b", "2", httponly=True))
            Cookie.add_cookie(req, Cookie.SignedCookie("c", "3", "secret"))
            Cookie.add_cookie(req, "d")
            return apache.OK
        """
    site = httpd.site("SetHandler python-program\nPythonHandler adding", {"adding.py": code})
    headers = site.get("x").headers
    a, b, c, d = headers.get_list("Set-Cookie")
    assert a == "a=1; path=/; expires=Thu, 01-Jan-1970 00:00:00 GMT"
    assert b == "b=2; httponly"
    assert c.startswith("c=") and c.endswith("3") and len(c) == 2 + 64 + 1
    assert d == "d="
    assert headers.get_list("Cache-Control") == ['no-cache="set-cookie"']


def test_get_cookies(httpd):
    """The cookies of all Cookie headers, by name."""
    answer = httpd.run(
        CODE + "return {name: cookie.value for name, cookie in Cookie.get_cookies(req).items()}",
        headers=[("Cookie", "a=1; b=2"), ("Cookie", "b=3; c=caf\xe9".encode("latin-1"))],
    )
    assert answer == {"a": "1", "b": "3", "c": "caf\xe9"}


def test_commas(httpd):
    """A comma does not end a cookie, unless a name follows."""
    code = CODE + "return {name: cookie.value for name, cookie in Cookie.get_cookies(req).items()}"
    answer = httpd.run(code, headers={"Cookie": 'a=1,2, 3; b="x, y=z"; c=4, d=5'})
    assert answer == {"a": "1,2, 3", "b": '"x, y=z"', "c": "4", "d": "5"}


def test_get_cookie(httpd):
    """One cookie, or None."""
    code = (
        CODE
        + "found = [Cookie.get_cookie(req, name) for name in 'abc']\nreturn [c and c.value for c in found]"
    )
    assert httpd.run(code, headers={"Cookie": "a=1; b=2"}) == ["1", "2", None]
    assert httpd.run(code) == [None, None, None]


def test_signed(httpd):
    """A class and its arguments say which cookies are believed."""
    server = httpd()
    sent = server.run(CODE + "return str(Cookie.MarshalCookie('a', {'b': (1, None)}, 'secret'))")
    code = CODE + (
        "cookie = Cookie.get_cookie(req, 'a', Cookie.MarshalCookie, secret={!r}, mismatch=Cookie.IGNORE)\n"
        "return cookie and repr(cookie.value)"
    )
    assert server.run(code.format("secret"), headers={"Cookie": sent}) == "{'b': (1, None)}"
    assert server.run(code.format("other"), headers={"Cookie": sent}) is None
    assert server.run(code.format("secret"), headers={"Cookie": sent[:-1]}) is None
    assert server.run(code.format("secret"), headers={"Cookie": sent + "=" * 7000}) is None
    code = (
        CODE + "return str(type(Cookie.get_cookies(req, Cookie.SignedCookie, secret='other')['a']).__name__)"
    )
    assert server.run(code, headers={"Cookie": sent}) == "Cookie"


def test_header_injection(httpd):
    """What would end the header is refused before anything is sent."""
    code = CODE + (
        "try:\n    Cookie.add_cookie(req, 'a', 'b\\r\\nX: y')\n"
        "except Cookie.CookieError:\n    return dict(req.headers_out)"
    )
    assert httpd.run(code) == {}
