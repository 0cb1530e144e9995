"""Manual 4.5.3, the members of the request object: type, value, read-only-ness."""

import time

import pytest

# Name, and the value in a plain GET of "x/info?a=b" that has no file; a type stands
# for any value of it.
VALUES = {
    "main": None,
    "next": None,
    "prev": None,
    "assbackwards": 0,
    "proxyreq": 0,
    "header_only": 0,
    "protocol": "HTTP/1.1",
    "proto_num": 1001,
    "hostname": "127.0.0.1",
    "request_time": int,
    "status_line": None,
    "status": 200,
    "method": "GET",
    "method_number": 0,
    "allowed": int,
    "allowed_xmethods": (),
    "allowed_methods": (),
    "sent_bodyct": 0,
    "bytes_sent": 0,
    "mtime": 0,
    "chunked": 0,
    "range": None,
    "clength": 0,
    "remaining": 0,
    "read_length": 0,
    "read_body": 0,
    "read_chunked": 0,
    "expecting_100": 0,
    "phase": "PythonHandler",
    "interpreter": "www.example.com",
    "handler": "python-program",
    "content_encoding": None,
    "vlist_validator": None,
    "user": None,
    "ap_auth_type": None,
    "no_cache": 0,
    "no_local_copy": 0,
    "path_info": "/info",
    "args": "a=b",
    "used_path_info": 2,
    "eos_sent": 0,
    "useragent_ip": "127.0.0.1",
    "_content_type_set": 0,
}

READ_ONLY = [
    "connection",
    "server",
    "next",
    "prev",
    "main",
    "the_request",
    "header_only",
    "protocol",
    "proto_num",
    "hostname",
    "request_time",
    "method",
    "method_number",
    "allowed_xmethods",
    "allowed_methods",
    "sent_bodyct",
    "bytes_sent",
    "mtime",
    "range",
    "clength",
    "remaining",
    "read_length",
    "read_body",
    "read_chunked",
    "expecting_100",
    "headers_in",
    "subprocess_env",
    "notes",
    "phase",
    "interpreter",
    "content_encoding",
    "vlist_validator",
    "unparsed_uri",
    "parsed_uri",
    "eos_sent",
    "useragent_ip",
    "useragent_addr",
]

# What later versions made writable, with a value to try.
WRITABLE = {
    "handler": "spam",
    "uri": "/spam",
    "proxyreq": 1,
    "status": 201,
    "status_line": "200 Fine",
    "content_type": "text/spam",
    "user": "spam",
    "ap_auth_type": "Spam",
    "filename": "/spam",
    "canonical_filename": "/spam",
    "path_info": "/spam",
    "args": "spam=eggs",
    "used_path_info": 1,
    "allowed": 5,
}


def test_values(httpd):
    """Every member has the type and value promised."""
    answers = httpd.run(
        f"""
        def plain(value):
            return value if isinstance(value, (str, int, type(None))) else list(value)
        return {{name: plain(getattr(req, name)) for name in {list(VALUES)!r}}}
        """,
        "x/info?a=b",
    )
    for name, expected in VALUES.items():
        if isinstance(expected, type):
            assert isinstance(answers[name], expected), name
        else:
            got = answers[name]
            assert got == (list(expected) if expected == () else expected), name


def test_address_of_the_client(httpd):
    """useragent_addr is the request's client, also behind a proxy that mod_remoteip trusts."""
    code = "return [req.useragent_ip, req.useragent_addr, req.connection.remote_addr]"
    ip, addr, peer = httpd.run(code)
    assert ip == "127.0.0.1" and addr == peer
    server = httpd("RemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy 127.0.0.1", modules=("remoteip",))
    ip, addr, peer = server.run(code, headers={"X-Forwarded-For": "192.0.2.7"})
    assert ip == addr[0] == "192.0.2.7" and peer[0] == "127.0.0.1"


@pytest.mark.parametrize("name", READ_ONLY)
def test_read_only(httpd, name):
    """A read-only member refuses assignment and keeps its value."""
    assert httpd.run(
        f"""
        before = repr(req.{name})
        try:
            req.{name} = 1
        except (AttributeError, TypeError) as error:
            assert repr(req.{name}) == before
            return str(error) != ""
        """
    ), name


@pytest.mark.parametrize("name", ["assbackwards", "chunked", "no_cache", "no_local_copy"])
def test_writable_flags(httpd, name):
    """A writable flag takes a truth value."""
    values = httpd.run(
        f"""
        before = req.{name}
        values = []
        for value in (True, False, 1, 0):
            req.{name} = value
            values.append(req.{name})
        req.{name} = before
        return values
        """
    )
    assert values == [1, 0, 1, 0]


@pytest.mark.parametrize(("name", "value"), WRITABLE.items())
def test_writable(httpd, name, value):
    """A writable member takes a value of its type and refuses another."""
    after, refused = httpd.run(
        f"""
        before = req.{name}
        req.{name} = {value!r}
        after = req.{name}
        try:
            req.{name} = object()
            refused = False
        except TypeError:
            refused = True
        if before is not None:
            req.{name} = before
        return [after, refused]
        """
    )
    assert (after, refused) == (value, True)


@pytest.mark.parametrize("name", ["args", "handler"])
def test_none_is_accepted(httpd, name):
    """args and handler accept None."""
    assert httpd.run(f"req.{name} = None\nreturn req.{name}") is None


@pytest.mark.parametrize("name", ["uri", "method", "connection", "headers_in", "status"])
def test_members_cannot_be_deleted(httpd, name):
    """Deleting a member is refused."""
    assert (
        httpd.run(
            f"""
        try:
            del req.{name}
        except (AttributeError, TypeError):
            return "refused"
        """
        )
        == "refused"
    )


def test_objects(httpd):
    """connection, server and the tables are objects of their own types."""
    names = [
        "connection",
        "server",
        "headers_in",
        "headers_out",
        "err_headers_out",
        "subprocess_env",
        "notes",
    ]
    types = httpd.run(f"return [str(type(getattr(req, name))) for name in {names!r}]")
    assert types == ["<class 'mp_conn'>", "<class 'mp_server'>"] + ["<class 'mp_table'>"] * 5


def test_same_object_each_time(httpd):
    """The same connection and server objects are answered each time."""
    assert httpd.run("return req.connection is req.connection and req.server is req.server")


def test_request_line(httpd):
    """the_request is the first line, unparsed_uri and uri what is in it."""
    site = httpd.site("SetHandler python-program\nPythonHandler line", {"line.py": LINE})
    answer = site.get("a%20b?c=d%20e")
    assert answer.text.split("|") == [
        f"GET {site.prefix}a%20b?c=d%20e HTTP/1.1",
        f"{site.prefix}a%20b?c=d%20e",
        f"{site.prefix}a b",
        "c=d%20e",
    ]


LINE = """
    from mod_python import apache

    def handler(req):
        req.write("|".join([req.the_request, req.unparsed_uri, req.uri, req.args]))
        return apache.OK
    """


def test_request_time(httpd):
    """request_time is in seconds since the epoch."""
    assert abs(httpd.run("return req.request_time") - time.time()) < 5


@pytest.mark.parametrize(
    ("method", "number"), [("GET", 0), ("PUT", 1), ("POST", 2), ("DELETE", 3), ("PATCH", 7)]
)
def test_method(httpd, method, number):
    """method and method_number."""
    assert httpd.run("return [req.method, req.method_number]", method=method) == [method, number]


def test_header_only(httpd):
    """header_only is true for HEAD; method_number is GET's."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler head",
        {
            "head.py": """
                from mod_python import apache

                def handler(req):
                    req.headers_out["X-Head"] = f"{req.header_only:d} {req.method_number}"
                    return apache.OK
                """
        },
    )
    assert site.head("x").headers["X-Head"] == "1 0"


def test_hostname(httpd):
    """hostname is the Host header's, without port; None if there is none."""
    assert httpd.run("return req.hostname", headers={"Host": "spam.example:81"}) == "spam.example"
    site = httpd.site(
        "SetHandler python-program\nPythonHandler host",
        {"host.py": "def handler(req):\n    req.write(repr(req.hostname))\n    return 0\n"},
    )
    assert site.raw(f"GET {site.prefix}x HTTP/1.0\r\n\r\n".encode()).body == b"None"


def test_protocol_of_an_old_client(httpd):
    """HTTP/1.0 is 1000."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler proto",
        {
            "proto.py": """
                def handler(req):
                    req.write(f"{req.protocol} {req.proto_num}")
                    return 0
                """
        },
    )
    assert site.raw(f"GET {site.prefix}x HTTP/1.0\r\n\r\n".encode()).body == b"HTTP/1.0 1000"


def test_range(httpd):
    """range is the header's text."""
    assert httpd.run("return req.range", headers={"Range": "bytes=0-99999"}) == "bytes=0-99999"


def test_bytes_sent(httpd):
    """Writing raises bytes_sent."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler sent",
        {
            "sent.py": """
                def handler(req):
                    before = req.bytes_sent
                    req.write("1234")
                    req.write(str(req.bytes_sent - before))
                    return 0
                """
        },
    )
    assert site.get("x").text == "12344"


def test_content_type(httpd):
    """content_type is what mod_mime found until it is set, and then what is sent."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler type",
        {
            "page.html": "",
            "type.py": """
                def handler(req):
                    before = [req.content_type, int(req._content_type_set)]
                    req.content_type = "text/x-spam; charset=utf-8"
                    req.write("%r %r" % (before, int(req._content_type_set)))
                    return 0
                """,
        },
    )
    answer = site.get("page.html")
    assert answer.headers["Content-Type"] == "text/x-spam; charset=utf-8"
    assert answer.text == "['text/html', 0] 1"


def test_file(httpd):
    """filename, canonical_filename, path_info and finfo of a file that exists."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler file",
        {
            "page.txt": "12345",
            "file.py": """
                import json
                from mod_python import apache

                def handler(req):
                    info = req.finfo
                    req.write(json.dumps([
                        req.filename, req.canonical_filename, req.path_info,
                        info[apache.FINFO_FNAME], info[apache.FINFO_SIZE],
                        info[apache.FINFO_MTIME], info[apache.FINFO_FILETYPE] == apache.APR_REG,
                        len(info), info.size, info.fname, str(type(info)),
                    ]))
                    return apache.OK
                """,
        },
    )
    path = site.directory / "page.txt"
    values = site.get("page.txt/more/info").json()
    assert values == [
        str(path),
        str(path),
        "/more/info",
        str(path),
        5,
        int(path.stat().st_mtime),
        True,
        13,
        5,
        str(path),
        "<class 'mp_finfo'>",
    ]


def test_finfo_of_a_missing_file(httpd):
    """Where there is no file, the type says so."""
    assert httpd.run("return req.finfo[apache.FINFO_FILETYPE] == apache.APR_NOFILE")


def test_finfo_can_be_replaced(httpd):
    """finfo takes another finfo, else it is a TypeError."""
    assert httpd.run(
        """
        req.finfo = req.finfo
        try:
            req.finfo = (1, 2)
        except TypeError:
            return req.finfo[apache.FINFO_FILETYPE] == apache.APR_NOFILE
        """
    )


def test_parsed_uri(httpd):
    """parsed_uri is the URI in pieces; what is absent is None."""
    names = ["SCHEME", "HOSTINFO", "USER", "PASSWORD", "HOSTNAME", "PORT", "PATH", "QUERY", "FRAGMENT"]
    values = httpd.run(
        f"return [req.parsed_uri[getattr(apache, 'URI_' + name)] for name in {names!r}]",
        "x?a=b",
    )
    path = values[names.index("PATH")]
    assert path.endswith("/x")
    port = values.pop(names.index("PORT"))
    assert port is None or isinstance(port, int)  # Apache takes it from the Host header
    assert values == [None, None, None, None, None, path, "a=b", None]


def test_parsed_uri_of_an_absolute_request(httpd):
    """A full URI in the request line has a scheme, a host and a port (an int)."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler uri",
        {"uri.py": "def handler(req):\n    req.write(repr(tuple(req.parsed_uri)))\n    return 0\n"},
    )
    target = f"http://spam.example:81{site.prefix}x?a=b"
    answer = site.raw(f"GET {target} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
    assert answer.body.decode() == repr(
        ("http", "spam.example:81", None, None, "spam.example", 81, f"{site.prefix}x", "a=b", None)
    )


def test_dynamic_attributes(httpd):
    """Any attribute may be set, read and deleted; a missing one is an AttributeError."""
    assert httpd.run(
        """
        req.spam = ["eggs"]
        value = req.spam[0]
        del req.spam
        try:
            req.spam
        except AttributeError as error:
            return [value, "spam" in str(error)]
        """
    ) == ["eggs", True]


def test_dynamic_attributes_live_across_phases(httpd):
    """An attribute set in one phase is there in the next, until the log and cleanup."""
    site = httpd.site(
        """
        SetHandler python-program
        PythonHeaderParserHandler across::start
        PythonFixupHandler across::more
        PythonHandler across
        PythonLogHandler across
        PythonCleanupHandler across
        """,
        {
            "across.py": """
                from mod_python import apache

                def start(req):
                    req.spam = ["start"]
                    return apache.OK

                def more(req):
                    req.spam.append("fixup")
                    return apache.OK

                def handler(req):
                    req.write(" ".join(req.spam))
                    return apache.OK

                def loghandler(req):
                    req.spam.append("log")
                    return apache.OK

                def cleanuphandler(req):
                    apache.log_error("cleanup " + " ".join(req.spam), apache.APLOG_NOTICE)
                """
        },
    )
    assert site.get("x").text == "start fixup"
    assert site.expect_log("cleanup start").message.endswith("start fixup log")


def test_notes_live_across_phases(httpd):
    """So do notes."""
    site = httpd.site(
        "SetHandler python-program\nPythonFixupHandler notes::fixup\nPythonHandler notes",
        {
            "notes.py": """
                def fixup(req):
                    req.notes["spam"] = "eggs"
                    return 0

                def handler(req):
                    req.write(req.notes["spam"])
                    return 0
                """
        },
    )
    assert site.get("x").text == "eggs"


def test_err_headers_out(httpd):
    """headers_out is dropped with an error, err_headers_out is sent."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler errors",
        {
            "errors.py": """
                def handler(req):
                    req.headers_out["X-Dropped"] = "1"
                    req.err_headers_out["X-Kept"] = "1"
                    return 404
                """
        },
    )
    headers = site.get("x").headers
    assert "X-Kept" in headers and "X-Dropped" not in headers


def test_status_line(httpd):
    """status_line is sent as it was set."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler line",
        {
            "line.py": """
                def handler(req):
                    req.status_line = "299 Spam and Eggs"
                    req.status = 299
                    req.write("x")
                    return 0
                """
        },
    )
    answer = site.raw_request(b"x")
    assert (answer.status, answer.reason) == (299, "Spam and Eggs")


def test_no_cache(httpd):
    """no_cache makes Apache send Expires."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler nocache",
        {"nocache.py": "def handler(req):\n    req.no_cache = 1\n    req.write('x')\n    return 0\n"},
    )
    assert "Expires" in site.get("x").headers
    assert "Expires" not in httpd.site(files={"a.txt": ""}).get("a.txt").headers


def test_read_members(httpd):
    """remaining and read_length while a body is read."""
    value = httpd.run(
        """
        req.read(4)
        return [req.clength, req.remaining, req.read_length]
        """,
        method="POST",
        content=b"1234567890",
    )
    assert value[1:] == [6, 4]
