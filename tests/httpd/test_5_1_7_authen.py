"""Manual 5.1.7, PythonAuthenHandler."""

import pytest

CONFIG = """
    PythonAuthenHandler auth
    AuthType Basic
    AuthName "the realm"
    Require valid-user
    """

EXAMPLE = """
    from mod_python import apache

    def authenhandler(req):
        pw = req.get_basic_auth_pw()
        user = req.connection.user
        if user == "spam" and pw == "eggs":
            return apache.OK
        elif user == "known":
            return apache.HTTP_FORBIDDEN
        else:
            return apache.HTTP_UNAUTHORIZED
    """


@pytest.fixture
def site(httpd):
    return httpd.site(CONFIG, {"auth.py": EXAMPLE, "page.txt": "a page\n"})


def test_ok(site):
    """OK lets the request in."""
    assert site.get("page.txt", auth=("spam", "eggs")).text == "a page\n"


def test_unauthorized(site):
    """HTTP_UNAUTHORIZED makes the browser ask for a password."""
    answer = site.get("page.txt", auth=("spam", "wrong"))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="the realm"'


def test_forbidden(site):
    """HTTP_FORBIDDEN does not."""
    answer = site.get("page.txt", auth=("known", "x"))
    assert answer.status_code == 403
    assert "WWW-Authenticate" not in answer.headers


def test_not_asked_where_nothing_is_required(httpd):
    """Without Require it does not run."""
    site = httpd.site(
        "PythonAuthenHandler auth", {"auth.py": EXAMPLE.replace("apache.OK", "500"), "page.txt": "x"}
    )
    assert site.get("page.txt").text == "x"


def test_user_of_its_own(httpd):
    """It may set req.user itself; later handlers see it."""
    code = """
        def authenhandler(req):
            req.user = "set by hand"
            req.ap_auth_type = "Spam"
            return 0

        def handler(req):
            req.write(f"{req.user} {req.ap_auth_type}")
            return 0
        """
    site = httpd.site(CONFIG + "SetHandler python-program\nPythonHandler auth", {"auth.py": code})
    assert site.get("x").text == "set by hand Spam"


def test_ok_without_a_user(httpd):
    """OK while req.user is None is an error."""
    site = httpd.site(CONFIG, {"auth.py": "def authenhandler(req):\n    return 0\n", "page.txt": "x"})
    assert site.get("page.txt").status_code == 500
    site.expect_log("KK0110: PythonAuthenHandler.*user")


def test_other_auth_type(httpd):
    """With an AuthType of its own the handler sends its own challenge."""
    code = """
        from mod_python import apache

        def authenhandler(req):
            if "X-Token" in req.headers_in:
                req.user = "token"
                return apache.OK
            req.err_headers_out["WWW-Authenticate"] = "Spam"
            return apache.HTTP_UNAUTHORIZED
        """
    site = httpd.site(
        "PythonAuthenHandler auth\nAuthType Spam\nAuthName x\nRequire valid-user",
        {"auth.py": code, "page.txt": "in\n"},
    )
    answer = site.get("page.txt")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Spam")
    assert site.get("page.txt", headers={"X-Token": "1"}).text == "in\n"
