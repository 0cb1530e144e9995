"""Manual 5.1.9, PythonTypeHandler."""

CODE = """
    from mod_python import apache

    def typehandler(req):
        if req.filename.endswith(".spam"):
            req.content_type = "text/x-spam"
            return apache.OK
        if req.filename.endswith(".bare"):
            return apache.OK
        return apache.DECLINED
    """

FILES = {"type.py": CODE, "x.spam": "spam\n", "x.txt": "text\n", "x.bare.txt": ""}


def test_sets_the_type(httpd):
    """It determines the content type of a file."""
    answer = httpd.site("PythonTypeHandler type", FILES).get("x.spam")
    assert (answer.text, answer.headers["Content-Type"]) == ("spam\n", "text/x-spam")


def test_declined_leaves_it_to_mod_mime(httpd):
    """DECLINED: the usual rules hold."""
    site = httpd.site("PythonTypeHandler type", FILES)
    assert site.get("x.txt").headers["Content-Type"] == "text/plain"


def test_ok_ends_the_phase(httpd):
    """OK: nobody else looks for a type."""
    site = httpd.site("PythonTypeHandler type", FILES | {"x.html.bare": ""})
    assert "Content-Type" not in site.get("x.html.bare").headers


def test_may_choose_the_handler(httpd):
    """It may give the file to the content handler."""
    code = """
        def typehandler(req):
            req.handler = "python-program"
            return 0

        def handler(req):
            req.write("handled")
            return 0
        """
    site = httpd.site(
        "PythonTypeHandler chooser\nPythonHandler chooser", {"chooser.py": code, "x.txt": "text"}
    )
    assert site.get("x.txt").text == "handled"
