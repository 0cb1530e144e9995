"""Manual 4.5.3, the methods of the request object, except reading, writing and
add_handler, which have modules of their own."""

import pytest

from plugins.client import parse_responses

LIB = "PythonPath \"sys.path + ['${root}/lib']\"\n"

AUTH = """
    AuthType Basic
    AuthName "the realm"
    """


def test_add_common_vars(httpd):
    """add_common_vars fills subprocess_env with what CGI programs know."""
    server = httpd()
    before, env = server.run(
        """
        before = "SERVER_SOFTWARE" in req.subprocess_env
        req.add_common_vars()
        return [before, dict(req.subprocess_env)]
        """,
        headers={"X-Spam": "eggs"},
    )
    assert before is False
    assert env["SERVER_NAME"] == "127.0.0.1"  # what the Host header says
    assert env["SERVER_PORT"] == str(server.port)
    assert env["REMOTE_ADDR"] == "127.0.0.1"
    assert env["HTTP_X_SPAM"] == "eggs"
    assert env["DOCUMENT_ROOT"] == str(server.htdocs)


def test_allow_methods(httpd):
    """allow_methods adds names to allowed_methods; with reset it starts anew."""
    value = httpd.run(
        """
        req.allow_methods(["GET", "POST"])
        first = sorted(req.allowed_methods)
        req.allow_methods(["SPAM"])
        second = [sorted(req.allowed_methods), list(req.allowed_xmethods)]
        req.allow_methods(["PUT"], 1)
        return [first, second, list(req.allowed_methods), req.allowed == 1 << apache.M_PUT]
        """
    )
    assert value[0] == ["GET", "POST"]
    assert "SPAM" in value[1][0] + value[1][1]
    assert value[2:] == [["PUT"], True]


def test_allow_header(httpd):
    """The methods allowed are in the Allow header of a 405; one of its own Apache has to know."""
    site = httpd("RegisterHttpMethod SPAM").site(
        "SetHandler python-program\nPythonHandler allow",
        {
            "allow.py": """
                from mod_python import apache

                def handler(req):
                    req.allow_methods(["GET", "SPAM"], reset=1)
                    return apache.HTTP_METHOD_NOT_ALLOWED
                """
        },
    )
    answer = site.post("x")
    assert answer.status_code == 405
    allow = {name.strip() for name in answer.headers["Allow"].split(",")}
    assert {"GET", "SPAM"} <= allow
    assert "POST" not in allow


def test_allowed_bitmask(httpd):
    """apache.allow_methods makes what req.allowed is assigned."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler mask",
        {
            "mask.py": """
                from mod_python import apache

                def handler(req):
                    req.allowed = apache.allow_methods(apache.M_PUT, apache.M_DELETE)
                    return apache.HTTP_NOT_IMPLEMENTED
                """
        },
    )
    answer = site.get("x")
    assert answer.status_code == 501
    assert {"PUT", "DELETE"} <= {name.strip() for name in answer.headers["Allow"].split(",")}


def test_document_root(httpd):
    """document_root is DocumentRoot."""
    server = httpd()
    assert server.run("return req.document_root()") == str(server.htdocs)


def test_basic_auth_password(httpd):
    """get_basic_auth_pw is the password given, and req.user the name."""
    code = "return [req.get_basic_auth_pw(), req.user]"
    assert httpd.run(code, config=AUTH, auth=("spam", "eggs")) == ["eggs", "spam"]


def test_basic_auth_password_absent(httpd):
    """Without credentials there is no password."""
    assert httpd.run("return req.get_basic_auth_pw()", config=AUTH) is None
    assert httpd.run("return req.get_basic_auth_pw()") is None


def test_basic_auth_password_bytes(httpd):
    """Name and password are ISO-8859-1."""
    value = httpd.run(
        "return [req.get_basic_auth_pw(), req.user]", config=AUTH, auth=(b"sp\xe4m", b"\xe9ggs")
    )
    assert value == ["égg" + "s", "späm"]


def test_get_config(httpd):
    """get_config has the directives in effect, without handlers and options."""
    config = httpd.run(
        "return dict(req.get_config())",
        config="""
            PythonDebug On
            PythonAutoReload Off
            PythonInterpreter configured
            PythonOption spam eggs
            PythonPath "sys.path + ['/nowhere']"
            """,
    )
    assert config["PythonDebug"] == "1"
    assert config["PythonAutoReload"] == "0"
    assert config["PythonInterpreter"] == "configured"
    assert config["PythonPath"] == "sys.path + ['/nowhere']"
    assert not {"PythonOption", "PythonHandler", "spam"} & set(config)


def test_get_config_is_a_table(httpd):
    """get_config and get_options answer tables."""
    assert (
        httpd.run("return [str(type(req.get_config())), str(type(req.get_options()))]")
        == ["<class 'mp_table'>"] * 2
    )


def test_get_config_merges(httpd):
    """An inner Off beats an outer On; what is not given inside is inherited."""
    server = httpd("PythonDebug On\nPythonAutoReload Off")
    config = server.run("return dict(req.get_config())", config="PythonDebug Off")
    assert (config["PythonDebug"], config["PythonAutoReload"]) == ("0", "0")


def test_get_remote_host(httpd):
    """get_remote_host answers according to its type."""
    value = httpd.run(
        """
        return [
            req.get_remote_host(),
            req.get_remote_host(apache.REMOTE_HOST),
            req.get_remote_host(apache.REMOTE_NOLOOKUP),
            req.get_remote_host(apache.REMOTE_NAME, None),
            req.get_remote_host(apache.REMOTE_NAME, 1),
        ]
        """
    )
    assert value[:4] == ["127.0.0.1", None, "127.0.0.1", "127.0.0.1"]
    address, is_ip = value[4]
    assert address == "127.0.0.1" and is_ip


def test_get_options(httpd):
    """get_options has the PythonOption values."""
    assert httpd.run("return req.get_options()['spam']", config="PythonOption spam eggs") == "eggs"


def test_internal_redirect(httpd):
    """internal_redirect runs another URI's phases; its request knows where it comes
    from, and the first one where it went."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler redirecting",
        {
            "redirecting.py": """
                from mod_python import apache

                def handler(req):
                    if req.prev is None:
                        req.spam = "eggs"
                        req.internal_redirect(req.uri.replace("from", "to") + "?a=b")
                        apache.log_error("went to " + req.next.uri, apache.APLOG_NOTICE)
                    else:
                        req.write("%s %s %s" % (req.prev.uri[-4:], req.args, req.prev.spam))
                        req.prev.write(" prev")
                    return apache.OK
                """
        },
    )
    assert site.get("from").text == "from a=b eggs prev"
    assert site.expect_log("went to /").message.endswith("/to")


def test_internal_redirect_to_a_file(httpd):
    """The other URI may be a file of Apache's."""
    site = httpd.site(
        "<Files from>\nSetHandler python-program\nPythonHandler away\n</Files>",
        {
            "page.txt": "a page\n",
            "from": "",
            "away.py": """
                from mod_python import apache

                def handler(req):
                    req.internal_redirect(req.uri.replace("from", "page.txt"))
                    return apache.OK
                """,
        },
    )
    assert site.get("from").text == "a page\n"


REDIRECTS = """
    from mod_python import apache

    def redirect(req, *unused):
        try:
            req.internal_redirect(f"{req.uri.rpartition('/')[0]}/page.txt")
        except RuntimeError as error:
            req.log_error(str(error), apache.APLOG_NOTICE)

    def once(req):
        redirect(req)
        return apache.OK

    def fixuphandler(req):
        return once(req) if req.args == "fixup" else apache.OK

    def loghandler(req):
        return once(req) if req.args == "log" else apache.OK

    def outputfilter(filter):
        if filter.req.args == "filter":
            redirect(filter.req)
        filter.pass_on()

    def handler(req):
        if req.args in ("twice", "error"):
            redirect(req)
        if req.args == "twice":
            redirect(req)
        elif req.args == "cleanup":
            req.register_cleanup(redirect, req)
        elif req.args == "error":
            raise ValueError("too late")
        req.write("own page", 0)
        return apache.OK
    """


@pytest.mark.parametrize(
    "where, body, log",
    [
        ("twice", b"a page", "cannot redirect when the response is over"),
        ("fixup", b"a page", None),
        ("error", b"a page", "ValueError: too late"),
        ("log", b"own page", "cannot redirect when the response is over"),
        ("cleanup", b"own page", "cannot redirect when the response is over"),
        ("filter", b"own page", "cannot redirect in an output filter"),
    ],
)
def test_internal_redirect_adds_no_response(httpd, where, body, log):
    """Wherever it is called from, nothing follows the end of the response: the client would take
    that for the answer to its next request."""
    server = httpd(LIB + "PythonOutputFilter redirects SPAM", {"lib/redirects.py": REDIRECTS})
    site = server.site(
        """
        <Files x>
            SetHandler python-program
            PythonHandler redirects
            PythonFixupHandler redirects
            PythonLogHandler redirects
            SetOutputFilter SPAM
        </Files>
        <Files plain>
            PythonFixupHandler redirects
        </Files>
        """,
        {"page.txt": "a page", "x": "", "plain": "own page"},
    )
    file = "plain" if where == "fixup" else "x"
    first = f"GET {site.prefix}{file}?{where} HTTP/1.1\r\nHost: x\r\n\r\n"
    last = f"GET {site.prefix}page.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with site.connect() as connection:
        connection.send((first + last).encode())
        data = connection.read_all()
    wanted = [body] if where == "error" else [body, b"a page"]
    assert [answer.body for answer in parse_responses(data, ["GET"] * len(wanted))] == wanted
    assert data.count(b"page") == len(wanted), data
    if log:
        site.expect_log(log)


def test_internal_redirect_wrong_argument(httpd):
    """The new URI must be a str."""
    assert (
        httpd.run(
            """
        try:
            req.internal_redirect(1)
        except TypeError:
            return "refused"
        """
        )
        == "refused"
    )


def test_subrequest_knows_its_main_request(httpd):
    """In a sub-request req.main is the main request's own object."""
    site = httpd(modules=("include",)).site(
        """
        AddType text/html .shtml
        AddOutputFilter INCLUDES .shtml
        PythonFixupHandler main::fixup
        <Files part>
            SetHandler python-program
            PythonHandler main
        </Files>
        """,
        {
            "page.shtml": '<!--#include virtual="part" -->',
            "part": "",
            "main.py": """
                from mod_python import apache

                def fixup(req):
                    if req.main is None:
                        req.spam = "eggs"
                    return apache.OK

                def handler(req):
                    req.write("%s %s" % (req.main.uri.rpartition("/")[2], req.main.spam))
                    return apache.OK
                """,
        },
    )
    assert site.get("page.shtml").text == "page.shtml eggs"


def test_main_prev_next_are_none(httpd):
    """Without redirect or sub-request they are None."""
    assert httpd.run("return [req.main, req.prev, req.next]") == [None, None, None]


CLEANUP = """
    from mod_python import apache

    def handler(req):
        req.register_cleanup(first, "data")
        req.register_cleanup(second)
        req.register_cleanup(third, req)
        req.write("x")
        return apache.OK

    def first(data):
        apache.log_error("first " + data, apache.APLOG_NOTICE)

    def second(data):
        raise ValueError("in a cleanup: %r" % data)

    def third(req):
        apache.log_error("third " + req.method, apache.APLOG_NOTICE)
    """


def test_register_cleanup(httpd):
    """Cleanups run at the end of the request with their data; an error is logged and
    stops neither the others nor the response."""
    site = httpd.site("SetHandler python-program\nPythonHandler cleanup", {"cleanup.py": CLEANUP})
    answer = site.get("x")
    assert (answer.status_code, answer.text) == (200, "x")
    site.expect_log("first data")
    assert "in a cleanup: None" in site.expect_log("KK0107.*ValueError").message
    site.expect_log("third GET")


def test_cleanups_run_in_reverse(httpd):
    """The last that was registered is the first to run, as Apache calls the cleanups of a pool."""
    code = """
        from mod_python import apache

        def handler(req):
            for n in range(3):
                req.register_cleanup(note, n)
            return apache.OK

        def note(n):
            apache.log_error(f"cleanup {n}", apache.APLOG_NOTICE)
        """
    site = httpd.site("SetHandler python-program\nPythonHandler reverse", {"reverse.py": code})
    site.get("x")
    site.expect_log("cleanup [0-2]", times=3)
    noted = [r.message for r in site.server.error_log.recent() if "cleanup " in r.message]
    assert [text[-1] for text in noted] == ["2", "1", "0"]


def test_register_cleanup_refuses_what_cannot_be_called(httpd):
    """A cleanup that is not callable is a ValueError."""
    assert httpd.run(
        """
        try:
            req.register_cleanup("spam")
        except ValueError as error:
            return str(error)
        """
    )


def test_set_content_length(httpd):
    """set_content_length sets clength and the header."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler length",
        {
            "length.py": """
                from mod_python import apache

                def handler(req):
                    req.set_content_length(5)
                    req.write("12345" if req.clength == 5 else "wrong")
                    return apache.OK
                """
        },
    )
    answer = site.get("x")
    assert (answer.headers["Content-Length"], answer.text) == ("5", "12345")


def test_log_error(httpd):
    """req.log_error writes a record with the client's address."""
    server = httpd()
    server.run("req.log_error('from the request', apache.APLOG_NOTICE)\nreq.log_error('plain')")
    record = server.expect_log("from the request")
    assert record.level == "notice"
    assert "[client 127.0.0.1:" in record.message
    assert server.expect_log("plain").level == "error"


def test_discard_request_body(httpd):
    """discard_request_body throws the body away."""
    code = "return [req.discard_request_body(), req.read().decode()]"
    assert httpd.run(code, method="POST", content=b"x" * 100000) == [0, ""]


def test_requires_is_absent(httpd):
    """`requires` is gone, as in Apache 2.4."""
    assert httpd.run("return hasattr(req, 'requires')") is False


def test_optional_arguments_by_name(httpd):
    """What has a default may be given by name."""
    assert httpd.run(
        """
        done = []
        req.log_error("by name", level=apache.APLOG_NOTICE)
        req.connection.log_error("by name", level=apache.APLOG_NOTICE)
        req.server.log_error("by name", level=apache.APLOG_NOTICE)
        req.register_cleanup(lambda data: apache.log_error(data, apache.APLOG_NOTICE), data="by name")
        req.server.register_cleanup(req, done.append, data="by name")
        req.add_handler("PythonLogHandler", lambda req: apache.OK, dir="/tmp")
        req.register_output_filter("SPAM", lambda filter: None, dir="/tmp")
        req.register_input_filter("SPAM", lambda filter: None, dir="/tmp")
        req.allow_methods(["PUT"], reset=1)
        req.write(b"", flush=False)
        return [
            req.get_remote_host(type=apache.REMOTE_NOLOOKUP),
            req.get_remote_host(apache.REMOTE_NOLOOKUP, str_is_ip=1),
            req.sendfile(__file__, offset=0, len=0),
        ]
        """
    ) == ["127.0.0.1", ["127.0.0.1", 1], 0]
    httpd().expect_log("by name", times=4)
