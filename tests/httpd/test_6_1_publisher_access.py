"""Manual 6.1.2, Authentication: __auth__, __access__ and __auth_realm__ on a real server."""

from concurrent.futures import ThreadPoolExecutor

import argon2
import pytest

CONFIG = """
    SetHandler python-program
    PythonHandler mod_python.publisher
    """

FUNCTIONS = """
    __auth_realm__ = "Members only"

    def __auth__(req, user, passwd):

        if user == "eggs" and passwd == "spam" or \\
            user == "joe" and passwd == "eoj":
            return 1
        else:
            return 0

    def __access__(req, user):
        if user == "eggs":
            return 1
        else:
            return 0

    def hello(req):
        return "hello " + req.user
    """

COLLECTIONS = """
    __auth_realm__ = "Members only"
    __auth__ = {"eggs":"spam", "joe":"eoj"}
    __access__ = ["eggs"]

    def hello(req):
        return "hello " + req.user
    """

NESTED = """
    def hello(req):
        __auth_realm__ = "Members only"
        def __auth__(req, user, passwd):
            return {"eggs": "spam", "joe": "eoj"}.get(user) == passwd
        def __access__(req, user):
            return user == "eggs"
        return "hello " + req.user
    """

ATTRIBUTES = """
    def hello(req):
        return "hello " + req.user

    hello.__auth_realm__ = "Members only"
    hello.__auth__ = {"eggs":"spam", "joe":"eoj"}
    hello.__access__ = ["eggs"]
    """

METHOD = """
    class Page:
        def __call__(self, req):
            __auth_realm__ = "Members only"
            def __auth__(req, user, passwd):
                return {"eggs": "spam", "joe": "eoj"}.get(user) == passwd
            __access__ = ("eggs",)
            return "hello " + req.user
    hello = Page()
    """

RETURNED = """
    def hello(req):
        def inner(req):
            return "hello " + req.user
        inner.__auth_realm__ = "Members only"
        inner.__auth__ = {"eggs":"spam", "joe":"eoj"}
        inner.__access__ = ["eggs"]
        return inner
    """


@pytest.mark.parametrize("page", [FUNCTIONS, COLLECTIONS, NESTED, ATTRIBUTES, METHOD, RETURNED])
def test_examples(httpd, page):
    """The manual's, and what it describes; the same answers from each."""
    site = httpd.site(CONFIG, {"page.py": page})
    answer = site.get("page/hello")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="Members only"'
    assert site.get("page/hello", auth=("eggs", "spam")).text == "hello eggs"
    assert site.get("page/hello", auth=("joe", "eoj")).status_code == 403
    answer = site.get("page/hello", auth=("eggs", "eoj"))
    assert answer.status_code == 401
    assert "hello" not in answer.text
    site.expect_log("KK0131: user 'eggs' and the password sent were refused by __auth__ of ")


def test_each_step_on_the_way(httpd):
    """A module, an object, its method."""
    page = """
        class Branch:
            __auth__ = {"eggs": "spam", "joe": "eoj"}
            leaf = "a leaf"
            def twig(self):
                __access__ = False
                return "a twig"

        branch = Branch()
        free = "free"
        """
    site = httpd.site(CONFIG, {"page.py": page})
    assert site.get("page/free").text == "free"
    assert site.get("page/branch/leaf").status_code == 401
    assert site.get("page/branch/missing").status_code == 401
    assert site.get("page/branch/leaf", auth=("joe", "eoj")).text == "a leaf"
    assert site.get("page/branch/twig", auth=("joe", "eoj")).status_code == 403


def test_authentication_by_apache(httpd):
    """__access__ is asked about the user that another handler has authenticated."""
    door = """
        from mod_python import apache

        def authenhandler(req):
            if req.get_basic_auth_pw() == "spam":
                return apache.OK
            return apache.HTTP_UNAUTHORIZED
        """
    site = httpd.site(
        CONFIG + "PythonAuthenHandler door\nAuthType Basic\nAuthName x\nRequire valid-user\n",
        {"door.py": door, "page.py": '__access__ = ["eggs"]\ndef hello(req): return "hello"\n'},
    )
    assert site.get("page/hello", auth=("eggs", "spam")).text == "hello"
    assert site.get("page/hello", auth=("joe", "spam")).status_code == 403
    assert site.get("page/hello", auth=("eggs", "x")).status_code == 401


def test_a_name_nobody_has_verified_is_none(httpd):
    """Whatever is sent."""
    site = httpd.site(CONFIG, {"page.py": '__access__ = ["eggs"]\ndef hello(req): return "hello"\n'})
    assert site.get("page/hello", auth=("eggs", "spam")).status_code == 403
    site.expect_log(r"KK0130: __access__ of \S+/page\.py names users")


def test_malformed_authorization(httpd):
    """The client's fault; only where it is read."""
    site = httpd.site(CONFIG, {"page.py": COLLECTIONS, "free.py": "def hello(req): return 'free'\n"})
    for header in ("Basic", "Basic ####", "Basic ZWdncw=="):
        assert site.get("page/hello", headers={"Authorization": header}).status_code == 400
        assert site.get("free/hello", headers={"Authorization": header}).text == "free"
    assert site.get("page/hello", headers={"Authorization": "Digest x"}).status_code == 401


def test_async_checks_are_awaited(httpd):
    """A coroutine is true, but no consent."""
    page = """
        async def __auth__(req, user, passwd):
            return user == "eggs" and passwd == "spam"
        async def __access__(req, user):
            return False
        def hello(req): return "hello"
        """
    site = httpd.site(CONFIG, {"page.py": page})
    assert site.get("page/hello", auth=("eggs", "spam")).status_code == 403
    assert site.get("page/hello", auth=("eggs", "x")).status_code == 401
    site.expect_log("KK0131: user 'eggs'")


def test_what_cannot_be_evaluated_is_an_error(httpd):
    """It is not ignored, and not run either."""
    page = """
        def hello(req):
            __auth__ = {"eggs": "spam"}
            return "hello"
        """
    site = httpd.site(CONFIG, {"page.py": page})
    answer = site.get("page/hello", auth=("eggs", "spam"))
    assert answer.status_code == 500
    assert "hello" not in answer.text
    site.expect_log(r"KK0101: .* __auth__ in the body of hello\(\)")


#: "serpent", as openssl passwd and htpasswd write it.
HASHES = {
    "apr1": "$apr1$x8dX2Wm1$wkjMkZOvjNgI8/4.KDw4w.",
    "sha": "{SHA}YKMWKZ37023CYCwwn616PZRQUJM=",
    "bcrypt": "$2y$05$EOkmf2rEDyBh7ZjA0TjjV.G.JAljWKm8YMyb0CQAJL4BMAUkrUMEq",
    "bcrypt_2b": "$2b$05$EOkmf2rEDyBh7ZjA0TjjV.G.JAljWKm8YMyb0CQAJL4BMAUkrUMEq",
    "sha512": "$6$saltsalt$DwC.T.c39aIC91AXs59Ypv.ov9tpBc0IksRjVhAMTyKl9joBQfu3ex5iY4hrt0Uz0LJCBSGjCcsTGDxbFYGbe1",
}


@pytest.mark.parametrize("name", HASHES)
def test_hashed_passwords(httpd, name):
    """Those of htpasswd and crypt, checked by APR."""
    page = f"__auth__ = {{'eva': {HASHES[name]!r}}}\ndef hello(req): return 'hello'\n"
    site = httpd.site(CONFIG, {"page.py": page})
    assert site.get("page/hello", auth=("eva", "serpent")).text == "hello"
    for password in ("Serpent", "", HASHES[name], "serpent\0"):
        assert site.get("page/hello", auth=("eva", password)).status_code == 401
    assert site.get("page/hello", auth=("adam", "serpent")).status_code == 401
    site.expect_log("KK0131: ", 5)


def test_argon2(httpd):
    """By argon2-cffi, in a subinterpreter too."""
    stored = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("serpent")
    page = f"__auth__ = {{'eva': {stored!r}}}\ndef hello(req): return 'hello'\n"
    for interpreter in ("main_interpreter", "another"):
        site = httpd.site(CONFIG + f"PythonInterpreter {interpreter}\n", {"page.py": page})
        assert site.get("page/hello", auth=("eva", "serpent")).text == "hello"
        assert site.get("page/hello", auth=("eva", "apple")).status_code == 401
        site.expect_log("KK0131: ")


def test_others_run_while_a_password_is_checked(httpd, mpm):
    """APR's part lets go of the GIL: what it says is right for many at once."""
    page = f"__auth__ = {{'eva': {HASHES['bcrypt']!r}}}\ndef hello(req): return 'hello'\n"
    site = httpd.site(CONFIG, {"page.py": page})
    with ThreadPoolExecutor(8) as pool:
        passwords = ["serpent", "apple"] * 8
        answers = list(pool.map(lambda password: site.get("page/hello", auth=("eva", password)), passwords))
    assert [answer.status_code for answer in answers] == [200, 401] * 8
    site.expect_log("KK0131: ", 8)
