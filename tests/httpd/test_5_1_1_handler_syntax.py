"""Manual 5.1.1, Python*Handler Directive Syntax, and the rules by which a handler's
result stops a list."""

import pytest

# What OK and DECLINED do in each phase: go on with the next handler, or end the list.
GOES_ON = {
    "PostReadRequest": {"OK", "DECLINED"},
    "Init": {"OK", "DECLINED"},
    "HeaderParser": {"OK", "DECLINED"},
    "Access": {"OK", "DECLINED"},
    "Fixup": {"OK", "DECLINED"},
    "Log": {"OK", "DECLINED"},
    "Trans": {"DECLINED"},
    "Authen": {"DECLINED"},
    "Authz": {"DECLINED"},
    "Type": {"DECLINED"},
    "": {"OK"},
    "Cleanup": {"OK"},
}

RULES = """
    from mod_python import apache

    def first(req):
        req.get_basic_auth_pw()
        if req.phase == "PythonTransHandler":
            req.filename = req.document_root() + req.uri
        req.log_error("first ran", apache.APLOG_NOTICE)
        result = req.headers_in.get("X-Result", "OK")
        if result.startswith("raise "):
            raise apache.SERVER_RETURN(getattr(apache, result[6:]))
        return getattr(apache, result)

    def second(req):
        req.log_error("second ran", apache.APLOG_NOTICE)
        return apache.OK

    def allow(req):
        req.get_basic_auth_pw()
        return apache.OK

    def write(req):
        req.write("written")
        return apache.OK
    """


def rules_config(phase):
    """Two handlers for the phase, and around them what lets a request get there."""
    lines = [
        "PythonPath \"sys.path + ['${root}/lib']\"",
        "<Location />",
        "SetHandler python-program",
        "AuthType Basic",
        "AuthName here",
        "Require valid-user",
        "</Location>",
        f"Python{phase}Handler rules::first rules::second",
    ]
    lines += [
        f"Python{other}Handler rules::{function}"
        for other, function in [("Authen", "allow"), ("Authz", "allow"), ("", "write")]
        if other != phase
    ]
    return "\n".join(lines)


def ran(httpd, phase, result):
    """The status of a request whose first handler gives `result`, and whether the
    second ran."""
    server = httpd(rules_config(phase), {"lib/rules.py": RULES})
    # When the connection has been closed all of the request, its cleanup too, is over.
    answer = server.raw_request(
        b"x", headers={b"Authorization": b"Basic c3BhbTplZ2dz", b"X-Result": result.encode()}
    )
    server.expect_log("first ran")
    return answer.status, len(server.error_log.find("second ran")) == 1


@pytest.mark.parametrize("how", ["return", "raise"])
@pytest.mark.parametrize("result", ["OK", "DECLINED"])
@pytest.mark.parametrize("phase", GOES_ON)
def test_what_ends_a_list(httpd, phase, result, how):
    """Whether the next handler runs after OK and after DECLINED, returned or raised."""
    status, went_on = ran(httpd, phase, result if how == "return" else f"raise {result}")
    assert went_on == (result in GOES_ON[phase])
    assert status == 200 or (phase, result) == ("", "DECLINED")


@pytest.mark.parametrize("phase", GOES_ON)
def test_an_error_ends_every_list(httpd, phase):
    """An HTTP status ends the list in every phase, and is the response's if there is
    none yet."""
    status, went_on = ran(httpd, phase, "HTTP_CONFLICT")
    assert not went_on
    assert status == (200 if phase in ("Log", "Cleanup") else 409)


DONE = """
    from mod_python import apache

    def finish(req):
        req.write("all there is")
        return apache.DONE

    def allow(req):
        req.get_basic_auth_pw()
        return apache.OK

    def wrong(req):
        req.write(" and more")
        return apache.OK

    def loghandler(req):
        req.log_error("log ran", apache.APLOG_NOTICE)
        return apache.OK

    def cleanuphandler(req):
        apache.log_error("cleanup ran", apache.APLOG_NOTICE)
    """


@pytest.mark.parametrize("phase", [p for p in GOES_ON if p not in ("Log", "Cleanup")])
def test_done(httpd, phase):
    """DONE in any phase: the response is complete as written, only log and cleanup
    still run."""
    others = {"Authen": "allow", "Authz": "allow", "": "wrong"} | {phase: "finish"}
    handlers = [f"Python{name}Handler done::{function}" for name, function in others.items()]
    config = """
        PythonPath "sys.path + ['${root}/lib']"
        PythonLogHandler done
        PythonCleanupHandler done
        <Location />
            SetHandler python-program
            AuthType Basic
            AuthName here
            Require valid-user
        </Location>
        """
    server = httpd("\n".join([config, *handlers]), {"lib/done.py": DONE})
    answer = server.get("x", auth=("spam", "eggs"))
    assert (answer.status_code, answer.text) == (200, "all there is")
    server.expect_log("log ran")
    server.expect_log("cleanup ran")


def test_server_return_with_a_status(httpd):
    """SERVER_RETURN(result, status) sets req.status too."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler two",
        {
            "two.py": """
                from mod_python import apache

                def handler(req):
                    req.write("made", 0)
                    raise apache.SERVER_RETURN(apache.OK, apache.HTTP_CREATED)
                """
        },
    )
    answer = site.get("x")
    assert (answer.status_code, answer.text) == (201, "made")


ORDER = """
    def one(req):
        req.write("one ")
        return 0

    def two(req):
        req.write("two ")
        return 0

    def handler(req):
        req.write("default ")
        return 0

    class namespace:
        def __init__(self, req):
            self.req = req

        def method(self, req):
            req.write("method %s " % (self.req is req))
            return 0

        class inner:
            def __init__(self, req):
                pass

            def __call__(self, req):
                req.write("called ")
                return 0

    class instance:
        def method(self, req):
            req.write("instance ")
            return 0

    an_instance = instance()
    """


def order_site(httpd, directives):
    return httpd.site("AddHandler python-program .py .a .b\n" + directives, {"order.py": ORDER})


@pytest.mark.parametrize(
    ("directives", "text"),
    [
        ("PythonHandler order::one order::two", "one two "),
        ("PythonHandler order::two\nPythonHandler order::one", "two one "),
        ("PythonHandler order::one\nPythonHandler order::two order", "one two default "),
        ("PythonHandler order", "default "),
        ("PythonHandler order::namespace.method", "method True "),
        ("PythonHandler order::namespace.inner", "called "),
        ("PythonHandler order::an_instance.method", "instance "),
    ],
)
def test_handlers_of_a_list(httpd, directives, text):
    """Handlers run left to right and top to bottom; objects are found along dots,
    classes on the way are made instances with the request."""
    assert order_site(httpd, directives).get("x.py").text == text


@pytest.mark.parametrize(
    ("file", "text"), [("x.a", "one "), ("x.b", "two "), ("x.py", "default "), ("x.a.gz", "default ")]
)
def test_extensions(httpd, file, text):
    """`| .ext` restricts a list to files with that extension and replaces the list
    without."""
    site = order_site(
        httpd,
        "PythonHandler order\nPythonHandler order::one | .a\nPythonHandler order::two | .b",
    )
    assert site.get(file).text == text


def test_several_extensions(httpd):
    """Several extensions may be given; other files are not handled by Python."""
    site = order_site(httpd, "PythonHandler order::one order::two | .a .b")
    site.write("x.py", "a file\n")
    assert site.get("x.a").text == "one two "
    assert site.get("x.b").text == "one two "
    assert site.get("x.py").text == "a file\n"


@pytest.mark.parametrize("phase", ["HeaderParser", "Access", "Type", "Fixup", "Log"])
def test_extensions_in_other_phases(httpd, phase):
    """Extensions work for every phase after the translation."""
    site = httpd.site(
        f"Python{phase}Handler ext | .a",
        {
            "x.a": "",
            "x.b": "",
            "ext.py": f"""
                from mod_python import apache

                def {phase.lower()}handler(req):
                    req.log_error("ran for " + req.extension, apache.APLOG_NOTICE)
                    return apache.DECLINED
                """,
        },
    )
    assert site.get("x.b").status_code == 200
    assert site.get("x.a").status_code == 200
    site.expect_log("ran for [.]a")
    assert not site.server.error_log.find("ran for")


def test_inner_scopes_replace(httpd):
    """The handlers of an inner directory take the place of the outer ones."""
    site = order_site(httpd, "PythonHandler order::one")
    site.write("inner/.htaccess", "PythonHandler order::two")
    site.write("inner/order.py", ORDER)
    assert site.get("inner/x.py").text == "two "
    assert site.get("x.py").text == "one "


def test_handler_name_without_python_handler(httpd):
    """SetHandler without PythonHandler: the default handler serves the file."""
    site = httpd.site("SetHandler python-program", {"page.txt": "a file\n"})
    assert site.get("page.txt").text == "a file\n"


@pytest.mark.parametrize("name", ["python-program", "mod_python"])
def test_handler_names(httpd, name):
    """python-program and mod_python both name the module's handler."""
    site = httpd.site(f"SetHandler {name}\nPythonHandler order", {"order.py": ORDER})
    assert site.get("x").text == "default "


def test_other_handler_name(httpd):
    """Under another handler name PythonHandler does nothing."""
    site = httpd.site("PythonHandler order", {"order.py": ORDER, "page.txt": "a file\n"})
    assert site.get("page.txt").text == "a file\n"


def test_same_module_name_in_two_directories(httpd):
    """Modules of the same name in different directories are different modules."""
    site = httpd.site("AddHandler python-program .py\nPythonHandler index")
    for name in ("a", "b"):
        site.write(f"{name}/.htaccess", "PythonHandler index")
        site.write(f"{name}/index.py", f"def handler(req):\n    req.write('{name}')\n    return 0\n")
    assert [site.get(path).text for path in ("a/x.py", "b/x.py", "a/x.py")] == ["a", "b", "a"]


def test_same_sibling_name_in_two_directories(httpd):
    """So are the modules that they import from beside them."""
    code = "import sibling\ndef handler(req):\n    req.write(sibling.name)\n    return 0\n"
    one, two = (
        httpd.site(
            "SetHandler python-program\nPythonHandler importing",
            {"importing.py": code, "sibling.py": f"name = {name!r}\n"},
        )
        for name in ("one", "two")
    )
    assert [site.get("x").text for site in (one, two, one)] == ["one", "two", "one"]


def test_location(httpd):
    """In a <Location> no directory is known: the module must be on the path."""
    config = """
        <Location /spam>
            SetHandler python-program
            PythonPath "sys.path + ['${root}/lib']"
            PythonHandler located
        </Location>
        """
    code = """
        def handler(req):
            req.write(repr([req.filename, req.path_info]))
            return 0
        """
    server = httpd(config, {"lib/located.py": code})
    assert server.get("spam/eggs").text == repr([str(server.htdocs / "spam"), "/eggs"])


def test_files_section(httpd):
    """In <Files> the directory is that of what encloses it."""
    site = httpd.site(
        """
        <Files special>
            SetHandler python-program
            PythonHandler filesmodule
        </Files>
        """,
        {"special": "", "filesmodule.py": "def handler(req):\n    req.write('files')\n    return 0\n"},
    )
    assert site.get("special").text == "files"


def test_regular_expression_section(httpd):
    """In <DirectoryMatch> it is the shortest directory that matches."""
    config = """
        <DirectoryMatch "/matched/[0-9]+">
            SetHandler python-program
            PythonHandler matchedmodule
        </DirectoryMatch>
        """
    code = "import sys\ndef handler(req):\n    req.write(sys.path[0].rstrip('/'))\n    return 0\n"
    server = httpd(config, {"htdocs/matched/1/matchedmodule.py": code})
    (server.htdocs / "matched/1/sub").mkdir(exist_ok=True)
    assert server.get("matched/1/sub/x").text == f"{server.htdocs}/matched/1"


def test_override(httpd):
    """Any AllowOverride but None allows the directives in .htaccess."""
    config = """
        <Directory "${htdocs}/limit">
            AllowOverride Limit
            SetHandler python-program
        </Directory>
        <Directory "${htdocs}/none">
            AllowOverride None
            SetHandler python-program
        </Directory>
        """
    files = {}
    for name in ("limit", "none"):
        files[f"htdocs/{name}/.htaccess"] = "PythonHandler overriding"
        files[f"htdocs/{name}/overriding.py"] = "def handler(req):\n    req.write('x')\n    return 0\n"
    server = httpd(config, files)
    assert server.get("limit/x").text == "x"
    assert server.get("none/x").status_code == 404
    server.expect_log("AH00128: File does not exist")
