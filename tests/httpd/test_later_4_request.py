"""What later versions added to the request object."""

import email.utils
import re
import subprocess
import time

import pytest

from plugins.tls import TLS, TLSConnection, certificate


def site_of(httpd, code, config="", files=None):
    """A site whose content handler, `handler`, is in this code."""
    config = f"SetHandler python-program\nPythonHandler later4\n{config}"
    return httpd.site(config, {"later4.py": code, **(files or {})})


def test_names_of_types(httpd):
    """The types' names have no module."""
    assert httpd.run(
        """
        things = [req, req.connection, req.server, req.headers_in, req.finfo, req.hlist]
        return [str(type(thing)) for thing in things]
        """
    ) == [f"<class 'mp_{name}'>" for name in ("request", "conn", "server", "table", "finfo", "hlist")]


def test_requires_is_absent(httpd):
    """As in Apache 2.4."""
    assert httpd.run("return hasattr(req, 'requires')") is False


# Authentication, URL, TLS


def test_auth_name_and_type(httpd):
    """The values of AuthName and AuthType, or None."""
    assert httpd.run("return [req.auth_type(), req.auth_name()]") == [None, None]
    config = 'AuthType Spam\nAuthName "the réalm"'
    assert httpd.run("return [req.auth_type(), req.auth_name()]", config=config) == ["Spam", "the réalm"]


@pytest.mark.parametrize(
    ("host", "path", "url"),
    [
        ("a.example:8080", "/x/y?z", "http://a.example:8080/x/y?z"),
        ("a.example:80", "/é", "http://a.example/é"),
    ],
)
def test_construct_url(httpd, host, path, url):
    """An absolute URL; a default port is omitted."""
    server = httpd("UseCanonicalName Off\nUseCanonicalPhysicalPort Off")
    assert server.run(f"return req.construct_url({path!r})", headers={"Host": host}) == url


def test_construct_url_canonical(httpd):
    """With UseCanonicalName the name is ServerName's."""
    server = httpd("UseCanonicalName On")
    assert server.run("return req.construct_url('/x')") == f"http://www.example.com:{server.port}/x"


def test_without_tls(httpd):
    """No TLS, no mod_ssl: 0 and None."""
    assert httpd.run("return [req.is_https(), req.ssl_var_lookup('SSL_PROTOCOL')]") == [0, None]


def test_with_tls(httpd):
    """is_https() is 1 in any phase, ssl_var_lookup() gives mod_ssl's variables."""
    code = """
        from mod_python import apache

        def early(req):
            req.early = req.is_https(), req.ssl_var_lookup("HTTPS")
            return apache.OK

        def handler(req):
            req.write(repr((req.early, req.is_https(), req.ssl_var_lookup("SSL_PROTOCOL")[:4],
                            req.ssl_var_lookup("SSL_SERVER_S_DN_CN"), req.construct_url("/"))))
            return apache.OK
        """
    config = (
        TLS
        + """
        PythonPath "sys.path+['${root}']"
        PythonPostReadRequestHandler secure::early
        <Location />
            SetHandler python-program
            PythonHandler secure
        </Location>
        """
    )
    server = httpd(config, {"secure.py": code, **certificate()}, modules=("ssl",))
    with TLSConnection(server.port) as connection:
        connection.send(b"GET /x HTTP/1.1\r\nHost: www.example.com:443\r\nConnection: close\r\n\r\n")
        body = connection.response().body.decode()
    assert body.startswith("((1, 'on'), 1, 'TLSv', 'www.example.com', 'https://www.example.com")


def test_tls_names_that_are_none(httpd):
    """A wrong argument is refused."""
    assert httpd.run("try:\n    req.ssl_var_lookup(5)\nexcept TypeError:\n    return 'refused'") == "refused"


# Validators

VALIDATORS = """
    from mod_python import apache

    def handler(req):
        before = req.mtime
        req.update_mtime(1000000000.75)
        req.update_mtime(5)
        assert req.mtime == 1000000000 and before == 0, (req.mtime, before)
        req.set_last_modified()
        req.set_etag()
        status = req.meets_conditions()
        if status == apache.OK:
            req.write("fresh")
        return status
    """


def test_validators(httpd):
    """update_mtime() only raises; the headers are set; conditions are heeded."""
    site = site_of(httpd, VALIDATORS)
    answer = site.get("x")
    date = email.utils.formatdate(1000000000, usegmt=True)
    assert (answer.text, answer.headers["Last-Modified"]) == ("fresh", date)
    assert re.fullmatch(r'(W/)?"[-0-9a-f]+"', answer.headers["ETag"])
    assert site.get("x", headers={"If-Modified-Since": date}).status_code == 304
    assert site.get("x", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert site.get("x", headers={"If-Match": '"other"'}).status_code == 412
    old = email.utils.formatdate(999999999, usegmt=True)
    assert site.get("x", headers={"If-Modified-Since": old}).status_code == 200


@pytest.mark.parametrize("secs", ["'5'", "None", "float('nan')", "1e300", "float('inf')", "10**400"])
def test_wrong_mtime(httpd, secs):
    """What is no time is refused."""
    assert (
        httpd.run(
            f"try:\n    req.update_mtime({secs})\nexcept (TypeError, ValueError, OverflowError):\n    return req.mtime"
        )
        == 0
    )


def test_no_cache(httpd):
    """no_cache = 1: Apache sends Expires."""
    code = "def handler(req):\n    req.no_cache = 1\n    req.write('x')\n    return 0\n"
    answer = site_of(httpd, code).get("x")
    expires = email.utils.parsedate_to_datetime(answer.headers["Expires"]).timestamp()
    assert expires <= time.time() + 1


def test_send_http_header(httpd):
    """It does nothing: headers can still be set."""
    code = """
        def handler(req):
            assert req.send_http_header() is None
            req.headers_out["X"] = "y"
            req.write("x")
            return 0
        """
    assert site_of(httpd, code).get("x").headers["X"] == "y"


# AddHandler


ADDED = """
    AddHandler python-program .One two .four
    PythonHandler mapped
    PythonPath "sys.path+['${root}']"
    <Directory "${htdocs}">
        AddHandler mod_python .THREE
        AddHandler server-status .two
        RemoveHandler .four .six
        AddHandler mod_python .six .seven
        RemoveHandler .seven
    </Directory>
    """


@pytest.mark.parametrize(
    ("htaccess", "expected"),
    [
        ("", ["one", "three"]),
        ("PythonDebug On", ["one", "three"]),
        (
            "AddHandler Python-Program five\nRemoveHandler eight\nAddHandler mod_python eight",
            # RemoveHandler of an outer directory is lost there: mod_mime's own doing.
            ["one", "three", "four", "five", "six", "seven"],
        ),
    ],
)
def test_get_addhandler_exts(httpd, htaccess, expected):
    """The extensions mapped to our handler names: those, of all, whose files mod_mime
    gives to Python."""
    code = """
        def handler(req):
            req.write(req.get_addhandler_exts())
            return 0
        """
    numbers = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
    server = httpd(ADDED, {"mapped.py": code})
    site = server.site(htaccess, {f"page.{number}": "a file" for number in numbers})
    answers = {number: site.get(f"page.{number}").text for number in numbers}
    assert [number for number in numbers if answers[number] != "a file"] == expected
    assert sorted(answers["one"].lower().split()) == sorted(expected)


def test_no_addhandler_exts(httpd):
    """Without AddHandler it is the empty string."""
    assert httpd.run("return req.get_addhandler_exts()") == ""


def test_addhandler_still_works(httpd):
    """The directive is mod_mime's as before."""
    code = "def handler(req):\n    req.write('python')\n    return 0\n"
    site = httpd.site(
        "AddHandler python-program .spam\nPythonHandler mimed",
        {"mimed.py": code, "a.spam": "", "b.txt": "text"},
    )
    assert (site.get("a.spam").text, site.get("b.txt").text) == ("python", "text")


def test_addhandler_without_mod_mime(httpd):
    """Without mod_mime it is an unknown directive as before."""
    server = httpd.unstarted("AddHandler python-program .py")
    command = server.process.command("-t")
    conf = server.root / "conf" / "httpd.conf"
    lines = [line for line in conf.read_text().splitlines() if "mime_module" not in line]
    conf.write_text("\n".join(line for line in lines if "TypesConfig" not in line))
    env = server.process.environ()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Invalid command 'AddHandler'" in done.stderr


# Handlers and filters of one request


def test_invalid_phase(httpd):
    """add_handler() of an unknown phase."""
    assert (
        httpd.run(
            "try:\n    req.add_handler('PythonSpamHandler', 'x')\nexcept IndexError as error:\n    return str(error)"
        )
        == "Invalid phase: PythonSpamHandler"
    )


def test_directory_is_made_canonical(httpd):
    """dir becomes absolute and canonical, with trailing slash."""
    code = """
        import os
        from mod_python import apache

        def fixup(req):
            req.add_handler("PythonHandler", "canon", os.path.dirname(__file__) + "/./x/../sub")
            return apache.OK
        """
    sub = "def handler(req):\n    req.write(req.hlist.directory)\n    return 0\n"
    site = httpd.site(
        "SetHandler mod_python\nPythonFixupHandler canonical::fixup",
        {"canonical.py": code, "sub/canon.py": sub},
    )
    assert site.get("x").text == f"{site.directory}/sub/"


def test_directory_given_to_python(httpd):
    """handler = "mod_python" and add_handler() give a directory's request to Python."""
    code = """
        from mod_python import apache

        def fixup(req):
            req.handler = "mod_python"
            req.add_handler("PythonHandler", listing)
            return apache.OK

        def listing(req):
            req.write("listing of " + req.uri)
            return apache.OK
        """
    site = httpd.site("PythonFixupHandler listed::fixup", {"listed.py": code, "sub/x": ""})
    assert site.get("sub/").text == f"listing of {site.prefix}sub/"


FILTERS = """
    import os
    from mod_python import apache

    def shout(filter):
        while data := filter.read():
            filter.write(data.upper())
        if data is None:
            filter.close()

    class Counter:
        def __init__(self):
            self.count = 0

        def __call__(self, filter):
            while data := filter.read():
                self.count += len(data)
                filter.write(data)
            if data is None:
                filter.write(f"|{self.count} {filter.name} {filter.is_input} {filter.dir}")
                filter.close()

    def handler(req):
        here = os.path.dirname(__file__)
        req.register_output_filter("SHOUTING", "later4::shout", here)
        req.register_output_filter("Counting", Counter())
        req.register_input_filter("shouting", shout)
        req.add_input_filter("Shouting")
        req.add_output_filter("counting")
        if req.args:
            req.add_output_filter("Shouting")
        req.headers_out["Content-Length"] = "3"
        req.write(req.read())
        return apache.OK
    """


def test_own_filters(httpd):
    """A filter registered for this request, by name or as a callable, in both directions."""
    site = site_of(httpd, FILTERS)
    answer = site.post("x", content=b"spam")
    assert answer.text == f"SPAM|4 Counting False {site.directory}/"
    assert site.post("x?both", content=b"spam").text == answer.text.upper()


def test_own_filters_are_for_one_request(httpd):
    """The next request does not know them."""
    code = """
        from mod_python import apache

        def handler(req):
            if req.args:
                req.register_output_filter("once", print)
                return apache.OK
            try:
                req.add_output_filter("once")
            except ValueError as error:
                req.write(str(error))
            return apache.OK
        """
    site = site_of(httpd, code)
    assert site.get("x?register").status_code == 200
    assert "no output filter named once" in site.get("x").text


def test_own_filter_in_place_of_apaches(httpd):
    """For this request the name is this filter's, whatever else has it."""
    code = """
        from mod_python import apache

        def reverse(filter):
            while data := filter.read():
                filter.write(data[::-1])
            if data is None:
                filter.close()

        def handler(req):
            req.register_output_filter("DEFLATE", reverse)
            req.add_output_filter("DEFLATE")
            req.write("spam")
            return apache.OK
        """
    assert site_of(httpd, code).get("x").text == "maps"


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ("5, print", "TypeError"),
        ("'x', 5", "TypeError"),
        ("'x'", "TypeError"),
        ("'', print", "ValueError"),
        ("'x', 'm', 5", "TypeError"),
    ],
)
@pytest.mark.parametrize("direction", ["input", "output"])
def test_wrong_filters(httpd, direction, arguments, kind):
    """Wrong arguments are refused."""
    assert (
        httpd.run(
            f"try:\n    req.register_{direction}_filter({arguments})\nexcept Exception as error:\n"
            "    return type(error).__name__"
        )
        == kind
    )


def test_own_filter_that_fails(httpd):
    """What it raises is logged under its name, and the client gets 500."""
    code = """
        def broken(filter):
            raise ValueError("spam")

        def handler(req):
            req.register_output_filter("breaking", broken)
            req.add_output_filter("breaking")
            req.write("x", 0)
            return 0
        """
    site = site_of(httpd, code)
    assert site.get("x").status_code == 500
    site.expect_log("KK0112: filter breaking: .*ValueError: spam")


def test_own_filter_whose_module_is_missing(httpd):
    """The module is looked for when the filter is called."""
    code = """
        def handler(req):
            req.register_output_filter("missing", "missing_module::x")
            req.add_output_filter("missing")
            req.write("x", 0)
            return 0
        """
    site = site_of(httpd, code)
    assert site.get("x").status_code == 500
    site.expect_log("KK0104: filter missing: .*no module named 'missing_module'")


def test_apaches_own_filters(httpd):
    """INCLUDES and CONTENT_LENGTH."""
    code = """
        def handler(req):
            req.content_type = "text/html"
            req.add_output_filter(req.args)
            req.write('<!--#echo var="SPAM" -->', 0)
            return 0
        """
    site = httpd(modules=("include",)).site(
        "SetHandler python-program\nPythonHandler later4\nSetEnv SPAM eggs", {"later4.py": code}
    )
    assert site.get("x?INCLUDES").text == "eggs"
    answer = site.get("x?CONTENT_LENGTH")
    assert answer.headers["Content-Length"] == str(len(answer.text)) == "24"


# Other members


def test_bytes_queued(httpd):
    """What was given to write and sendfile, flushed or not."""
    code = """
        import os

        def handler(req):
            counts = [req._bytes_queued]
            req.write("12", 0)
            counts.append(req._bytes_queued)
            req.write("é")
            counts.append(req._bytes_queued)
            req.sendfile(os.path.join(os.path.dirname(__file__), "file"), 1, 3)
            counts.append(req._bytes_queued)
            req.write(repr(counts))
            return 0
        """
    assert site_of(httpd, code, files={"file": "abcdef"}).get("x").text == "12ébcd[0, 2, 4, 7]"


def test_capsules(httpd):
    """The records, for C extensions: capsules without a name, of this very record."""
    kinds, same = httpd.run(
        """
        import ctypes
        valid, pointer = ctypes.pythonapi.PyCapsule_IsValid, ctypes.pythonapi.PyCapsule_GetPointer
        for function in (valid, pointer):
            function.argtypes = [ctypes.py_object, ctypes.c_char_p]
        pointer.restype = ctypes.c_void_p
        capsules = [req._request_rec, req.connection._conn_rec, req.server._server_rec]
        # request_rec begins with: pool, connection, server.
        fields = (ctypes.c_void_p * 3).from_address(pointer(capsules[0], None))
        return [[type(c).__name__ + str(valid(c, None)) for c in capsules],
                [pointer(c, None) for c in capsules[1:]] == list(fields[1:])]
        """
    )
    assert (kinds, same) == (["PyCapsule1"] * 3, True)


def test_content_languages(httpd):
    """A tuple of what AddLanguage found."""
    code = "def handler(req):\n    req.write(repr(req.content_languages))\n    return 0\n"
    config = "AddLanguage en .en\nAddLanguage de .de"
    site = site_of(httpd, code, config, {"page.en.de": "", "page": ""})
    assert site.get("page.en.de").text == "('en', 'de')"
    assert site.get("page").text == "()"


def test_status_line(httpd):
    """None before output, the line after it."""
    code = """
        def handler(req):
            before = req.status_line
            req.status = 201
            req.write("x|")
            req.write(repr((before, req.status_line)))
            return 0
        """
    assert site_of(httpd, code).get("x").text == "x|(None, '201 Created')"


def test_parsed_uri(httpd):
    """Absent parts are None, a port is an int."""
    code = "def handler(req):\n    req.write(repr(req.parsed_uri))\n    return 0\n"
    site = site_of(httpd, code)
    host = {"Host": "www.example.com"}
    assert site.get("x?a", headers=host).text == repr((None,) * 6 + (f"{site.prefix}x", "a", None))
    request = f"GET http://www.example.com:81{site.prefix}x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert site.raw(request.encode()).body.decode() == repr(
        ("http", "www.example.com:81", None, None, "www.example.com", 81, f"{site.prefix}x", None, None)
    )


def test_redirected_requests_see_each_other(httpd):
    """prev and next are the other request's own objects; req.prev.write() works."""
    code = """
        from mod_python import apache

        kept = []

        def handler(req):
            if req.prev is None:
                req.spam = "eggs"
                kept[:] = [req]
                req.write("first,", 0)
                req.internal_redirect(req.uri + "/again")
                assert req.next.spam == "spam"
                return apache.OK
            assert req.prev is kept[0] and req.prev.next is req
            req.spam = "spam"
            req.prev.write(f"by the second: {req.prev.spam}")
            return apache.OK
        """
    assert site_of(httpd, code).get("x").text == "first,by the second: eggs"


def test_error_document_sees_the_request(httpd):
    """The request that failed is the error document's prev, attributes included."""
    code = """
        from mod_python import apache

        def handler(req):
            if req.prev is None:
                req.reason = "spam"
                return apache.HTTP_GONE
            req.write(f"{req.prev.status} {req.prev.reason}")
            return apache.OK
        """
    site = site_of(httpd, code)
    site.write(
        ".htaccess", f"SetHandler python-program\nPythonHandler later4\nErrorDocument 410 {site.prefix}gone"
    )
    answer = site.get("x")
    assert (answer.status_code, answer.text) == (410, "410 spam")


def test_discard_request_body(httpd):
    """Its status; then read() is b""."""
    code = "return [req.discard_request_body(), req.read().decode(), len(req.readlines())]"
    assert httpd.run(code, method="POST", content=b"spam\n" * 5000) == [0, "", 0]


def test_readlines_hint(httpd):
    """Whole lines until they total at least hint; -1 is all."""
    body = b"".join(b"%04d\n" % n for n in range(10))
    code = "return [len(req.readlines(11)), len(req.readlines(5)), len(req.readlines(-1))]"
    assert httpd.run(code, method="POST", content=body) == [3, 1, 6]


@pytest.mark.parametrize("thing", ["req", "req.connection", "req.server"])
def test_log_error(httpd, thing):
    """log_error(message, level), also of connections and servers; None logs nothing."""
    server = httpd("LogLevel info")
    server.run(
        f"""
        {thing}.log_error("by default {thing}.")
        {thing}.log_error("as notice {thing}.", apache.APLOG_NOTICE)
        {thing}.log_error(None)
        {thing}.log_error(None, apache.APLOG_ERR)
        """
    )
    assert server.expect_log(f"by default {thing}[.]").level == "error"
    assert server.expect_log(f"as notice {thing}[.]").level == "notice"


def test_log_error_of_a_connection_names_the_client(httpd):
    """Under the connection Apache says whose it is."""
    server = httpd()
    server.run("req.connection.log_error('spam of a connection')")
    server.expect_log(r"\[client 127\.0\.0\.1:\d+\] spam of a connection")
