"""Manual 4.2, Overview of a Request Handler."""

import pytest

HANDLER = "SetHandler python-program\nPythonHandler statuses"

STATUSES = """
    from mod_python import apache

    def handler(req):
        name, _, how = req.args.partition("&")
        status = getattr(apache, name)
        if how == "raise":
            raise apache.SERVER_RETURN(status)
        return status
    """

ERRORS = {
    "HTTP_BAD_REQUEST": 400,
    "HTTP_PAYMENT_REQUIRED": 402,
    "HTTP_FORBIDDEN": 403,
    "HTTP_NOT_FOUND": 404,
    "HTTP_METHOD_NOT_ALLOWED": 405,
    "HTTP_NOT_ACCEPTABLE": 406,
    "HTTP_CONFLICT": 409,
    "HTTP_GONE": 410,
    "HTTP_UNSUPPORTED_MEDIA_TYPE": 415,
    "HTTP_LOCKED": 423,
    "HTTP_INTERNAL_SERVER_ERROR": 500,
    "HTTP_NOT_IMPLEMENTED": 501,
    "HTTP_BAD_GATEWAY": 502,
    "HTTP_SERVICE_UNAVAILABLE": 503,
    "HTTP_INSUFFICIENT_STORAGE": 507,
}


@pytest.mark.parametrize("how", ["return", "raise"])
@pytest.mark.parametrize(("name", "status"), ERRORS.items())
def test_error_status(httpd, name, status, how):
    """An HTTP error, returned or raised with SERVER_RETURN, is the response's status."""
    site = httpd.site(HANDLER, {"statuses.py": STATUSES})
    assert site.get(f"x?{name}&{how}").status_code == status


def test_ok(httpd):
    """OK: what was written is the response."""
    assert httpd.site(HANDLER, {"statuses.py": STATUSES}).get("x?OK").status_code == 200


def test_server_return_ok(httpd):
    """SERVER_RETURN may carry OK, and DONE."""
    site = httpd.site(HANDLER, {"statuses.py": STATUSES})
    assert site.get("x?OK&raise").status_code == 200
    assert site.get("x?DONE&raise").status_code == 200


def test_declined(httpd):
    """DECLINED, returned or raised: Apache's default handler serves the file."""
    site = httpd.site(HANDLER, {"statuses.py": STATUSES, "page.txt": "a file\n"})
    assert site.get("page.txt?DECLINED").text == "a file\n"
    assert site.get("page.txt?DECLINED&raise").text == "a file\n"


def test_redirect(httpd):
    """A redirection status with a Location header."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler moved",
        {
            "moved.py": """
                from mod_python import apache

                def handler(req):
                    req.headers_out["Location"] = "http://www.example.com/there"
                    return apache.HTTP_MOVED_TEMPORARILY
                """
        },
    )
    answer = site.get("x")
    assert answer.status_code == 302
    assert answer.headers["Location"] == "http://www.example.com/there"


def test_status_set_on_the_request(httpd):
    """req.status with OK: the body written goes with that status."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler created",
        {
            "created.py": """
                from mod_python import apache

                def handler(req):
                    req.status = apache.HTTP_CREATED
                    req.write("made")
                    return apache.OK
                """
        },
    )
    answer = site.get("x")
    assert (answer.status_code, answer.text) == (201, "made")


def test_minimal_handler(httpd):
    """The example of the chapter."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler minimal::requesthandler",
        {
            "minimal.py": """
                from mod_python import apache

                def requesthandler(req):
                    req.content_type = "text/plain"
                    req.write("Hello World!")
                    return apache.OK
                """
        },
    )
    answer = site.get("x")
    assert answer.text == "Hello World!"
    assert answer.headers["Content-Type"] == "text/plain"


def test_client_data(httpd):
    """A POST body is read with req.read()."""
    assert httpd.run("return req.read().decode()", method="POST", content=b"spam") == "spam"


def test_request_object_is_the_argument(httpd):
    """A handler gets one argument, an mp_request."""
    assert httpd.run("return str(type(req))") == "<class 'mp_request'>"


def test_server_level_directive_adds_no_directory(httpd):
    """A directive outside any directory leaves sys.path alone: the module must be on
    it already."""
    server = httpd(
        "SetHandler python-program\nPythonHandler not_on_path",
        {"htdocs/not_on_path.py": "def handler(req): return 0\n"},
    )
    assert server.get("x").status_code == 500
    server.expect_log("KK0104: PythonHandler not_on_path: ModuleNotFoundError")
