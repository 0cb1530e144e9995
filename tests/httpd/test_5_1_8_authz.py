"""Manual 5.1.8, PythonAuthzHandler."""

CODE = """
    from mod_python import apache

    def authenhandler(req):
        req.get_basic_auth_pw()
        return apache.OK

    def authzhandler(req):
        if req.user == "boss":
            return apache.OK
        if req.user == "guest":
            return apache.HTTP_FORBIDDEN
        return apache.DECLINED
    """

CONFIG = """
    PythonAuthenHandler authz
    PythonAuthzHandler authz
    AuthType Basic
    AuthName x
    Require {require}
    """


def site_requiring(httpd, require):
    return httpd.site(CONFIG.format(require=require), {"authz.py": CODE, "page.txt": "a page\n"})


def test_runs_after_authentication(httpd):
    """It knows the user and decides whether they may."""
    site = site_requiring(httpd, "valid-user")
    assert site.get("page.txt", auth=("boss", "x")).text == "a page\n"
    assert site.get("page.txt", auth=("guest", "x")).status_code == 403


def test_declined_leaves_it_to_apache(httpd):
    """DECLINED: the Require lines hold."""
    assert site_requiring(httpd, "valid-user").get("page.txt", auth=("eve", "x")).status_code == 200
    site = site_requiring(httpd, "user adam")
    assert site.get("page.txt", auth=("adam", "x")).status_code == 200
    assert site.get("page.txt", auth=("eve", "x")).status_code == 401
    site.expect_log("AH01631: user eve: authorization failure")


def test_ok_decides(httpd):
    """OK lets a user in whom the Require lines do not name."""
    assert site_requiring(httpd, "user adam").get("page.txt", auth=("boss", "x")).status_code == 200
