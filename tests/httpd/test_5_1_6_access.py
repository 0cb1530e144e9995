"""Manual 5.1.6, PythonAccessHandler."""

CODE = """
    from mod_python import apache

    def accesshandler(req):
        if req.useragent_ip == req.get_options().get("refuse"):
            return apache.HTTP_FORBIDDEN
        return apache.OK
    """


def site_refusing(httpd, address):
    return httpd.site(
        f"PythonAccessHandler access\nPythonOption refuse {address}",
        {"access.py": CODE, "page.txt": "a page\n"},
    )


def test_by_address(httpd):
    """The manual's example: restrict access by IP number."""
    assert site_refusing(httpd, "127.0.0.1").get("page.txt").status_code == 403
    assert site_refusing(httpd, "192.0.2.1").get("page.txt").text == "a page\n"


def test_does_not_replace_other_restrictions(httpd):
    """OK does not open what Apache's own modules refuse."""
    site = httpd.site("PythonAccessHandler access\nRequire all denied", {"access.py": CODE, "page.txt": "x"})
    assert site.get("page.txt").status_code == 403
    site.expect_log("AH01630: client denied by server configuration")
