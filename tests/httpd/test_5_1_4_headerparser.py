"""Manual 5.1.4, PythonHeaderParserHandler."""

CODE = """
    from mod_python import apache

    def headerparserhandler(req):
        req.headers_out["X-Phase"] = req.phase
        if "X-Bad" in req.headers_in:
            return apache.HTTP_BAD_REQUEST
        return apache.OK
    """


def test_looks_at_the_headers(httpd):
    """It sees the headers early, knowing the file, and may refuse."""
    site = httpd.site("PythonHeaderParserHandler parser", {"parser.py": CODE, "page.txt": "x"})
    answer = site.get("page.txt")
    assert (answer.status_code, answer.headers["X-Phase"]) == (200, "PythonHeaderParserHandler")
    assert site.get("page.txt", headers={"X-Bad": "1"}).status_code == 400


def test_server_level(httpd):
    """It may stand at server level."""
    config = "PythonPath \"sys.path + ['${root}/lib']\"\nPythonHeaderParserHandler parser"
    server = httpd(config, {"lib/parser.py": CODE, "htdocs/page.txt": "x"})
    assert server.get("page.txt", headers={"X-Bad": "1"}).status_code == 400
