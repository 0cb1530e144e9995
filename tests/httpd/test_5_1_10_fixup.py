"""Manual 5.1.10, PythonFixupHandler."""

CODE = """
    from mod_python import apache

    def fixuphandler(req):
        req.headers_out["X-Fixed"] = req.content_type
        req.subprocess_env["SPAM"] = "eggs"
        return apache.OK
    """


def test_fixes_headers(httpd):
    """It runs just before the content handler, with the type known."""
    site = httpd.site("PythonFixupHandler fix", {"fix.py": CODE, "page.txt": "x"})
    assert site.get("page.txt").headers["X-Fixed"] == "text/plain"


def test_for_python_handlers_too(httpd):
    """What it sets, the content handler sees."""
    site = httpd.site(
        "SetHandler python-program\nPythonFixupHandler fix\nPythonHandler fix::show",
        {
            "fix.py": CODE.replace("= req.content_type", "= '1'")
            + "\n    def show(req):\n        req.write(req.subprocess_env['SPAM'])\n        return 0\n"
        },
    )
    assert site.get("x").text == "eggs"
