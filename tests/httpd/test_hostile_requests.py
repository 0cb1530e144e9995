"""What clients, and who may write .htaccess files, cannot do (SECURITY.md)."""

import fnmatch
import re
from pathlib import Path

import pytest

from plugins.client import Connection

# Paths that are to lead out of the site, or to another file than they seem to.
PATHS = [
    "../x",
    "../../../../../../etc/passwd",
    "%2e%2e/%2e%2e/etc/passwd",
    ".%2e/.%2e/etc/passwd",
    "%2e%2e%2f%2e%2e%2fetc/passwd",
    "..%5c..%5cetc%5cpasswd",
    "..;/..;/etc/passwd",
    "....//....//etc/passwd",
    "./././../x",
    "%252e%252e%252fetc/passwd",
    "x%00.py",
    "x%0a.py",
    "x%ff%fe",
    "outside/secret.py",
    "outside/secret",
    "link.py",
    "hello.py%00.txt",
    "hello.py/..%2f..%2fsecret",
    "//etc/passwd",
    "os",
    "subprocess.py",
    "mod_python/util.py",
    "a" * 3000,
    "a/" * 1000,
]

SHOW = """
    import os
    from mod_python import apache

    def handler(req):
        real = os.path.realpath(req.filename)
        req.write(os.fsencode(f"handled {real} by {__file__} in {req.interpreter}"))
        return apache.OK
    """


def raw(port, request):
    """The whole answer to a request whose bytes are given."""
    with Connection(port) as connection:
        connection.send(request)
        return connection.read_all()


@pytest.fixture(params=["handler", "mod_python.publisher", "mod_python.cgihandler"])
def site(request, httpd):
    """Python for all files, and links that lead out, which Apache is told not to follow."""
    name = "shown" if request.param == "handler" else request.param
    server = httpd(
        "<Directory ${htdocs}>\nOptions -FollowSymLinks\n</Directory>", {"secret.py": "SECRET = 'leaked'\n"}
    )
    site = server.site(
        f"SetHandler python-program\nPythonHandler {name}", {"shown.py": SHOW, "sub/x.txt": "x\n"}
    )
    (site.directory / "outside").symlink_to(server.root)
    (site.directory / "link.py").symlink_to(server.root / "secret.py")
    return site


@pytest.mark.parametrize("path", PATHS)
def test_paths(site, path):
    """No path leads to a file, or a module, from outside the site."""
    request = f"GET {site.prefix}{path} HTTP/1.0\r\n\r\n".encode()
    answer = raw(site.port, request)
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split()[1])
    assert status in (200, 301, 400, 403, 404, 405, 414), answer
    assert b"leaked" not in answer and b"root:" not in answer
    if body.startswith(b"handled "):
        file = body.split()[1].decode("utf-8", "surrogateescape")
        assert file.startswith(str(site.server.htdocs)), body
    site.server.error_log._expected += site.server.error_log.find(
        "AH00036|AH00037|AH00127|AH00027|AH10244|AH00135|AH00026|AH00126|KK01[0-9]+: .*(No such|not found)"
    )


def test_interpreters_cannot_be_made_by_clients(httpd):
    """Neither host names nor paths that a client makes up make a new interpreter."""
    site = httpd("UseCanonicalName Off").site(
        "SetHandler python-program\nPythonHandler shown\nPythonInterpPerDirectory On", {"shown.py": SHOW}
    )
    seen = set()
    for n in range(20):
        for path in (f"made-up-{n}", f"made-up/{n}/x/", f"made-up-{n}.py/more"):
            answer = site.get(path, headers={"Host": f"host{n}.example"})
            seen.add(answer.text.rpartition(" in ")[2])
    assert seen == {f"{site.directory}/"}


def interpreters(server, times):
    """Where handlers say that they ran, that often."""
    server.expect_log("ran in ", times)
    return set(re.findall(r"ran in (\S+)", server.error_log.text()))


def test_proxied_urls_make_no_interpreters(httpd):
    """Under PythonInterpPerDirectory what a request is passed on to is no directory, nor is where
    mod_rewrite sends it; and nothing of that comes on sys.path."""
    code = """
        import sys
        from mod_python import apache

        def fixuphandler(req):
            assert not [each for each in sys.path if "proxy:" in each]
            apache.log_error(f"ran in {req.interpreter}", apache.APLOG_NOTICE)
            return apache.OK
        """
    server = httpd(
        """
        PythonPath "sys.path + ['${root}']"
        PythonInterpPerDirectory On
        PythonFixupHandler fixed
        <Directory "${htdocs}/moved">
            RewriteEngine On
            RewriteRule ^(.*)/x$ http://127.0.0.1:1/moved/$1/x [P]
        </Directory>
        <DirectoryMatch "moved/[0-9]*">
            PythonFixupHandler fixed
        </DirectoryMatch>
        <Directory "${htdocs}/sent">
            RewriteEngine On
            RewriteRule ^(.*)$ /missing/$1
        </Directory>
        ProxyPass /away http://127.0.0.1:1/away
        """,
        {"fixed.py": code, "htdocs/moved/x": "", "htdocs/sent/x": ""},
        modules=("proxy", "proxy_http", "rewrite"),
    )
    for n in range(5):
        for path in (f"away/{n}/x", f"moved/{n}/x"):
            assert server.get(path).status_code == 503
        assert server.get(f"sent/{n}/x").status_code == 404
    assert interpreters(server, 20) <= {"www.example.com", f"{server.htdocs}/"}
    server.error_log._expected += server.error_log.find("AH00957|AH01114")


def test_paths_too_long_make_no_interpreters(httpd):
    """Nor is a path that the system refuses to look at."""
    code = """
        from mod_python import apache

        def loghandler(req):
            apache.log_error(f"ran in {req.interpreter}", apache.APLOG_NOTICE)
            return apache.OK
        """
    server = httpd(
        """
        PythonPath "sys.path + ['${root}']"
        PythonInterpPerDirectory On
        PythonLogHandler logged
        Alias /aliased ${htdocs}
        """,
        {"logged.py": code},
    )
    for n in range(5):
        for path in (
            f"aliased/{n}/{'long/' * 1000}x",
            f"aliased/{n}/{'x' * 300}/x",
            f"{n}/{'long/' * 1000}x",
        ):
            assert server.get(path).status_code >= 400
    assert interpreters(server, 15) == {"www.example.com", f"{server.htdocs}/"}
    server.error_log._expected += server.error_log.find("AH00127|AH00036")


PATTERNS = [
    ("<LocationMatch [.]html$>", "[.]html$"),
    ('<Location ~ "[.]html$">', "[.]html$"),
    ("<Location /made*>", "/made*"),
]


@pytest.mark.parametrize(("section", "name"), PATTERNS, ids=["match", "tilde", "wildcards"])
def test_patterns_make_no_interpreters(httpd, section, name):
    """Under PythonInterpPerDirective it is the pattern that names it, not what it matches."""
    server = httpd(
        f"""
        PythonPath "sys.path + ['${{root}}']"
        {section}
            PythonInterpPerDirective On
            SetHandler python-program
            PythonHandler shown
        </{section[1:].split()[0]}>
        """,
        {"shown.py": SHOW},
    )
    seen = {server.get(f"made-up-{n}.html").text.rpartition(" in ")[2] for n in range(5)}
    assert seen == {name}


@pytest.mark.parametrize("section", [section for section, _ in PATTERNS], ids=["match", "tilde", "wildcards"])
def test_nothing_is_kept_of_what_a_pattern_matches(httpd, section):
    """Handlers, filters and applications of <Location> with a pattern do not grow with the
    URLs that clients make up."""
    code = """
        import gc
        from mod_python import apache

        def outputfilter(filter):
            while (data := filter.read()) is not None:
                if not data:
                    break
                filter.write(data)
            if data is None:
                filter.close()

        def door(req):
            req.add_handler("PythonFixupHandler", "shown::added")
            return apache.OK

        def added(req):
            assert req.hlist.location == req.uri
            return apache.OK

        def application(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            kept = [each for each in gc.get_objects() if isinstance(each, dict)]
            return [str(sum(any("made-up-" in str(key) for key in list(each)) for each in kept)).encode()]
        """
    server = httpd(
        f"""
        PythonPath "sys.path + ['${{root}}']"
        PythonOutputFilter shown PYTHON_SHOWN
        {section}
            SetHandler python-program
            PythonAccessHandler shown::door
            PythonHandler mod_python.wsgi
            PythonOption mod_python.wsgi.application shown
            SetOutputFilter PYTHON_SHOWN
            PythonOutputFilter shown PYTHON_SHOWN
        </{section[1:].split()[0]}>
        """,
        {"shown.py": code},
    )
    for n in range(10):
        answer = server.get(f"made-up-{n}.html")
        assert answer.status_code == 200
    assert answer.text == "0"


# Contexts


def listed(httpd):
    """Each directive of the module, with what Apache says about where it may stand."""
    listing = httpd.unstarted().directives()
    found = re.findall(r"^(Python\w+) \(mod_python.c\)\n.*\n\t(.*)$", listing, re.MULTILINE)
    assert len(found) > 30
    return dict(found)


# What each directive takes, so that only its place can be wrong.
ARGUMENTS = {
    "PythonOption": "key value",
    "PythonPath": "\"['/x']\"",
    "PythonImport": "x main_interpreter",
    "PythonRequestTimeout": "5",
    "PythonShutdownTimeout": "5",
    "PythonInterpPool": "2",
    "PythonInterpGIL": "Shared",
}
FLAGS = r"Python(AutoReload|Debug|EnablePdb|InterpPerDirect\w+|AllowOverride|Optimize)"


def line_of(name):
    """A line with the directive."""
    return f"{name} {ARGUMENTS.get(name) or ('Off' if re.fullmatch(FLAGS, name) else 'x')}"


@pytest.mark.only_mpm("event")
def test_what_directives_open_is_written_down(httpd):
    """SECURITY.md says it of each."""
    text = Path(__file__).parents[2].joinpath("SECURITY.md").read_text()
    rows = re.findall(r"^\| (`Python.*?) \|", text, re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`(Python[\w*]+)", row)]
    for directive in listed(httpd):
        assert any(fnmatch.fnmatchcase(directive, name) for name in names), directive


@pytest.mark.only_mpm("event")
def test_directives_of_the_server_are_refused_in_htaccess(httpd):
    """What may not stand there is an error of the request, whatever AllowOverride says."""
    names = [name for name, where in listed(httpd).items() if ".htaccess" not in where]
    assert {"PythonImport", "PythonHome", "PythonTransHandler", "PythonInputFilter"} <= set(names)
    for name in names:
        site = httpd.site(line_of(name), {"page.txt": "a page\n"})
        assert site.get("page.txt").status_code == 500, name
        site.expect_log(f"{name} not allowed here")


KINDS = ["None", "AuthConfig", "FileInfo", "Indexes", "Limit", "Options"]


# The module that line_of() names, with whatever handler a directive looks for in it.
ANY_HANDLER = """
    def __getattr__(name):
        return lambda req: 0
    """


@pytest.mark.only_mpm("event")
@pytest.mark.parametrize("kind", KINDS)
def test_override(httpd, kind):
    """`Override: not None`, says the manual: with None the file is not even read, and
    with any other all of them are allowed."""
    names = [name for name, where in listed(httpd).items() if ".htaccess" in where]
    assert {"PythonHandler", "PythonPath", "PythonDebug"} <= set(names)
    server = httpd(f'<Directory "${{htdocs}}">\nAllowOverride {kind}\n</Directory>')
    for name in names:
        site = server.site(line_of(name), {"page.txt": "a page\n", "x.py": ANY_HANDLER})
        assert site.get("page.txt").text == "a page\n", name


@pytest.mark.only_mpm("event")
def test_override_none_runs_nothing(httpd):
    """Nothing of Python's runs by an .htaccess file."""
    server = httpd('<Directory "${htdocs}">\nAllowOverride None\nSetHandler python-program\n</Directory>')
    site = server.site("PythonHandler shown\nPythonDebug On", {"shown.py": SHOW, "page.txt": "a page\n"})
    assert site.get("page.txt").text == "a page\n"


# What an error tells the client

FAILING = """
    import sys
    from mod_python import apache, util

    class Quiet(Exception):
        def __str__(self):
            raise ValueError("secret-text")

    def handler(req):
        return globals()[req.args.partition("&")[0]](req)

    def raises(req):
        secret_local = "secret-text"
        raise ValueError("secret-text " + __file__)

    def raises_oddly(req):
        raise Quiet

    def raises_group(req):
        raise ExceptionGroup("secret-text", [ValueError("secret-text")])

    def returns(req):
        return "secret-text"

    def returns_large(req):
        return 123456

    def returns_nothing(req):
        return None

    def recurses(req):
        return recurses(req)

    def exits(req):
        sys.exit("secret-text")

    def imports(req):
        import secret_text_missing

    def reads(req):
        open("/secret-text")

    def server_return(req):
        raise apache.SERVER_RETURN("secret-text")

    def after_output(req):
        req.write("partial")
        raise ValueError("secret-text")

    def evaluates(req):
        eval("secret-text secret-text")

    def encodes(req):
        req.write("\\udc80 secret-text")

    def sets(req):
        req.headers_out["X-Secret"] = "secret-text\\n"

    def form(req):
        util.FieldStorage(req, strict_parsing=1)
        raise ValueError("secret-text")

    async def coroutine(req):
        return "secret-text"
    """

PHASES = ["Init", "HeaderParser", "Access", "Type", "Fixup", "Log", "Cleanup"]
FUNCTIONS = re.findall(r"def (\w+)\(req\):", FAILING)[1:]


def assert_tells_nothing(site, answer):
    """Neither head nor body has a path, a text of the program, or a version."""
    for secret in (
        str(site.server.root),
        "secret",
        "Traceback",
        "Error:",
        "Exception",
        "KK0",
        ".py",
        "line ",
        "python/",
        "Python",
    ):
        assert secret.encode() not in answer, (secret, answer)


QUIET = "ServerTokens Prod\nServerSignature Off\nPythonOutputFilter failing::raises FAILING"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_errors_tell_nothing(httpd, function):
    """Whatever goes wrong in a handler: PythonDebug Off is the default."""
    site = httpd(QUIET).site("SetHandler python-program\nPythonHandler failing", {"failing.py": FAILING})
    request = f"GET {site.prefix}x?{function}& HTTP/1.0\r\nAccept: text/html\r\n\r\n".encode()
    assert_tells_nothing(site, raw(site.port, request).replace(f"x?{function}".encode(), b""))
    site.server.error_log._expected += site.server.error_log.find("KK01")


CONFIGURATIONS = {
    "missing module": "PythonHandler secret_missing",
    "missing object": "PythonHandler failing::secret_missing",
    "syntax error": "PythonHandler secret_syntax",
    "failing import": "PythonHandler secret_import",
    "bad path": "PythonHandler failing\nPythonPath \"['/secret'] + secret\"",
    "publisher": "PythonHandler mod_python.publisher",
    "missing application": "PythonHandler mod_python.wsgi\nPythonOption mod_python.wsgi.application secret::x",
    "failing application": "PythonHandler mod_python.wsgi\nPythonOption mod_python.wsgi.application failing::raises",
    "output filter": "PythonHandler failing\nSetOutputFilter FAILING",
} | {
    f"{phase} handler": f"Python{phase}Handler failing::raises\nPythonHandler failing::hello"
    for phase in PHASES
}


@pytest.mark.parametrize("kind", CONFIGURATIONS)
def test_misconfiguration_tells_nothing(httpd, kind):
    """Nor if it does not come to the handler."""
    files = {
        "failing.py": FAILING + "\n    def hello(req):\n        req.write('hello')\n        return 0\n",
        "secret_syntax.py": "secret secret\n",
        "secret_import.py": "import secret_text_missing\n",
    }
    site = httpd(QUIET).site("SetHandler python-program\n" + CONFIGURATIONS[kind], files)
    request = f"GET {site.prefix}x?hello HTTP/1.0\r\nAccept: text/html\r\n\r\n".encode()
    assert_tells_nothing(site, raw(site.port, request))
    found = site.server.error_log.find
    site.server.error_log._expected += found("KK01") + found("AH01071|AH0")


PAGES = {
    "secret_page.psp": "<%\nraise ValueError('secret-text')\n%>\n",
    "secret_wrong.psp": "<%\nsecret secret\n%>\n",
    "script.py": "raise ValueError('secret-text')\n",
    "header.py": "print('secret-text')\n",
    "wrong.py": "secret secret\n",
    "imports.py": "import secret_text_missing\n",
    "published.py": "def call(req, value):\n    raise ValueError('secret-text ' + value)\n",
}
STANDARD = [
    ("psp", "secret_page.psp"),
    ("psp", "secret_wrong.psp"),
    ("psp", "secret_missing.psp"),
    ("cgihandler", "script.py"),
    ("cgihandler", "header.py"),
    ("cgihandler", "wrong.py"),
    ("cgihandler", "imports.py"),
    ("publisher", "published.py/call?value=x"),
    ("publisher", "published.py/call"),
    ("publisher", "published.py/call?value=x&more=y"),
    ("publisher", "published.py/missing"),
    ("publisher", "wrong.py/x"),
    ("publisher", "imports.py/x"),
    ("testhandler", "x"),
]


@pytest.mark.parametrize(("handler", "path"), STANDARD)
def test_standard_handlers_tell_nothing(httpd, handler, path):
    """Nor if one of the handlers that come with it fails."""
    site = httpd(QUIET).site(f"SetHandler python-program\nPythonHandler mod_python.{handler}", PAGES)
    answer = raw(site.port, f"GET {site.prefix}{path} HTTP/1.0\r\nAccept: text/html\r\n\r\n".encode())
    assert int(answer.split()[1]) >= 400
    assert_tells_nothing(site, answer)
    found = site.server.error_log.find
    site.server.error_log._expected += found("KK01|AH0")
