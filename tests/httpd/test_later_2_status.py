"""What later versions say of results: what is none, what is missing, and Authen."""

import pytest

RESULTS = """
    from mod_python import apache

    nothing = None
    constant = 5

    def result(value):
        return lambda req: value

    none, text, fraction, unknown = result(None), result("200"), result(200.0), result(1)

    def write(req):
        req.write("written")
        return apache.OK
    """

WRONG = {
    "none": "KK0102: {}: returned None",
    "text": "KK0102: {}: returned '200'",
    "fraction": "KK0102: {}: returned 200.0",
    "unknown": "KK0102: {}: returned 1",
    "nothing": "KK0104: {}: TypeError",
    "constant": "KK0104: {}: TypeError",
    "missing": "KK0103: {}: AttributeError: module '.*results.py' contains no 'missing'",
}


@pytest.mark.parametrize("debug", ["On", "Off"])
@pytest.mark.parametrize(
    "phase", ["PythonHeaderParserHandler", "PythonAccessHandler", "PythonTypeHandler", "PythonFixupHandler"]
)
@pytest.mark.parametrize("handler", WRONG)
def test_what_is_no_result(httpd, handler, phase, debug):
    """A result that is no status, a handler that is None or not callable, a name that
    is not found: logged, and 500, with PythonDebug too."""
    site = httpd.site(
        f"""
        SetHandler python-program
        {phase} results::{handler}
        PythonHandler results::write
        PythonDebug {debug}
        """,
        {"results.py": RESULTS},
    )
    assert site.get("x").status_code == 500
    site.expect_log(WRONG[handler].format(f"{phase} results::{handler}"))


@pytest.mark.parametrize("handler", WRONG)
def test_wrong_content_handler(httpd, handler):
    """The same of PythonHandler."""
    site = httpd.site(f"SetHandler python-program\nPythonHandler results::{handler}", {"results.py": RESULTS})
    assert site.get("x").status_code == 500
    site.expect_log(WRONG[handler].format(f"PythonHandler results::{handler}"))


def raising(expression):
    """A site whose fixup raises this, and whose content handler tells the status."""
    code = f"""
        from mod_python import apache

        def fixup(req):
            raise apache.SERVER_RETURN({expression})

        def second(req):
            req.headers_out["X-Second"] = "ran"
            return apache.OK

        def handler(req):
            req.write(str(req.status))
            return apache.OK
        """
    config = (
        "SetHandler python-program\nPythonFixupHandler raising::fixup raising::second\nPythonHandler raising"
    )
    return config, {"raising.py": code}


@pytest.mark.parametrize(
    ("expression", "status", "text"),
    [
        ("apache.OK", 200, "200"),
        ("apache.DECLINED", 200, "200"),
        ("apache.OK, 201", 201, "201"),
        ("apache.OK, 0", 200, "200"),
        ("apache.HTTP_GONE", 410, None),
        ("apache.HTTP_GONE, None", 410, None),
    ],
)
def test_server_return(httpd, expression, status, text):
    """SERVER_RETURN(status) counts as returning it; a second value, if true, is req.status."""
    answer = httpd.site(*raising(expression)).get("x")
    assert answer.status_code == status
    assert ("X-Second" in answer.headers) == (text is not None)
    assert text is None or answer.text == text


@pytest.mark.parametrize("status", [418, 299, 399, 425, 520])
@pytest.mark.parametrize(
    "how", ["return status", "raise apache.SERVER_RETURN(status)", "req.status = status; return 0"]
)
def test_status_that_apache_has_no_name_for(httpd, status, how):
    """It is sent as it is, where Apache would make it 500."""
    code = f"""
        from mod_python import apache

        def handler(req):
            status = {status}
            req.write("x", 0)
            {how}
        """
    site = httpd.site("SetHandler python-program\nPythonHandler unnamed", {"unnamed.py": code})
    answer = site.get("x")
    assert answer.status_code == status
    assert answer.reason_phrase == ("I'm a Teapot" if status == 418 else "Status")


def test_own_status_line_of_such_a_status(httpd):
    """The program's own status line is kept, and one that is of another status is not."""
    code = """
        def handler(req):
            req.status_line = "200 Spam"
            req.status = 418
            req.write("x")
            return 0
        """
    site = httpd.site("SetHandler python-program\nPythonHandler unnamed", {"unnamed.py": code})
    assert site.get("x").reason_phrase == "I'm a Teapot"
    code = code.replace("200", "418")
    site = httpd.site("SetHandler python-program\nPythonHandler unnamed", {"unnamed.py": code})
    assert site.get("x").reason_phrase == "Spam"


EARLY = """
    from mod_python import apache

    def postreadrequesthandler(req):
        if req.args is None:
            return apache.OK
        if req.args.startswith("write"):
            req.write("x", req.args == "write+flushed")
        return apache.HTTP_GONE if req.args == "gone" else apache.DONE
    """


@pytest.mark.parametrize(
    ("args", "status"), [("done", 200), ("write", 200), ("write+flushed", 200), ("gone", 410)]
)
def test_early_end_closes_the_connection(httpd, args, status):
    """Apache closes the connection when this phase ends a request: the client is told, and
    uses it for no other."""
    config = "PythonPath \"sys.path+['${root}']\"\nPythonPostReadRequestHandler early_end"
    server = httpd(config, {"early_end.py": EARLY, "htdocs/page": "a file"})
    with server.connect() as connection:
        connection.send(f"GET /page?{args} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = connection.response()
        assert (answer.status, answer.headers["Connection"]) == (status, "close")
        assert connection.read_all() == b""
    with server.connect() as connection:
        for _ in range(2):
            connection.send(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = connection.response()
            assert (answer.body, answer.headers.get("Connection")) == (b"a file", None)


AUTHEN = """
    from mod_python import apache

    def forgetful(req):
        req.user = None
        return apache.OK

    def refuse(req):
        return apache.HTTP_UNAUTHORIZED

    def own_header(req):
        req.err_headers_out["WWW-Authenticate"] = 'Spam realm="eggs"'
        return apache.HTTP_UNAUTHORIZED

    def handler(req):
        return apache.OK
    """


def authen(httpd, function, kind="Basic"):
    """A site where this handler authenticates."""
    return httpd.site(
        f"""
        SetHandler python-program
        AuthType {kind}
        AuthName "the realm"
        Require valid-user
        PythonAuthenHandler authen::{function}
        PythonHandler authen
        """,
        {"authen.py": AUTHEN},
    )


def test_authen_without_user(httpd):
    """OK while req.user is None: logged, 500."""
    site = authen(httpd, "forgetful")
    assert site.get("x").status_code == 500
    site.expect_log("KK0110: PythonAuthenHandler authen::forgetful returned OK without a user")


def test_unauthorized_adds_the_challenge(httpd):
    """HTTP_UNAUTHORIZED adds WWW-Authenticate for AuthType Basic, unless there is one."""
    answer = authen(httpd, "refuse").get("x", auth=("spam", "eggs"))
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="the realm"')
    answer = authen(httpd, "own_header").get("x", auth=("spam", "eggs"))
    assert answer.headers.get_list("WWW-Authenticate") == ['Spam realm="eggs"']


def test_unauthorized_of_another_type(httpd):
    """Other types of authentication are their handler's business."""
    answer = authen(httpd, "refuse", "Spam").get("x")
    assert answer.status_code == 401
    assert "WWW-Authenticate" not in answer.headers
