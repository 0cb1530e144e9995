"""Nothing that a program puts into a response's head ends a line of it (RFC 9112, 11.1).

A client may have chosen the text. What is tried is found by looking at the types, so that a
new member or table is tried as well; what is asserted is what came over the wire.
"""

import pytest

CODE = '''
    import json
    from mod_python import Cookie, apache, util

    EVIL = [
        "a" + end + "X-Evil: 1" + rest
        for end in ("\\r\\n", "\\n", "\\r", "\\0", "\\u010d\\u010a", "\\n\\n", "\\r\\n\\r\\n")
        for rest in ("", "\\r\\n")
    ]
    EVIL += [text.encode() for text in EVIL]

    def members(req):
        """Those that take text."""
        names = []
        for name, member in vars(type(req)).items():
            if hasattr(member, "__set__") and name[0] != "_":
                before = getattr(req, name, None)
                try:
                    setattr(req, name, "x")
                except (AttributeError, TypeError, ValueError):
                    continue
                if getattr(req, name) == "x":
                    names.append(name)
                setattr(req, name, before)
        return names

    def tables(req):
        table = type(req.headers_out)
        return [name for name in dir(req) if isinstance(getattr(req, name, None), table)]

    def set_item(table, key, value):
        table[key] = value

    def merge(table, key, value):
        table |= {key: value}

    WAYS = {
        "set": set_item,
        "merge": merge,
        "add": lambda table, key, value: table.add(key, value),
        "setdefault": lambda table, key, value: table.setdefault(key, value),
        "update": lambda table, key, value: table.update({key: value}),
        "init": lambda table, key, value: table.__init__({key: value}),
    }

    def redirect(req, text):
        util.redirect(req, text)

    def redirect_permanently(req, text):
        util.redirect(req, "/" + text if isinstance(text, str) else text, 1, "here")

    def redirect_inside(req, text):
        req.internal_redirect(text)

    def allow(req, text):
        req.allow_methods([text])
        return apache.HTTP_METHOD_NOT_ALLOWED

    def add_filter(req, text):
        req.add_output_filter(text)

    def get_auth(req, text):
        req.ap_auth_type = "Basic"
        req.user = text
        return apache.HTTP_UNAUTHORIZED

    def cookie_name(req, text):
        Cookie.add_cookie(req, text, "value")

    def cookie_value(req, text):
        Cookie.add_cookie(req, "name", text)

    def cookie_path(req, text):
        Cookie.add_cookie(req, Cookie.Cookie("name", "value", path=text))

    def wsgi_status(req, text):
        req.wsgi_start_response(text, [("Content-Type", "text/plain")])

    def wsgi_value(req, text):
        req.wsgi_start_response("200 OK", [("Content-Type", text), ("X-Value", text), ("Location", text)])

    def wsgi_name(req, text):
        req.wsgi_start_response("200 OK", [(text, "value")])

    FUNCTIONS = {
        function.__name__: function
        for function in (
            redirect, redirect_permanently, redirect_inside, allow, add_filter, get_auth,
            cookie_name, cookie_value, cookie_path, wsgi_status, wsgi_value, wsgi_name,
        )
    }

    def handler(req):
        if req.args == "plan":
            plan = [["function", name, ""] for name in FUNCTIONS]
            plan += [["table", name, way] for name in tables(req) for way in WAYS]
            plan += [["key", name, way] for name in tables(req) for way in WAYS]
            req.write(json.dumps([len(EVIL), plan, members(req)]))
            return apache.OK
        kind, name, way, number = req.args.split(",")
        text = EVIL[int(number)] if number else "benign"
        try:
            result = use(req, kind, name, way, text)
        except (ValueError, TypeError, Cookie.CookieError):
            req.write("refused", 0)
            return apache.OK
        if result is None:
            req.write("taken", 0)
        return apache.OK if result is None else result

    def use(req, kind, name, way, text):
        if kind == "function":
            return FUNCTIONS[name](req, text)
        if kind == "table":
            WAYS[way](getattr(req, name), "X-Value", text)
        elif kind == "key":
            WAYS[way](getattr(req, name), text, "value")
        else:
            setattr(req, name, text)
        return None
    '''

CONFIG = "SetHandler python-program\nPythonHandler splitting"


@pytest.fixture
def site(httpd):
    """Handlers that set things."""
    return httpd.site(CONFIG, {"splitting.py": CODE})


def head_of(connection, site, query):
    """The bytes of the head, which is alone in it."""
    request = f"GET {site.prefix}x?{query} HTTP/1.0\r\n\r\n"
    connection.send(request.encode())
    return connection.read_all().partition(b"\r\n\r\n")


def check(site, kind, name, way, count):
    """No text leads to a line of its own."""
    for number in range(count):
        with site.connect() as connection:
            head, end, body = head_of(connection, site, f"{kind},{name},{way},{number}")
        told = (kind, name, way, number, head, body)
        assert end, told
        lines = head.split(b"\r\n")
        assert lines[0].startswith(b"HTTP/1.1 "), told
        for line in lines:
            assert not line.lower().startswith(b"x-evil"), told
            assert not set(b"\r\n\0") & set(line), told
        assert not body.lower().startswith(b"x-evil"), told
    # What has no such character may still be none of a header's: then Apache refuses it.
    refusals = "AH02429: Response header|AH00126: Invalid URI|AH00082: an unknown filter"
    if found := site.server.error_log.find(refusals):
        site.expect_log(refusals, times=len(found))


def test_members(site):
    """Every member of the request that takes text."""
    count, _, names = site.get("x?plan").json()
    assert {"content_type", "status_line", "user", "handler", "args", "filename"} <= set(names)
    for name in names:
        check(site, "member", name, "", count)


@pytest.mark.parametrize("kind", ["table", "key"])
def test_tables(site, kind):
    """Values and keys of every table of the request, in every way."""
    count, plan, _ = site.get("x?plan").json()
    mine = [item for item in plan if item[0] == kind]
    assert {"headers_out", "err_headers_out", "subprocess_env", "notes"} <= {name for _, name, _ in mine}
    for item in mine:
        check(site, *item, count)


def test_functions(site):
    """What makes a header of an argument."""
    count, plan, _ = site.get("x?plan").json()
    for item in plan:
        if item[0] == "function":
            check(site, *item, count)


def test_harmless_text_arrives(site):
    """What is tested would be seen."""
    for query, header in (("table,headers_out,set,", "X-Value"), ("table,err_headers_out,add,", "X-Value")):
        assert site.get(f"x?{query}").headers[header] == "benign"
    assert site.get("x?member,content_type,,").headers["Content-Type"] == "benign"
    assert site.get("x?function,redirect,,").headers["Location"] == "benign"
