"""The environ of WSGI applications, its wsgi.input, and where applications are found."""

import json
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest

from plugins.installation import SANITIZED
from plugins.tls import TLS, TLSConnection, certificate
from plugins.wsgi_sites import CONFIG, answer_of, site_of

SHOW = """
import json
import textwrap
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({key: value if type(value) in (str, bool, tuple) else type(value).__name__
                        for key, value in environ.items()}).encode()]
"""


@pytest.mark.parametrize("validated", [False, True])
def test_environ(httpd, validated):
    """CGI's variables, all of them plain str, and WSGI's."""
    # In an interpreter of its own: where scripts of CGI run, sys.stderr is another.
    site = site_of(httpd, SHOW, validated=validated, config="PythonInterpreter environ\n")
    environ = site.post("a%20b/c?q=1&r=%20", content=b"body", headers={"X-One": "1", "Content-Type": "t/x"})
    found = environ.json()
    assert found["REQUEST_METHOD"] == "POST"
    assert found["SCRIPT_NAME"] == ""
    assert found["PATH_INFO"] == f"{site.prefix}a b/c"
    assert found["QUERY_STRING"] == "q=1&r=%20"
    assert found["REQUEST_URI"] == f"{site.prefix}a%20b/c?q=1&r=%20"
    assert found["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert found["SERVER_PORT"] == str(site.port)
    assert (found["CONTENT_TYPE"], found["CONTENT_LENGTH"]) == ("t/x", "4")
    assert found["HTTP_X_ONE"] == "1"
    assert {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"}.isdisjoint(found)
    assert found["wsgi.version"] == [1, 0]
    assert found["wsgi.url_scheme"] == "http"
    assert found["wsgi.run_once"] is False
    assert found["wsgi.input"] == ("InputWrapper" if validated else "mp_request")
    assert found["wsgi.errors"] == ("ErrorWrapper" if validated else "LogStream")


def test_mpm(httpd, mpm):
    """wsgi.multithread and wsgi.multiprocess are what the MPM says."""
    found = site_of(httpd, SHOW).get("x").json()
    assert (found["wsgi.multithread"], found["wsgi.multiprocess"]) == (mpm == "event", True)


def test_text_is_latin1(httpd):
    """Each byte of path and headers is a character (PEP 3333, Unicode Issues)."""
    site = site_of(httpd, SHOW)
    found = site.get("sp%C3%A4m", headers={b"X-One": b"\xe4"}).json()
    assert found["PATH_INFO"].encode("latin-1").decode() == f"{site.prefix}späm"
    assert found["HTTP_X_ONE"] == "\xe4"


def test_requests_do_not_see_each_other(httpd):
    """What one request's environ had, and what was done to it, the next one's has not."""
    code = SHOW + (
        "def wrap(inner):\n"
        "    def outer(environ, start_response):\n"
        "        result = inner(environ, start_response)\n"
        "        environ.update(HTTP_USER_AGENT='changed', LEFT='behind')\n"
        "        return result\n"
        "    return outer\n"
        "application = wrap(application)\n"
    )
    site = site_of(httpd, code)
    first = site.get("x", headers={"User-Agent": "one", "Accept-Language": "mi", "Cookie": "c=1"}).json()
    assert (first["HTTP_USER_AGENT"], first["HTTP_ACCEPT_LANGUAGE"]) == ("one", "mi")
    for _ in range(2):
        second = site.raw(f"HEAD {site.prefix} HTTP/1.0\r\n\r\n".encode(), "HEAD")
        assert second.status == 200
        raw = site.raw(f"GET {site.prefix}y HTTP/1.0\r\n\r\n".encode())
        found = json.loads(raw.body)
        names = {"HTTP_USER_AGENT", "HTTP_ACCEPT_LANGUAGE", "HTTP_COOKIE", "HTTP_HOST", "HTTP_ACCEPT", "LEFT"}
        assert names.isdisjoint(found)
        assert found["SERVER_PROTOCOL"] == "HTTP/1.0"
    third = site.get("x", headers={"User-Agent": "three"}).json()
    assert third["HTTP_USER_AGENT"] == "three"


AMID = """
import gc, threading
from mod_python import apache

begun, made = threading.Event(), threading.Event()
caller = None

def collecting(phase, info):
    global caller
    if threading.get_ident() == caller:
        caller = None
        begun.set()
        made.wait(5)

def handler(req):
    global caller
    if req.args == "during":
        begun.wait(5)
        agent = req.build_wsgi_env()["HTTP_USER_AGENT"]
        made.set()
    elif req.args == "collect":
        kept = [{} for _ in range(200)]  # those that CPython would use again
        before = gc.get_threshold()
        gc.callbacks.append(collecting)
        caller = threading.get_ident()
        gc.set_threshold(1)
        agent = req.build_wsgi_env()["HTTP_USER_AGENT"]
        gc.set_threshold(*before)
        gc.callbacks.remove(collecting)
        caller = None
        begun.set()
    else:
        agent = req.build_wsgi_env()["HTTP_USER_AGENT"]
    req.write(agent)
    return apache.OK
"""


@pytest.mark.only_mpm("event")
def test_garbage_collected_amid_the_making(httpd):
    """It lets another request make its environ; each has its own values nevertheless."""
    site = httpd.site("SetHandler python-program\nPythonHandler amid", {"amid.py": AMID})
    assert site.get("x", headers={"User-Agent": "one"}).text == "one"
    with ThreadPoolExecutor() as executor:
        during = executor.submit(site.get, "x?during", headers={"User-Agent": "two"})
        assert site.get("x?collect", headers={"User-Agent": "two"}).text == "two"
        assert during.result().text == "two"


def test_long_values(httpd):
    """A value too long to be kept for the next request is nevertheless right, in turn
    with short ones."""
    site = site_of(httpd, SHOW)
    for agent in ("short", "x" * 3000, "short", "", "y" * 3000):
        assert site.get("x", headers={"User-Agent": agent}).json()["HTTP_USER_AGENT"] == agent


def test_empty_values(httpd):
    """What is empty is there as "", whatever it was before and in the configuration."""
    option = "PythonOption mod_python.wsgi.base_uri /{}/x\n"
    site = httpd.site(files={"app.py": SHOW})
    name = site.prefix.strip("/")
    for config in ("", "SetEnv QUERY_STRING lie\nSetEnv PATH_INFO lie\n"):
        site.write(".htaccess", textwrap.dedent(CONFIG) + option.format(name) + config)
        for target in ("x/y?a=1", "x", "x/y", "x?b", "x?", "x/"):
            path, _, query = target.partition("?")
            found = site.get(target).json()
            assert (found["QUERY_STRING"], found["PATH_INFO"]) == (query, path[1:]), target


def test_variables_of_the_configuration(httpd):
    """SetEnv reaches the application, and what it says beats nothing of CGI's."""
    site = site_of(httpd, SHOW, config="SetEnv MY_OWN value\nSetEnv REQUEST_METHOD lie\n")
    found = site.get("x").json()
    assert (found["MY_OWN"], found["REQUEST_METHOD"]) == ("value", "GET")


def test_authorization(httpd):
    """The application sees the credentials, which CGI scripts do not."""
    found = site_of(httpd, SHOW).get("x", headers={"Authorization": "Bearer x"}).json()
    assert found["HTTP_AUTHORIZATION"] == "Bearer x"


@pytest.mark.parametrize(("value", "scheme"), [("on", "https"), ("1", "https"), ("off", "http")])
def test_scheme_behind_a_proxy(httpd, value, scheme):
    """HTTPS in Apache's environment says what a proxy in front has."""
    site = site_of(httpd, SHOW, config=f"SetEnv HTTPS {value}\n")
    assert site.get("x").json()["wsgi.url_scheme"] == scheme


def test_scheme_over_tls(httpd):
    """Over TLS it is https."""
    server = httpd(
        TLS + '<Location "/app">\nSetHandler python-program\nPythonHandler mod_python.wsgi\n'
        "PythonPath \"sys.path + [r'${root}/py']\"\n"
        "PythonOption mod_python.wsgi.application scheme_app\n</Location>\n",
        {"py/scheme_app.py": SHOW, **certificate()},
        modules=("ssl",),
    )
    with TLSConnection(server.port) as connection:
        connection.send(b"GET /app/x HTTP/1.0\r\nHost: www.example.com\r\n\r\n")
        found = json.loads(connection.read_all().partition(b"\r\n\r\n")[2])
    assert found["wsgi.url_scheme"] == "https"
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("/app", "/x")


MOUNTS = """
    PythonPath "sys.path + [r'${root}/py']"
    PythonOption mod_python.wsgi.application mounted_app
    <Location "/mount">
        SetHandler python-program
        PythonHandler mod_python.wsgi
    </Location>
    <Location "/slash/">
        SetHandler python-program
        PythonHandler mod_python.wsgi
    </Location>
    <LocationMatch "^/match">
        SetHandler python-program
        PythonHandler mod_python.wsgi
    </LocationMatch>
    <Location "/wild?/*">
        SetHandler python-program
        PythonHandler mod_python.wsgi
    </Location>
    <Location "/based">
        SetHandler python-program
        PythonHandler mod_python.wsgi
        PythonOption mod_python.wsgi.base_uri /based/on
    </Location>
    <Location "/bad">
        SetHandler python-program
        PythonHandler mod_python.wsgi
        PythonOption mod_python.wsgi.base_uri /bad/
    </Location>
    """


@pytest.mark.parametrize(
    ("path", "script", "info"),
    [
        ("mount", "/mount", ""),
        ("mount/", "/mount", "/"),
        ("mount/a/b", "/mount", "/a/b"),
        ("slash/a", "/slash", "/a"),
        ("match/a", "", "/match/a"),
        ("wild1/a", "", "/wild1/a"),
        ("based/on/a", "/based/on", "/a"),
        ("based/on", "/based/on", ""),
    ],
)
def test_mount(httpd, path, script, info):
    """SCRIPT_NAME is base_uri, or else the Location's path; PATH_INFO is the rest."""
    server = httpd(MOUNTS, {"py/mounted_app.py": SHOW})
    found = server.get(path).json()
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == (script, info)


@pytest.mark.parametrize("path", ["based/onward", "based", "based/o"])
def test_outside_the_base(httpd, path):
    """What is not below base_uri is not the application's: a warning, and Apache's answer."""
    server = httpd(MOUNTS, {"py/mounted_app.py": SHOW})
    assert server.get(path).status_code == 404
    assert server.expect_log(f"KK0151: /{path} is not below .* /based/on$").level == "warn"


def test_base_that_ends_in_a_slash(httpd):
    """It is a ValueError."""
    server = httpd(MOUNTS, {"py/mounted_app.py": SHOW})
    assert server.get("bad/x").status_code == 500
    server.expect_log("KK0101: .*ValueError: .*base_uri must not end in '/': /bad/")


def test_build_wsgi_env(httpd):
    """Any handler can have the environ, or None outside the base."""
    body = """
        environ = req.build_wsgi_env()
        return [type(environ).__name__, environ["PATH_INFO"] == req.uri, environ["wsgi.input"] is req,
                environ["wsgi.version"] == (1, 0)]
        """
    assert httpd.run(body) == ["dict", True, True, True]
    config = "PythonOption mod_python.wsgi.base_uri /elsewhere"
    assert httpd.run("return req.build_wsgi_env()", config=config) is None


def test_option_of_an_earlier_handler(httpd):
    """What a handler puts into req.get_options() counts for the request."""
    code = SHOW + (
        "def fixuphandler(req):\n    req.get_options()['mod_python.wsgi.base_uri'] = req.uri\n    return 0\n"
    )
    found = site_of(httpd, code, config="PythonFixupHandler app\n").get("x").json()
    assert found["PATH_INFO"] == ""


# Where applications are found

HELLO = "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'{}']\n"


def configured(option):
    return f"SetHandler python-program\nPythonHandler mod_python.wsgi\n{option}\n"


@pytest.mark.parametrize(
    "name", ["named", "named::application", "named::other", "package.part::holder.inner"]
)
def test_names(httpd, name):
    """module, module::callable, dotted on either side."""
    files = {
        "named.py": HELLO.format("named") + "other = application\n",
        "package/__init__.py": "",
        "package/part.py": HELLO.format("named") + "class holder:\n    inner = staticmethod(application)\n",
    }
    site = httpd.site(configured(f"PythonOption mod_python.wsgi.application {name}"), files)
    assert site.get("x").text == "named"


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("", "is not set"),
        ("PythonOption mod_python.wsgi.application", "is not set"),
        ("PythonOption mod_python.wsgi.application no_such", "no module named 'no_such'"),
        ("PythonOption mod_python.wsgi.application named::nothing", "contains no 'nothing'"),
        ("PythonOption mod_python.wsgi.application named::application.nothing", "contains no"),
    ],
)
def test_not_found(httpd, option, text):
    """No application: a warning, and Apache's answer."""
    site = httpd.site(configured(option), {"named.py": HELLO, "file.txt": "Apache's"})
    assert site.get("x").status_code == 404
    assert site.get("file.txt").text == "Apache's"
    assert site.expect_log(f"KK0150: .*{text}", times=2).level == "warn"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import no_such_module\n", "no_such_module"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("x = (\n", "SyntaxError"),
    ],
)
def test_module_that_fails(httpd, code, error):
    """A module that is there and cannot be imported is an error."""
    site = httpd.site(configured("PythonOption mod_python.wsgi.application named"), {"named.py": code})
    assert site.get("x").status_code == 500
    site.expect_log(f"KK0101: .*{error}")


def test_not_callable(httpd):
    """So is an application that cannot be called."""
    option = "PythonOption mod_python.wsgi.application named::thing"
    site = httpd.site(configured(option), {"named.py": "thing = 1\n"})
    assert site.get("x").status_code == 500
    site.expect_log("KK0101: .*TypeError: thing in module named")


def test_reload(httpd):
    """A changed module is loaded again; not so with PythonAutoReload Off."""
    for config, expected in (("", "two"), ("PythonAutoReload Off", "one")):
        site = httpd.site(
            configured(f"PythonOption mod_python.wsgi.application named\n{config}"),
            {"named.py": HELLO.format("one")},
        )
        assert site.get("x").text == "one"
        site.write("named.py", HELLO.format("two"))
        assert site.get("x").text == expected


IMPORTS = "import helper\n" + HELLO.replace("b'{}'", "b'{}, ' + helper.NAME")


def test_reload_of_what_it_imports(httpd):
    """It is noticed too, if the application was found in its directory."""
    site = httpd.site(
        configured("PythonOption mod_python.wsgi.application named"),
        {"named.py": IMPORTS.format("app"), "helper.py": "NAME = b'one'\n"},
    )
    assert site.get("x").text == "app, one"
    site.write("helper.py", "NAME = b'two'\n")
    assert site.get("x").text == "app, two"


def test_reload_on_the_path(httpd):
    """An application of sys.path is reloaded without what it imports."""
    server = httpd(
        "PythonPath \"['${root}/py'] + sys.path\"\n<Location />\n"
        + configured("PythonOption mod_python.wsgi.application named")
        + "</Location>\n",
        {"py/named.py": IMPORTS.format("app"), "py/helper.py": "NAME = b'one'\n"},
    )
    assert server.get("x").text == "app, one"
    server.write("py/helper.py", "NAME = b'two'\n")
    assert server.get("x").text == "app, one"
    server.write("py/named.py", IMPORTS.format("new app"))
    assert server.get("x").text == "new app, one"


def test_applications_of_two_directories(httpd):
    """Two modules of the same name are two applications."""
    config = configured("PythonOption mod_python.wsgi.application named\nPythonAutoReload Off")
    sites = [httpd.site(config, {"named.py": HELLO.format(n)}) for n in "ab"]
    for _ in range(2):
        assert [site.get("x").text for site in sites] == ["a", "b"]


# wsgi.input

READERS = {
    "read": "data = body.read()",
    "read by blocks": "data = b''.join(iter(lambda: body.read(3), b''))",
    "readline": "data = b''.join(iter(body.readline, b''))",
    "readline by blocks": "data = b''.join(iter(lambda: body.readline(2), b''))",
    "readlines": "data = b''.join(body.readlines())",
    "readlines by blocks": "data = b''.join(body.readlines(1) + body.readlines())",
    "iteration": "data = b''.join(body)",
}
TEXT = b"one\ntwo\r\n\nfour" * 1000


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())
@pytest.mark.parametrize("validated", [False, True])
def test_input(httpd, reader, validated):
    """Every way to read, on bodies with a length and in chunks."""
    if validated:
        # All that it lets through: it insists on an argument.
        reader = reader.replace("body.read()", "body.read(-1)")
    body = f"body = environ['wsgi.input']\n{reader}\nok(start_response)\nreturn [data]"
    assert answer_of(httpd, body, method="POST", content=TEXT, validated=validated).content == TEXT
    chunks = iter([TEXT[:7], TEXT[7:]])
    assert answer_of(httpd, body, method="POST", content=chunks, validated=validated).content == TEXT


def test_lines(httpd):
    """Iteration is by lines, with their ends."""
    body = "ok(start_response)\nreturn [repr(list(environ['wsgi.input'])).encode()]"
    assert (
        answer_of(httpd, body, method="POST", content=b"a\nb\r\n\nc").text
        == r"[b'a\n', b'b\r\n', b'\n', b'c']"
    )


def test_no_body(httpd):
    """Without a body there is nothing to read, and nothing to wait for."""
    body = "ok(start_response)\nreturn [repr(environ['wsgi.input'].read()).encode()]"
    assert answer_of(httpd, body).text == "b''"


def test_body_that_is_not_read(httpd):
    """An application need not read the body; the connection stays good."""
    site = site_of(httpd, SHOW)
    with site.connect() as connection:
        for _ in range(2):
            head = f"POST {site.prefix}x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
            connection.send(head.encode() + b"x" * 100000)
            assert connection.response("POST").status == 200


@pytest.mark.skipif(SANITIZED, reason="the sanitizer's own memory is most of it")
def test_upload_in_constant_memory(httpd):
    """A large body does not come into memory as a whole."""
    body = """
        import resource
        body, size = environ["wsgi.input"], 0
        body.read(65536)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        while block := body.read(65536):
            size += len(block)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        ok(start_response)
        return [b"%d %d" % (size, grown)]
        """
    blocks = (b"x" * 65536 for _ in range(1600))
    # A server of its own, so that the peak is this request's.
    server = httpd("# a large upload")
    size, grown = answer_of(server, body, method="POST", content=blocks).text.split()
    assert int(size) == 1599 * 65536
    assert int(grown) < 8192  # KiB


def test_errors(httpd):
    """wsgi.errors is the error log."""
    body = """
        errors = environ["wsgi.errors"]
        errors.write("written\\n")
        errors.writelines(["listed\\n"])
        errors.flush()
        ok(start_response)
        return [b"x"]
        """
    assert answer_of(httpd, body).text == "x"
    httpd().expect_log("written$")
    httpd().expect_log("listed$")


def test_headers_of_another_request_stay_there(httpd):
    """What a request lacks is not in its environ, also if another header is too long to be kept."""
    config = "PythonInterpreter headers_stay\n"
    code = """
        def application(environ, start_response):
            start_response("200 OK", [])
            return [environ.get("HTTP_USER_AGENT", "none").encode()]
        """
    site = site_of(httpd, code, config=config)

    def ask(*lines):
        head = "".join(f"{line}\r\n" for line in lines)
        return site.raw(f"GET {site.prefix}x HTTP/1.0\r\n{head}\r\n".encode()).body

    assert ask("User-Agent: secret-agent") == b"secret-agent"
    assert ask("Accept-Language: " + "de, " * 100) == b"none"
