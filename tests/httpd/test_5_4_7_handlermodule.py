"""Manual 5.4.7, PythonHandlerModule."""

CODE = """
    from mod_python import apache

    def authenhandler(req):
        req.get_basic_auth_pw()
        return apache.OK

    def handler(req):
        req.write("hello " + req.user)
        return apache.OK

    def loghandler(req):
        req.log_error("logged " + req.user, apache.APLOG_NOTICE)
        return apache.OK
    """


def test_functions_are_found_by_name(httpd):
    """Each function named as a phase's default is that phase's handler."""
    site = httpd.site(
        """
        SetHandler python-program
        PythonHandlerModule mymodule
        AuthType Basic
        AuthName x
        Require valid-user
        """,
        {"mymodule.py": CODE},
    )
    assert site.get("x", auth=("spam", "eggs")).text == "hello spam"
    site.expect_log("logged spam")


def test_missing_functions_are_skipped(httpd):
    """A phase whose function the module lacks is skipped silently."""
    site = httpd.site(
        "PythonHandlerModule nearly_empty",
        {"nearly_empty.py": "def fixuphandler(req):\n    return 0\n", "page.txt": "a page\n"},
    )
    assert site.get("page.txt").text == "a page\n"


def test_beside_a_handler_directive(httpd):
    """A directive for one phase stands beside it."""
    site = httpd.site(
        """
        SetHandler python-program
        PythonHandlerModule beside
        PythonFixupHandler beside::other
        """,
        {
            "beside.py": """
                def other(req):
                    req.seen = "fixup"
                    return 0

                def handler(req):
                    req.write(req.seen)
                    return 0
                """
        },
    )
    assert site.get("x").text == "fixup"


def test_server_level(httpd):
    """At server level the early phases count too."""
    config = """
        PythonPath "sys.path + ['${root}/lib']"
        PythonHandlerModule everything
        SetHandler python-program
        """
    code = """
        def postreadrequesthandler(req):
            req.trail = ["postreadrequest"]
            return 0

        def transhandler(req):
            req.trail.append("trans")
            return -1

        def handler(req):
            req.write(" ".join(req.trail))
            return 0
        """
    assert httpd(config, {"lib/everything.py": code}).get("x").text == "postreadrequest trans"


def test_module_that_is_missing(httpd):
    """A module that cannot be imported is an error, though, in each phase that runs."""
    site = httpd.site("SetHandler python-program\nPythonHandlerModule no_such_module", {"page.txt": "x"})
    assert site.get("page.txt").status_code == 500
    for phase in ("Init", "Log", "Cleanup"):
        site.expect_log(f"KK0104: Python{phase}Handler no_such_module: ModuleNotFoundError")
