"""Manual 5.1.2, PythonPostReadRequestHandler."""

import pytest

from plugins.client import parse_responses

CONFIG = """
    PythonPath "sys.path + ['${root}/lib']"
    PythonPostReadRequestHandler early
    """

EARLY = """
    from mod_python import apache

    def postreadrequesthandler(req):
        req.headers_in["X-Seen"] = "%s %s %s" % (req.phase, req.filename, req.interpreter)
        if "X-Refuse" in req.headers_in:
            return apache.HTTP_SERVICE_UNAVAILABLE
        return apache.OK
    """


def test_called_for_all_requests(httpd):
    """It runs for every request, before there is a file name, and may decide by the
    headers."""
    server = httpd(CONFIG, {"lib/early.py": EARLY, "htdocs/page.txt": "a file\n"})
    assert server.get("page.txt").text == "a file\n"
    assert server.get("page.txt", headers={"X-Refuse": "1"}).status_code == 503
    assert server.get("no-such-file").status_code == 404


def test_sees_no_file_name(httpd):
    """req.filename is None then; the phase has its name; the interpreter is the
    server's."""
    server = httpd(CONFIG, {"lib/early.py": EARLY})
    seen = server.run("return req.headers_in['X-Seen']")
    assert seen == "PythonPostReadRequestHandler None www.example.com"


def test_main_interpreter_with_interp_per_directory(httpd):
    """With PythonInterpPerDirectory On it runs in the main interpreter."""
    server = httpd(CONFIG + "PythonInterpPerDirectory On\n", {"lib/early.py": EARLY})
    seen = server.run("return req.headers_in['X-Seen']")
    assert seen == "PythonPostReadRequestHandler None main_interpreter"


def test_headers_set_early_are_sent(httpd):
    """What it puts into headers_out goes with the response."""
    code = "def postreadrequesthandler(req):\n    req.headers_out['X-Early'] = '1'\n    return 0\n"
    server = httpd(CONFIG, {"lib/early.py": code, "htdocs/page.txt": ""})
    assert server.get("page.txt").headers["X-Early"] == "1"


@pytest.mark.parametrize("directive", ["PythonPostReadRequestHandler", "PythonInitHandler"])
@pytest.mark.parametrize("status", [201, 299, 404])
def test_status_set_early(httpd, directive, status):
    """What it assigns to req.status is that of the response: Apache would drop the request."""
    code = f"def early(req):\n    req.status = {status}\n    return 0\n"
    config = f"PythonPath \"sys.path + ['${{root}}/lib']\"\n{directive} early::early\n"
    server = httpd(config, {"lib/early.py": code, "htdocs/page.txt": "a file"})
    answer = server.get("page.txt")
    assert (answer.status_code, answer.text) == (status, "a file")


def test_status_set_early_of_what_is_rewritten(httpd):
    """Also where a module that comes first ends the translation."""
    config = CONFIG + "RewriteEngine On\nRewriteRule ^/old$ ${htdocs}/page.txt\n"
    code = "def postreadrequesthandler(req):\n    req.status = 201\n    return 0\n"
    server = httpd(config, {"lib/early.py": code, "htdocs/page.txt": "a file"}, modules=("rewrite",))
    answer = server.get("old")
    assert (answer.status_code, answer.text) == (201, "a file")


def test_internal_redirect(httpd):
    """Its response is the connection's last, as Apache has it, and says so."""
    code = """
        def postreadrequesthandler(req):
            if req.prev is None:
                req.internal_redirect("/page.txt")
            return 0
        """
    server = httpd(CONFIG, {"lib/early.py": code, "htdocs/page.txt": "a file"})
    with server.connect() as connection:
        connection.send(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        [answer] = parse_responses(connection.read_all(), ["GET"])
    assert (answer.status, answer.body) == (200, b"a file")
    assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize("section", ["Directory /x", "Location /x", "Files x"])
def test_not_allowed_in_sections(httpd, section):
    """Inside a section it is a configuration error."""
    close = section.split()[0]
    status, text = httpd.configtest(f"<{section}>\nPythonPostReadRequestHandler early\n</{close}>\n")
    assert status != 0
    assert "line 2 of" in text and "PythonPostReadRequestHandler" in text


def test_not_allowed_in_htaccess(httpd):
    """In .htaccess likewise, at the request."""
    site = httpd.site("PythonPostReadRequestHandler early", {"page.txt": ""})
    assert site.get("page.txt").status_code == 500
    assert "PythonPostReadRequestHandler" in site.expect_log("[.]htaccess").message


def test_no_extensions(httpd):
    """`| .ext` is a configuration error."""
    status, text = httpd.configtest("PythonPostReadRequestHandler early | .py")
    assert status != 0
    assert "line 1 of" in text


def test_virtual_host(httpd):
    """A virtual host has its own, instead of the main server's."""
    config = (
        CONFIG
        + """
        <VirtualHost *:${port}>
            ServerName one.example
            DocumentRoot "${htdocs}"
            PythonPostReadRequestHandler early::other
        </VirtualHost>
        """
    )
    code = EARLY + "\n    def other(req):\n        return 410\n"
    server = httpd(config, {"lib/early.py": code, "htdocs/page.txt": ""})
    assert server.get("page.txt", headers={"Host": "one.example"}).status_code == 410
