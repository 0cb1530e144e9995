"""Manual 5.1.5, PythonInitHandler."""

CODE = """
    from mod_python import apache

    def inithandler(req):
        req.trail = getattr(req, "trail", []) + ["%s %s" % (req.phase, req.filename is None)]
        return apache.OK

    def headerparserhandler(req):
        req.trail.append("parser")
        return apache.OK

    def handler(req):
        req.write(", ".join(req.trail))
        return apache.OK
    """


def test_in_a_directory(httpd):
    """Inside a directory it runs with the header parser's phase, before its handlers."""
    site = httpd.site(
        """
        SetHandler python-program
        PythonHeaderParserHandler init
        PythonInitHandler init
        PythonHandler init
        """,
        {"init.py": CODE},
    )
    assert site.get("x").text == "PythonInitHandler False, parser"


def test_at_server_level(httpd):
    """Outside any directory it runs after the request was read, before the
    translation."""
    config = """
        PythonPath "sys.path + ['${root}/lib']"
        SetHandler python-program
        PythonInitHandler init
        PythonHandler init
        """
    server = httpd(config, {"lib/init.py": CODE})
    assert server.get("x").text == "PythonInitHandler True"


def test_at_both_levels(httpd):
    """Both run, each in its phase."""
    config = """
        PythonPath "sys.path + ['${root}/lib']"
        SetHandler python-program
        PythonInitHandler init
        PythonHandler init
        <Directory "${htdocs}">
            PythonInitHandler init
        </Directory>
        """
    server = httpd(config, {"lib/init.py": CODE})
    assert server.get("x").text == "PythonInitHandler True, PythonInitHandler False"


def test_refusing(httpd):
    """It may refuse the request."""
    site = httpd.site(
        "PythonInitHandler refusing",
        {"refusing.py": "def inithandler(req):\n    return 410\n", "page.txt": ""},
    )
    assert site.get("page.txt").status_code == 410
