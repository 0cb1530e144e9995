"""Manual 4.5.3, req.add_handler()."""

import pytest

WRITERS = """
    from mod_python import apache

    def one(req):
        req.write("one ")
        return apache.OK

    def two(req):
        req.write("two ")
        return apache.OK

    def log(req):
        apache.log_error("logged " + req.phase, apache.APLOG_NOTICE)
        return apache.OK
    """


def site_with(httpd, body, config="PythonHandler adding", **files):
    """A site whose module `adding` has the function bodies given."""
    return httpd.site(
        f"SetHandler python-program\n{config}",
        {"adding.py": body, "writers.py": WRITERS, **files},
    )


def test_adds_to_a_later_phase(httpd):
    """A handler can be added for a phase that has none."""
    site = site_with(
        httpd,
        """
        def fixup(req):
            req.add_handler("PythonHandler", "writers::one")
            return 0
        """,
        "PythonFixupHandler adding::fixup",
    )
    assert site.get("x").text == "one "


def test_appends_to_the_configured_ones(httpd):
    """A handler added runs after those of the configuration."""
    site = site_with(
        httpd,
        """
        def fixup(req):
            req.add_handler("PythonHandler", "writers::two")
            return 0
        """,
        "PythonFixupHandler adding::fixup\nPythonHandler writers::one",
    )
    assert site.get("x").text == "one two "


def test_adds_to_the_running_phase(httpd):
    """A handler added in its own phase runs when the running ones are done."""
    site = site_with(
        httpd,
        """
        def handler(req):
            req.add_handler("PythonHandler", "writers::two")
            req.write("zero ")
            return 0
        """,
        "PythonHandler adding writers::one",
    )
    assert site.get("x").text == "zero one two "


def test_an_added_handler_adds_another(httpd):
    """So do the handlers that an added handler adds."""
    site = site_with(
        httpd,
        """
        def handler(req):
            req.write("zero ")
            req.add_handler("PythonHandler", "adding::again")
            return 0

        def again(req):
            req.add_handler("PythonHandler", "writers::one")
            return 0
        """,
    )
    assert site.get("x").text == "zero one "


def test_lasts_for_the_request_only(httpd):
    """The next request has only the configured handlers."""
    site = site_with(
        httpd,
        """
        def handler(req):
            if req.args == "add":
                req.add_handler("PythonHandler", "writers::one")
            req.write("zero ")
            return 0
        """,
    )
    assert [site.get(path).text for path in ("x?add", "x", "x")] == ["zero one ", "zero ", "zero "]


def test_default_object_name(httpd):
    """Without ::object the name is that of the phase."""
    site = site_with(
        httpd,
        """
        def handler(req):
            req.add_handler("PythonLogHandler", "adding")
            return 0

        def loghandler(req):
            req.log_error("in the loghandler", 5)
            return 0
        """,
    )
    site.get("x")
    site.expect_log("in the loghandler")


@pytest.mark.parametrize("phase", ["Type", "Fixup", "", "Log"])
def test_every_phase(httpd, phase):
    """Handlers can be added for every phase to come."""
    site = site_with(
        httpd,
        f"""
        def early(req):
            req.add_handler("Python{phase}Handler", "writers::log")
            return 0
        """,
        "PythonHeaderParserHandler adding::early\nPythonHandler writers::one",
    )
    site.get("x")
    site.expect_log(f"logged Python{phase}Handler")


def test_access_authen_authz(httpd):
    """Also for the phases that decide about access."""
    site = site_with(
        httpd,
        """
        from mod_python import apache

        def early(req):
            req.trail = []
            for name in ("Access", "Authen", "Authz"):
                req.add_handler(f"Python{name}Handler", "adding::note")
            return apache.OK

        def note(req):
            if req.phase == "PythonAuthenHandler":
                req.get_basic_auth_pw()
            req.trail.append(req.phase)
            return apache.OK

        def handler(req):
            req.write(" ".join(req.trail))
            return apache.OK
        """,
        """
        PythonHeaderParserHandler adding::early
        PythonHandler adding
        AuthType Basic
        AuthName here
        Require valid-user
        """,
    )
    answer = site.get("x", auth=("spam", "eggs"))
    assert answer.text == "PythonAccessHandler PythonAuthenHandler PythonAuthzHandler"


def test_callable(httpd):
    """The handler may be a callable object."""
    site = site_with(
        httpd,
        """
        def handler(req):
            def inner(req):
                req.write("inner")
                return 0
            req.add_handler("PythonHandler", inner)
            return 0
        """,
    )
    assert site.get("x").text == "inner"


def test_directory(httpd):
    """The directory given goes on sys.path and is where the module is looked for."""
    site = site_with(
        httpd,
        """
        import os

        def handler(req):
            req.add_handler("PythonHandler", "added_elsewhere", os.path.dirname(__file__) + "/sub")
            return 0
        """,
        **{"sub/added_elsewhere.py": "def handler(req):\n    req.write('elsewhere')\n    return 0\n"},
    )
    assert site.get("x").text == "elsewhere"


def test_directory_of_the_handlers_before(httpd):
    """Without directory the phase's handlers, or the running one, lend theirs."""
    site = site_with(
        httpd,
        """
        def fixup(req):
            req.add_handler("PythonLogHandler", "writers::log")
            return 0
        """,
        "PythonFixupHandler adding::fixup",
    )
    site.get("x")
    site.expect_log("logged PythonLogHandler")


@pytest.mark.parametrize("name", ["PythonSpamHandler", "PythonInputFilter", "handler"])
def test_unknown_phase(httpd, name):
    """A name that is no phase is an IndexError."""
    assert (
        httpd.run(
            f"""
        try:
            req.add_handler({name!r}, "spam")
        except IndexError as error:
            return str(error)
        """
        )
        == f"Invalid phase: {name}"
    )


def test_missing_handler(httpd):
    """A handler that cannot be found is an error when its turn comes."""
    site = site_with(
        httpd,
        """
        def handler(req):
            req.add_handler("PythonHandler", "writers::no_such_name")
            return 0
        """,
    )
    assert site.get("x").status_code == 500
    site.expect_log("KK0103.*contains no 'no_such_name'")


def test_by_level_of_authorization(httpd):
    """The manual's example: the authentication handler decides who serves."""
    site = site_with(
        httpd,
        """
        from mod_python import apache

        def authenhandler(req):
            req.get_basic_auth_pw()
            if req.user == "boss":
                req.add_handler("PythonHandler", "menu::admin")
            else:
                req.add_handler("PythonHandler", "menu::basic")
            return apache.OK
        """,
        """
        PythonAuthenHandler adding
        AuthType Basic
        AuthName here
        Require valid-user
        """,
        **{
            "menu.py": """
                def admin(req):
                    req.write("admin menu")
                    return 0

                def basic(req):
                    req.write("basic menu")
                    return 0
                """
        },
    )
    assert site.get("x", auth=("boss", "x")).text == "admin menu"
    assert site.get("x", auth=("worker", "x")).text == "basic menu"


def test_any_request_can_be_given_to_python(httpd):
    """Setting req.handler in an earlier phase gives even a directory to Python."""
    site = httpd.site(
        "PythonFixupHandler taking::fixup",
        {
            "taking.py": """
                def fixup(req):
                    req.handler = "mod_python"
                    req.add_handler("PythonHandler", "taking")
                    return 0

                def handler(req):
                    req.write("taken")
                    return 0
                """
        },
    )
    assert site.get("").text == "taken"
