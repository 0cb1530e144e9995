"""Manual 5.1.3, PythonTransHandler."""

import pytest

CONFIG = """
    PythonPath "sys.path + ['${root}/lib']"
    PythonTransHandler trans
    Alias /aliased ${root}/other
    """

TRANS = """
    from mod_python import apache

    def transhandler(req):
        assert req.filename is None
        if req.uri.startswith("/moved/"):
            req.filename = req.document_root() + "/pages/" + req.uri[7:]
            return apache.OK
        if req.uri == "/aliased":
            req.filename = req.document_root() + "/pages/page.txt"
            return apache.OK
        if req.uri == "/forbidden":
            return apache.HTTP_FORBIDDEN
        return apache.DECLINED
    """

FILES = {
    "lib/trans.py": TRANS,
    "htdocs/pages/page.txt": "a page\n",
    "htdocs/plain.txt": "plain\n",
    "other": "aliased\n",
}


def test_translates_the_uri(httpd):
    """It turns a URI into a file name, which Apache then serves."""
    assert httpd(CONFIG, FILES).get("moved/page.txt").text == "a page\n"


def test_before_the_servers_rules(httpd):
    """It comes before Alias and the like."""
    assert httpd(CONFIG, FILES).get("aliased").text == "a page\n"


def test_declined_leaves_it_to_the_server(httpd):
    """DECLINED: the document root holds."""
    assert httpd(CONFIG, FILES).get("plain.txt").text == "plain\n"


def test_error(httpd):
    """It may refuse."""
    assert httpd(CONFIG, FILES).get("forbidden").status_code == 403


def test_file_for_a_python_handler(httpd):
    """The directory of the file it chose decides what serves it."""
    files = FILES | {
        "htdocs/pages/.htaccess": "SetHandler python-program\nPythonHandler paged",
        "htdocs/pages/paged.py": """
            def handler(req):
                req.write("%s %s" % (req.filename, req.uri))
                return 0
            """,
    }
    server = httpd(CONFIG, files)
    assert server.get("moved/x").text == f"{server.htdocs}/pages/x /moved/x"


def test_changing_the_uri(httpd):
    """It may change req.uri and decline: the server translates the new one."""
    code = """
        from mod_python import apache

        def transhandler(req):
            if req.uri == "/old":
                req.uri = "/plain.txt"
            return apache.DECLINED
        """
    assert httpd(CONFIG, FILES | {"lib/trans.py": code}).get("old").text == "plain\n"


@pytest.mark.parametrize("section", ["Directory /x", "Location /x", "Files x"])
def test_not_allowed_in_sections(httpd, section):
    """Inside a section it is a configuration error."""
    close = section.split()[0]
    status, text = httpd.configtest(f"<{section}>\nPythonTransHandler trans\n</{close}>\n")
    assert status != 0
    assert "line 2 of" in text and "PythonTransHandler" in text


def test_no_extensions(httpd):
    """`| .ext` is a configuration error."""
    status, text = httpd.configtest("PythonTransHandler trans | .py")
    assert status != 0
    assert "line 1 of" in text
