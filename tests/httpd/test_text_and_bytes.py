"""Bytes above 127 and odd characters, wherever a client or a file system can put
them, arrive and do no harm."""

import os

import pytest

PYTHON = "SetHandler python-program\nPythonHandler odd"

SHOW = """
    import json
    from mod_python import apache

    def handler(req):
        req.content_type = "application/json"
        req.write(json.dumps([
            req.uri, req.unparsed_uri, req.args, req.filename, req.path_info, req.the_request,
            req.headers_in.get("X-Odd"), req.parsed_uri[apache.URI_PATH],
        ]))
        return apache.OK
    """


def show(site, path=b"", headers=None):
    import json

    answer = site.raw_request(path, headers=headers)
    assert answer.status == 200, answer
    return json.loads(answer.body)


def fs(data):
    """Bytes as Python shows file names: UTF-8 with surrogateescape."""
    return data.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("odd", [b"\xff", b"\xc3\xa4", b"\x80\x81", b"a\xe9z"])
def test_in_the_uri(httpd, odd):
    """Raw and percent-encoded bytes in the path."""
    site = httpd.site(PYTHON, {"odd.py": SHOW})
    prefix = site.prefix
    for sent in (odd, b"".join(b"%%%02x" % byte for byte in odd)):
        uri, unparsed, _, filename, _, line, _, path = show(site, sent)
        assert uri == prefix + fs(odd)
        assert unparsed == prefix + fs(sent)
        assert filename == f"{site.directory}/{fs(odd)}"
        assert fs(sent) in line
        assert path.startswith(prefix)


@pytest.mark.parametrize("odd", [b"\xff", b"\xc3\xa4", b"%ff", b"a=\xe9&b=%00"])
def test_in_the_query(httpd, odd):
    """In the query, undecoded."""
    assert show(httpd.site(PYTHON, {"odd.py": SHOW}), b"x?" + odd)[2] == fs(odd)


@pytest.mark.parametrize("odd", [b"\xff\xfe", b"\xc3\xa4", b"\xa0"])
def test_in_a_header(httpd, odd):
    """In a header value: ISO-8859-1."""
    value = show(httpd.site(PYTHON, {"odd.py": SHOW}), b"x", {b"X-Odd": odd})[6]
    assert value == odd.decode("latin-1")


def test_in_the_path_info(httpd):
    """In what follows the file name."""
    site = httpd.site(PYTHON, {"odd.py": SHOW, "page": ""})
    assert show(site, b"page/\xff\xc3\xa4")[4] == "/" + fs(b"\xff\xc3\xa4")


@pytest.mark.parametrize("name", [b"\xff.txt", "ä€😀.txt".encode(), b"a b'\".txt"])
def test_in_a_file_name(httpd, name):
    """open(req.filename) finds the file."""
    site = httpd.site(
        PYTHON,
        {
            "odd.py": """
                def handler(req):
                    with open(req.filename, "rb") as file:
                        req.write(file.read())
                    req.write(req.finfo.fname == req.filename and " same" or " different")
                    return 0
                """
        },
    )
    with open(os.path.join(os.fsencode(site.directory), name), "wb") as file:
        file.write(b"content")
    sent = b"".join(b"%%%02x" % byte for byte in name)
    assert site.raw_request(sent).body == b"content same"


def test_sendfile_with_an_odd_name(httpd):
    """sendfile takes such a name."""
    site = httpd.site(PYTHON, {"odd.py": "def handler(req):\n    req.sendfile(req.filename)\n    return 0\n"})
    with open(os.path.join(os.fsencode(site.directory), b"\xff"), "wb") as file:
        file.write(b"content")
    assert site.raw_request(b"%ff").body == b"content"


def test_in_a_directory_name(httpd):
    """A handler's directory may have such a name."""
    site = httpd.site()
    directory = os.path.join(os.fsencode(site.directory), b"d\xffr")
    os.mkdir(directory)
    for name, text in (
        (b".htaccess", PYTHON),
        (b"odd.py", "def handler(req):\n    req.write('x')\n    return 0\n"),
    ):
        with open(os.path.join(directory, name), "w") as file:
            file.write(text)
    assert site.raw_request(b"d%ffr/x").body == b"x"


def test_setting_odd_values(httpd):
    """The same bytes go back: filename, args, headers_out."""
    assert httpd.run(
        r"""
        req.filename = "/\udcff"
        req.args = "\udcfe=1"
        return [ascii(req.filename), ascii(req.args)]
        """
    ) == [r"'/\udcff'", r"'\udcfe=1'"]


def test_headers_out(httpd):
    """A header value is sent as ISO-8859-1."""
    site = httpd.site(
        PYTHON,
        {"odd.py": "def handler(req):\n    req.headers_out['X-Odd'] = 'ä\\xff'\n    return 0\n"},
    )
    answer = site.raw_request(b"x")
    assert answer.headers["X-Odd"].encode("latin-1", "surrogateescape") == b"\xe4\xff"


@pytest.mark.parametrize("value", [r"a\r\nX-Evil: 1", r"a\nb", r"a\0b", r"a\rb"])
def test_header_injection(httpd, value):
    """A table refuses CR, LF and NUL in a value and in a key."""
    assert httpd.run(
        f'''
        refused = 0
        for key, text in [("X-A", "{value}"), ("{value}", "x")]:
            for put in (req.headers_out.__setitem__, req.headers_out.add):
                try:
                    put(key, text)
                except ValueError:
                    refused += 1
        return [refused, "X-A" in req.headers_out]
        '''
    ) == [4, False]


def test_character_beyond_latin1(httpd):
    """A character that ISO-8859-1 lacks is a ValueError in a table."""
    assert (
        httpd.run(
            """
        try:
            req.headers_out["X-Odd"] = "€"
        except ValueError:
            return "refused"
        """
        )
        == "refused"
    )


@pytest.mark.parametrize("member", ["content_type", "status_line"])
def test_members_that_become_headers(httpd, member):
    """Members that end up in the response's head refuse line breaks as well."""
    assert (
        httpd.run(
            f"""
        try:
            req.{member} = "200 a\\r\\nX-Evil: 1"
        except ValueError:
            return "refused"
        """
        )
        == "refused"
    )


@pytest.mark.parametrize("member", ["filename", "uri", "args", "path_info", "handler", "user"])
def test_nul_in_a_member(httpd, member):
    """No member takes a NUL."""
    assert (
        httpd.run(
            f"""
        try:
            req.{member} = "a\\0b"
        except ValueError:
            return "refused"
        """
        )
        == "refused"
    )


def test_spelling_of_header_names(httpd):
    """dict(req.headers_in) keeps the client's spelling of names."""
    site = httpd.site(
        PYTHON,
        {"odd.py": "def handler(req):\n    req.write(repr(sorted(dict(req.headers_in))))\n    return 0\n"},
    )
    body = site.raw_request(b"x", headers={b"x-LoWeR": b"1", b"X-UPPER": b"2"}).body
    assert b"'x-LoWeR'" in body and b"'X-UPPER'" in body


def test_request_line_of_any_bytes(httpd):
    """A request line that is none at all is Apache's to refuse; the next is served."""
    site = httpd.site(PYTHON, {"odd.py": SHOW})
    for line in (b"\xff\xfe\xfd\r\n\r\n", b"GET\r\n\r\n", b"GET /\0 HTTP/1.1\r\n\r\n"):
        with site.connect() as connection:
            connection.send(line)
            connection.end_of_input()
            connection.read_all()
    assert show(site, b"x")[0] == site.prefix + "x"


def test_odd_options(httpd):
    """Directives may contain any bytes; tables show them as ISO-8859-1."""
    options = httpd.run("return dict(req.get_options())", config='PythonOption späm "€"')
    assert options == {"späm".encode().decode("latin-1"): "€".encode().decode("latin-1")}
