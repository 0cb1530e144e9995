"""Manual 5.1.10, PythonFixupHandler."""

import pytest

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


@pytest.mark.parametrize("name", ["small.txt", "none.txt"])
def test_another_file(httpd, name):
    """Where a handler changes filename, Apache does not serve it by what it knows of the file
    before, of which it would map more into memory than there is."""
    code = f"""
        import os
        from mod_python import apache

        def fixuphandler(req):
            before = req.finfo.size
            req.filename = os.path.join(os.path.dirname(req.filename), "{name}")
            req.notes["sizes"] = f"{{before}} {{req.finfo.size}}"
            return apache.OK

        def loghandler(req):
            req.log_error("sizes: " + req.notes["sizes"], apache.APLOG_NOTICE)
            return apache.OK
        """
    module = f"another_{name.partition('.')[0]}"
    files = {f"{module}.py": code, "large.txt": 300000 * "x", "small.txt": "small"}
    site = httpd.site(f"PythonFixupHandler {module}\nPythonLogHandler {module}", files)
    answer = site.get("large.txt")
    if name == "small.txt":
        assert (answer.status_code, answer.text) == (200, "small")
        site.expect_log("sizes: 300000 5")
    else:
        assert answer.status_code == 404
        site.expect_log("AH00128: File does not exist")
