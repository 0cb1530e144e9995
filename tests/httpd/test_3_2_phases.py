"""Manual 3.2, Quick Overview of how Apache Handles Requests."""

# Every phase, in the order in which Apache 2.4 runs them.
PHASES = [
    "PostReadRequest",
    "Trans",
    "HeaderParser",
    "Access",
    "Authen",
    "Authz",
    "Type",
    "Fixup",
    "",
    "Log",
    "Cleanup",
]

CONFIG = "PythonPath \"sys.path + ['${root}/lib']\"\n" + "\n".join(
    f"Python{phase}Handler phases" for phase in PHASES
)

PROTECTED = """
    <Location /protected>
        AuthType Basic
        AuthName here
        Require valid-user
        SetHandler python-program
    </Location>
    """

PHASES_PY = """
    from mod_python import apache

    def note(req):
        req.trail = getattr(req, "trail", []) + [req.phase]
        return apache.DECLINED

    def authenhandler(req):
        note(req)
        req.get_basic_auth_pw()
        return apache.OK

    def authzhandler(req):
        note(req)
        return apache.OK

    def handler(req):
        note(req)
        req.write("content")
        return apache.OK

    def cleanuphandler(req):
        note(req)
        apache.log_error("trail: " + " ".join(req.trail), apache.APLOG_NOTICE)

    postreadrequesthandler = transhandler = headerparserhandler = accesshandler = note
    typehandler = fixuphandler = loghandler = note
    """


def test_static_file_without_any_python(httpd):
    """With no Python directive Apache's own handlers serve the file."""
    site = httpd.site(files={"page.txt": "text\n"})
    answer = site.get("page.txt")
    assert (answer.status_code, answer.text) == (200, "text\n")
    assert answer.headers["Content-Type"] == "text/plain"


def test_phases_run_in_order(httpd):
    """One handler per phase: all run, one after the other, with the same request."""
    config = CONFIG + "\n" + PROTECTED
    server = httpd(config, {"lib/phases.py": PHASES_PY})
    assert server.get("protected", auth=("spam", "eggs")).text == "content"
    record = server.expect_log("trail: ")
    assert record.message.endswith(" ".join(f"Python{phase}Handler" for phase in PHASES))


def test_handlers_do_nothing_unless_told(httpd):
    """A file beside which a module lies, but no directive names it, is just a file."""
    site = httpd.site(files={"hello.py": "def handler(req): req.write('ran')\n"})
    assert site.get("hello.py").text.startswith("def handler")
