"""Manual 5.4.6, PythonInterpreter."""

CODE = "def handler(req):\n    req.write(req.interpreter)\n    return 0\n"
PYTHON = "SetHandler python-program\nPythonHandler telling"


def test_forces_the_name(httpd):
    """The handlers run in the interpreter named."""
    site = httpd.site(PYTHON + "\nPythonInterpreter chosen", {"telling.py": CODE})
    assert site.get("x").text == "chosen"


def test_whole_server(httpd):
    """At server level it holds for virtual hosts too, which may have their own."""
    config = """
        PythonInterpreter common
        <VirtualHost *:${port}>
            ServerName one.example
            DocumentRoot "${htdocs}"
        </VirtualHost>
        <VirtualHost *:${port}>
            ServerName two.example
            DocumentRoot "${htdocs}"
            PythonInterpreter special
        </VirtualHost>
        """
    site = httpd(config).site(PYTHON, {"telling.py": CODE})
    assert site.get("x", headers={"Host": "one.example"}).text == "common"
    assert site.get("x", headers={"Host": "two.example"}).text == "special"


def test_inner_scope_wins(httpd):
    """An inner directory's name replaces the outer one."""
    site = httpd.site(
        PYTHON + "\nPythonInterpreter outer",
        {"telling.py": CODE, "sub/.htaccess": "PythonInterpreter inner"},
    )
    assert [site.get(path).text for path in ("x", "sub/x")] == ["outer", "inner"]
