"""Manual 4.6 and what came later: redirect(), apply_fs_data(), parse_header(), Field."""

import sys

import httpx
import pytest


def test_exports(httpd):
    """What the module has."""
    names = httpd.run("from mod_python import util\nreturn sorted(util.__all__)")
    assert names == [
        "Field",
        "FieldStorage",
        "StringField",
        "apply_fs_data",
        "parse_header",
        "parse_qs",
        "parse_qsl",
        "redirect",
    ]


def redirecting(httpd, call, config="", before=""):
    """A site whose handler redirects."""
    code = f"""
        from mod_python import apache, util

        def handler(req):
            {before}
            util.redirect(req, {call})

        def loghandler(req):
            req.log_error(f"status {{req.status}}", apache.APLOG_WARNING)
            return apache.OK

        def later(req):
            req.write("later")
            return apache.OK
        """
    setup = "SetHandler python-program\nPythonHandler go go::later\n"
    return httpd.site(setup + config, {"go.py": code})


def test_redirect(httpd):
    """302 with the location as it is, and a page with a link, escaped."""
    site = redirecting(httpd, "'/a?b=<1>&c=\"'", "ErrorDocument 302 wrong")
    response = site.get("x")
    assert (response.status_code, response.headers["Location"]) == (302, '/a?b=<1>&c="')
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert '<a href="/a?b=&lt;1&gt;&amp;c=&quot;">' in response.text
    assert "wrong" not in response.text and "later" not in response.text
    assert site.head("x").status_code == 302


def test_redirect_keeps_headers(httpd):
    """What the program has set is sent, cookies for example; what it has written is not."""
    code = """
        from mod_python import util

        def handler(req):
            req.headers_out["Set-Cookie"] = "spam=eggs"
            req.write("written", 0)
            util.redirect(req, "/home")
        """
    response = httpd.site("SetHandler python-program\nPythonHandler go", {"go.py": code}).get("x")
    assert (response.status_code, response.headers["Location"]) == (302, "/home")
    assert response.headers["Set-Cookie"] == "spam=eggs"
    assert "written" not in response.text


def test_redirect_permanently(httpd):
    """301, with a text of the program's own."""
    response = redirecting(httpd, "'http://www.example.com/x', permanent=1, text='gone'").get("x")
    assert (response.status_code, response.text) == (301, "gone")
    assert response.headers["Location"] == "http://www.example.com/x"


def test_redirect_keeps_cookies(httpd):
    """What the program has set before, cookies for instance, is sent too."""
    before = "req.headers_out.add('Set-Cookie', 'a=1'); req.headers_out.add('Set-Cookie', 'b=2')"
    response = redirecting(httpd, "'/x'", before=before).get("x")
    assert response.headers.get_list("Set-Cookie") == ["a=1", "b=2"]
    assert response.headers["Location"] == "/x"


def test_redirect_from_an_early_phase(httpd):
    """No later phase but the log runs."""
    site = redirecting(
        httpd, "'/x'", "PythonHandler go::later\nPythonFixupHandler go::handler\nPythonLogHandler go"
    )
    response = site.get("x")
    assert response.status_code == 302 and "later" not in response.text
    site.expect_log("status 302")


def test_redirect_after_output(httpd):
    """What was sent cannot be taken back; what was not is dropped."""
    response = redirecting(httpd, "'/x'", before="req.write('begun', 0)").get("x")
    assert response.status_code == 302 and "begun" not in response.text
    site = redirecting(httpd, "'/x'", before="req.write('begun')")
    with pytest.raises(httpx.RemoteProtocolError):
        site.get("x")
    site.expect_log("KK0101: .*OSError: Cannot redirect")


def test_redirect_takes_no_header(httpd):
    """A location cannot smuggle in a header line."""
    site = redirecting(httpd, r"'/x\r\nSet-Cookie: a=b'")
    response = site.get("x")
    assert response.status_code == 500 and "Set-Cookie" not in response.headers
    site.expect_log("KK0101: .*ValueError")


def test_apply_fs_data(httpd):
    """A function gets the fields it names: str, a list of several, uploads as Field."""
    code = """
        from mod_python import util
        def function(req, name, many, upload, other="-"):
            assert type(upload) is util.Field and type(name) is util.StringField
            return [name, many, upload.value.decode(), other, req.method]
        form = util.FieldStorage(req)
        return util.apply_fs_data(function, form, req=req)
        """
    data = {"name": "n", "many": ["1", "2"], "unknown": "u", "req": "forged"}
    got = httpd.run(code, method="POST", data=data, files={"upload": ("f", b"content")})
    assert got == ["n", ["1", "2"], "content", "-", "POST"]


def test_parse_header(httpd):
    """It is there for programs too."""
    got = httpd.run("from mod_python import util\nreturn util.parse_header('Text/Plain; A=\"b;c\"')")
    assert got == ["text/plain", {"a": "b;c"}]


def test_another_environment(httpd):
    """What forms need is there even if PythonHome names an environment that lacks it."""
    server = httpd(f'PythonHome "{sys.base_prefix}"')
    code = "from mod_python import util\nreturn util.FieldStorage(req)['a'].value.decode()"
    assert server.run(code, method="POST", files={"a": ("f", b"spam")}) == "spam"


FIRST_FIELD = "from mod_python import util\nreturn util.FieldStorage(req)['a'].value.decode()"


def test_a_path_without_the_environment(httpd):
    """What forms need is there even if PythonPath leaves out where it is installed."""
    server = httpd("PythonPath \"[path for path in sys.path if 'site-packages' not in path]\"")
    assert server.run(FIRST_FIELD, method="POST", files={"a": ("f", b"spam")}) == "spam"


def test_another_version_in_front(httpd):
    """A program may have its own version of what forms need, and it gets that."""
    server = httpd("PythonPath \"['${root}/lib', *sys.path]\"", {"lib/multipart.py": "__version__ = '0.1'\n"})
    code = FIRST_FIELD.replace("return", "import multipart\nreturn multipart.__version__ +")
    assert server.run(code, method="POST", files={"a": ("f", b"spam")}) == "0.1spam"
