"""Manual 4.6.1, FieldStorage: where fields come from, what they are, the mapping."""

import pytest

FIELDS = "[[field.name, str(field)] for field in form.list]"
MULTIPART = {"Content-Type": 'multipart/form-data; boundary="b=1"'}
URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}

ECHO = """
    from mod_python import apache, util

    def handler(req):
        options = req.get_options()
        form = util.FieldStorage(req, int(options.get("blanks", 0)), int(options.get("strict", 0)))
        req.content_type = "text/plain; charset=utf-8"
        for name, field in form.items():
            value = field.value if isinstance(field, util.Field) else field.encode("utf-8", "surrogateescape")
            req.write(ascii((name, field.filename, value)) + "\\n", 0)
        return apache.OK
    """
SETUP = "SetHandler python-program\nPythonHandler echo\n"


def form_of(httpd, code, path="x", **options):
    """What code returns of `form`."""
    code = "from mod_python import util\nform = util.FieldStorage(req)\n" + code
    return httpd.run(code, path, **options)


def echo(httpd, config=""):
    """A site that shows what a form has."""
    return httpd.site(SETUP + config, {"echo.py": ECHO})


def multipart(*parts):
    """A multipart body from pairs of headers and content."""
    body = b"".join(
        b"--b=1\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + text + b"\r\n"
        for head, text in parts
    )
    return body + b"--b=1--\r\n"


def test_url(httpd):
    """The fields of the URL, whatever the method; no body is read but that of a POST."""
    code = f"return {FIELDS}"
    pairs = [["a", "1"], ["b", "two words"], ["a", "ü/&="]]
    assert form_of(httpd, code, "x?a=1&b=two+words&a=%C3%BC%2f%26%3D") == pairs
    assert form_of(httpd, code, "x?a=1", method="PUT", content=b"b=2", headers=URLENCODED) == [["a", "1"]]
    assert form_of(httpd, code) == []


@pytest.mark.parametrize(
    "headers", [URLENCODED, {"Content-Type": "Application/X-WWW-Form-URLencoded; charset=x"}, {}]
)
def test_url_then_body(httpd, headers):
    """The URL's fields come first; a body without type is a urlencoded one."""
    got = form_of(httpd, f"return {FIELDS}", "x?a=1", method="POST", content=b"b=2&a=3", headers=headers)
    assert got == [["a", "1"], ["b", "2"], ["a", "3"]]


@pytest.mark.parametrize("boundary", ["b=1", '"b=1"', ' "b=1" ; charset=utf-8'])
def test_multipart(httpd, boundary):
    """The boundary may be quoted, and contain an equals sign either way."""
    body = multipart((b'name="b"', b"2"), (b'name="c";\r\n filename="f"', b"3"))
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    code = "return [[f.name, f.filename, str(f.value), repr(f)] for f in form.list]"
    got = form_of(httpd, code, "x?a=1", method="POST", content=body, headers=headers)
    assert got == [
        ["a", None, "1", "Field('a', '1')"],
        ["b", None, "2", "Field('b', '2')"],
        ["c", "f", "b'3'", "Field('c', filename='f')"],
    ]


def test_bytes_make_the_round_trip(httpd):
    """What is no UTF-8 becomes surrogates, in URLs, in bodies and in parts."""
    code = "return [str(f).encode('utf-8', 'surrogateescape').hex() for f in form.list]"
    assert form_of(httpd, code, "x?a=%ff", method="POST", content=b"b=%fe&c=\xfd") == ["ff", "fe", "fd"]
    body = multipart((b'name="a"', b"\xc3\xbc\xfc"))
    assert form_of(httpd, code, method="POST", content=body, headers=MULTIPART) == ["c3bcfc"]


def test_blank_values(httpd):
    """Fields without a value count with keep_blank_values, and always in multipart bodies."""
    code = "from mod_python import util\nreturn [list(f) for f in util.FieldStorage(req, {}).items()]"
    assert httpd.run(code.format(0), "x?a=&b&c=1") == [["c", "1"]]
    assert httpd.run(code.format(1), "x?a=&b&c=1") == [["a", ""], ["b", ""], ["c", "1"]]
    body = multipart((b'name="a"', b""))
    assert httpd.run(code.format(0), method="POST", content=body, headers=MULTIPART) == [["a", ""]]


def test_length_required(httpd):
    """A POST without Content-Length is refused, a chunked one too."""
    site = echo(httpd)
    for headers, body in (({}, b""), ({b"Transfer-Encoding": b"chunked"}, b"3\r\na=1\r\n0\r\n\r\n")):
        response = site.raw_request(b"x", method=b"POST", headers=headers, body=body)
        assert response.status == 411


def test_other_types(httpd):
    """A body that is no form is not implemented; multipart needs a boundary."""
    site = echo(httpd)
    types = {"application/json": 501, "text/plain": 501, "x": 501}
    types |= {"multipart/form-data": 400, "multipart/mixed; boundary=": 400}
    for content_type, status in types.items():
        response = site.post("x", content=b"a=1", headers={"Content-Type": content_type})
        assert response.status_code == status, content_type


@pytest.mark.parametrize("length", [b"x", b"-1", b"+3", b"3 3", b"0x3"])
def test_bad_length(httpd, length):
    """A Content-Length that is no number is a bad request."""
    response = echo(httpd).raw_request(b"x", method=b"POST", headers={b"Content-Length": length}, body=b"a=1")
    assert response.status == 400


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_other_methods_need_no_length(httpd, method):
    """Only a POST has a form in its body."""
    response = echo(httpd).request(method, "x?a=1")
    assert response.status_code == 200


STRICT = [
    ("x?a", URLENCODED, b"b=1"),
    ("x?a=1", URLENCODED, b"b"),
    ("x", URLENCODED, b"a=1&&b=2"),
    ("x", MULTIPART, multipart((b'name="a"', b"1"))[:-8]),
    ("x", MULTIPART, multipart((b"", b"1"))),
    ("x", MULTIPART, b"a=1"),
    ("x", MULTIPART, b""),
]


@pytest.mark.parametrize(("path", "headers", "body"), STRICT)
def test_strict_parsing(httpd, path, headers, body):
    """Malformed data are refused by strict_parsing, else left out; the log says what."""
    headers = {**headers, "Content-Length": str(len(body))}
    site = echo(httpd, "PythonOption strict 1")
    assert site.post(path, headers=headers, content=body).status_code == 400
    site.expect_log("KK0120: form refused: .* malformed")
    assert echo(httpd).post(path, headers=headers, content=body).status_code == 200


def test_strict_parsing_of_good_forms(httpd):
    """There is nothing against forms as clients send them."""
    site = echo(httpd, "PythonOption strict 1\nPythonOption blanks 1")
    assert site.get("x").text == site.post("x").text == site.get("x?").text == ""
    assert site.post("x?a=", data={"b": ""}).text == "('a', None, b'')\n('b', None, b'')\n"
    assert site.post("x", files={"f": ("n", b"1")}).text == "('f', 'n', b'1')\n"


@pytest.mark.parametrize("rest", [b"", b"\r", b"\r\n", b"\r\n--b", b"\r\n--b=1", b"\r\n--b=1-"])
def test_truncated(httpd, rest):
    """What was read of a body that breaks off is kept."""
    body = multipart((b'name="a"', b"1"), (b'name="b"; filename="f"', b"two"))
    site = echo(httpd)
    response = site.post("x", content=body[: body.rindex(b"two") + 3] + rest, headers=MULTIPART)
    assert response.text == "('a', None, b'1')\n('b', 'f', b'two')\n"
    site.expect_log("KK0120: form read in part: the body is malformed: Unexpected end")


def test_cut_off_by_the_client(httpd):
    """A body that is shorter than its Content-Length is the client's fault, as it is for
    req.read()."""
    site = echo(httpd)
    with site.connect() as connection:
        head = f"POST {site.prefix}x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
        connection.send(f"{head}Content-Type: {MULTIPART['Content-Type']}\r\n\r\n".encode())
        connection.send(multipart((b'name="a"', b"1")))
        connection.end_of_input()
        assert connection.response().status == 400
    site.expect_log("KK0111")


def test_mapping(httpd):
    """One field is itself, several are a list; the order is that of the form."""
    code = """
        assert form["a"] == ["1", "3"] and form["b"] == "2"
        assert type(form["b"]) is util.StringField
        assert form.get("b") == "2" and form.get("c") is None and form.get("c", 0) == 0
        assert form.get(name="a", default=0) == ["1", "3"] and form.get(name="c", default=0) == 0
        assert form.getfirst("a") == "1" and form.getfirst("c") is None and form.getfirst("c", 0) == 0
        assert form.getlist("a") == ["1", "3"] and form.getlist("b") == ["2"] and form.getlist("c") == []
        assert "a" in form and "c" not in form and form.has_key("a") and not form.has_key("c")
        assert len(form) == 2 and form and list(form) == ["a", "b"] and form.keys() == ["a", "b"]
        assert form.items() == [("a", "1"), ("b", "2"), ("a", "3")] and form.values() == ["1", "2", "3"]
        assert form.list.table() == {"a": ["1", "3"], "b": ["2"]}
        assert dict(form) == {"a": ["1", "3"], "b": "2"}
        assert repr(form) == "FieldStorage([Field('a', '1'), Field('b', '2'), Field('a', '3')])"
        for name in ("c", "", None):
            try:
                form[name]
            except KeyError:
                continue
            assert False
        return "all"
        """
    assert form_of(httpd, dedent(code), "x?a=1&b=2&a=3") == "all"


def dedent(code):
    return "\n".join(line[8:] for line in code.splitlines())


def test_mapping_changes(httpd):
    """Fields can be added, replaced and removed; the list and its table follow."""
    code = """
        form.add_field("c", "4")
        form.add_field("a", b"\\xff")
        assert form.items() == [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), ("a", "\\udcff")]
        assert type(form["c"]) is util.StringField and form["c"].name == "c"
        form["a"] = "5"
        assert form.items() == [("b", "2"), ("c", "4"), ("a", "5")]
        form["b"] = ["6", form["c"], util.Field("x")]
        assert [(f.name, f.value) for f in form.getlist("b")] == [("b", "6"), ("b", "4"), ("b", b"")]
        del form["c"]
        assert form.keys() == ["a", "b"] and form.list.table().keys() == {"a", "b"}
        assert form.pop("a") == "5" and form.setdefault("d", "7") == "7" and form["d"].value == "7"
        form.update(e="8")
        assert form["e"] == "8" and form == form and form != dict(form) and {form: 1}
        for act in (lambda: form.__delitem__("c"), lambda: form.pop("c")):
            try:
                act()
            except KeyError:
                continue
            assert False
        for name, value in (("a", 5), ("a", None), (b"a", "1"), ("a", ["1", 2])):
            before = form.items()
            try:
                form[name] = value
            except TypeError:
                assert form.items() == before
                continue
            assert False
        form.clear()
        assert not form and form.list == [] and form.items() == []
        return "all"
        """
    assert form_of(httpd, dedent(code), "x?a=1&b=2&a=3") == "all"


def test_callbacks(httpd):
    """The program says where uploads, and values, are written."""
    code = """
        import io
        from mod_python import util
        files = {}
        def file_callback(filename):
            return files.setdefault(filename, io.BytesIO())
        def field_callback():
            return files.setdefault(None, io.BytesIO())
        form = util.FieldStorage(req, file_callback=file_callback, field_callback=field_callback)
        assert form["b"].file is files["f"] and form["a"].file is files[None] and form["a"] == "1"
        return [file.read().decode() for file in files.values()]
        """
    body = multipart((b'name="a"', b"1"), (b'name="b"; filename="f"', b"two"))
    assert httpd.run(code, method="POST", content=body, headers=MULTIPART) == ["1", "two"]


def test_callback_that_fails(httpd):
    """Its exception is the handler's."""
    code = """
        from mod_python import util
        def file_callback(filename):
            raise ZeroDivisionError(filename)
        try:
            util.FieldStorage(req, file_callback=file_callback)
        except ZeroDivisionError as error:
            return str(error)
        """
    body = multipart((b'name="b"; filename="f"', b"two"))
    assert httpd.run(code, method="POST", content=body, headers=MULTIPART) == "f"


LIMITS = [
    ("max_fields 3", URLENCODED, b"a=1&b=1&c=1", "4 fields"),
    ("max_field_size 5", URLENCODED, b"a=%31%31%31%31%31%31", "6 bytes"),
    ("max_text_size 10", URLENCODED, b"a=1&b=12345", "11 bytes"),
    ("max_body_size 10", URLENCODED, b"a=1&b=12345", "11 bytes"),
    ("max_body_size 10", MULTIPART, multipart((b'name="a"', b"1")), "bytes"),
    (
        "max_uploads 1",
        MULTIPART,
        multipart((b"name=a; filename=a", b""), (b"name=b; filename=b", b"")),
        "2 uploads",
    ),
    ("max_header_size 50", MULTIPART, multipart((b"name=" + b"a" * 50, b"")), "header"),
    ("max_field_size 5", MULTIPART, multipart((b"name=a", b"123456")), "6 bytes"),
]


@pytest.mark.parametrize(("option", "headers", "body", "words"), LIMITS)
def test_limits(httpd, option, headers, body, words):
    """What is too large is refused, and the log says which option it was."""
    site = echo(httpd, f"PythonOption mod_python.form.{option}")
    response = site.post("x?z=0", headers=headers, content=body)
    assert response.status_code == 413
    name, value = option.split()
    site.expect_log(rf"KK0121: form refused: .*{words}.*PythonOption mod_python\.form\.{name} is {value}$")
    assert echo(httpd).post("x?z=0", headers=headers, content=body).status_code == 200


def test_limits_hold_for_the_url(httpd):
    """The URL's fields are counted too."""
    site = echo(httpd)
    assert site.get("x?" + "a=1&" * 999).status_code == 200
    assert site.get("x?" + "a=1&" * 1001).status_code == 413
    site.expect_log("KK0121")


def test_too_large_by_its_length(httpd):
    """A body that says it is too large is not even asked for."""
    site = echo(httpd, "PythonOption mod_python.form.max_body_size 10")
    with site.connect() as connection:
        head = f"POST {site.prefix}x HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nExpect: 100-continue\r\n"
        connection.send(f"{head}Content-Type: {MULTIPART['Content-Type']}\r\n\r\n".encode())
        assert connection.response().status == 413  # and not 100
    site.expect_log("KK0121: form refused: 11 bytes or more")


def test_limit_request_body(httpd):
    """Apache's own limit holds."""
    site = echo(httpd, "LimitRequestBody 10")
    assert site.post("x", data={"a": "1" * 20}).status_code == 413
    assert site.post("x", files={"a": b"1" * 20}).status_code == 413
    site.expect_log("KK0111", 2)


def test_options_that_are_no_numbers(httpd):
    """The log says which, and what it should be."""
    site = echo(httpd, "PythonOption mod_python.form.max_fields many")
    assert site.get("x").status_code == 500
    site.expect_log("KK0101.*ValueError: PythonOption mod_python.form.max_fields must be a number.*'many'")


def test_large_urlencoded_body(httpd):
    """Any size within the limits."""
    site = echo(httpd)
    value = "ü&" * 700_000
    [line] = site.post("x", data={"a": value}).text.splitlines()
    assert len(line) == len(ascii(("a", None, value.encode())))


def test_expansion_by_a_filter(httpd):
    """A body that an input filter makes larger is measured as it comes out."""
    server = httpd(
        "PythonPath \"sys.path + ['${root}/lib']\"\nPythonInputFilter bomb::grow GROW\n",
        {
            "lib/bomb.py": """
                def grow(filter):
                    while data := filter.read():
                        for byte in data:
                            filter.write(bytes([byte]) * 1000)
                    if data is None:
                        filter.close()
                """
        },
    )
    site = echo(server, "SetInputFilter GROW\nPythonOption mod_python.form.max_text_size 5000")
    assert site.post("x", content=b"a=1", headers=URLENCODED).status_code == 200
    assert site.post("x", content=b"a=1234", headers=URLENCODED).status_code == 413
    site.expect_log("KK0121: form refused: 5001 bytes")


@pytest.mark.parametrize("reload", ["On", "Off"])
def test_form_of_an_early_phase(httpd, reload):
    """req.form that one phase has set is there in the next."""
    code = """
        from mod_python import apache, util

        def fixuphandler(req):
            req.form = util.FieldStorage(req, 1)
            return apache.OK

        def handler(req):
            req.write(req.form.getfirst("name"))
            return apache.OK
        """
    config = (
        f"SetHandler python-program\nPythonFixupHandler early\nPythonHandler early\nPythonAutoReload {reload}"
    )
    site = httpd.site(config, {"early.py": code})
    assert site.post("x", data={"name": "spam"}).text == "spam"
