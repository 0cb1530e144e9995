"""What later versions added to connections, servers, filters, the list of handlers,
finfo and tables."""

import time

import pytest

# Connection


def test_client_address(httpd):
    """client_ip and client_addr are the same as remote_*."""
    assert httpd.run(
        """
        c = req.connection
        return [c.client_ip == c.remote_ip == "127.0.0.1", c.client_addr == c.remote_addr,
                c.client_addr[0], type(c.client_addr[1]).__name__]
        """
    ) == [True, True, "127.0.0.1", "int"]


def test_connection_hlist(httpd):
    """In a connection handler, the handler; past the end all None."""
    config = """
        PythonPath "sys.path+['${root}']"
        PythonConnectionHandler greeter::greet
        """
    code = """
        from mod_python import apache

        def show(hlist):
            return repr((hlist.handler, hlist.directory, hlist.is_location, hlist.location, hlist.silent))

        def greet(conn):
            hlist = conn.hlist
            conn.write(f"{type(hlist)} {show(hlist)}")
            hlist.next()
            conn.write(f" {show(hlist)} {show(conn.hlist)}")
            hlist.next()
            conn.log_error("from the connection", apache.APLOG_NOTICE)
            return apache.OK
        """
    server = httpd(config, {"greeter.py": code})
    with server.connect() as connection:
        connection.send(b"hello\n")
        text = connection.read_all().decode()
    shown = repr(("greeter::greet", None, False, None, False))
    assert text == f"<class 'mp_hlist'> {shown} {(None,) * 5!r} {shown}"
    server.expect_log("from the connection")


def test_hlist_of_a_requests_connection(httpd):
    """Where no connection handler runs it is past its end."""
    assert httpd.run("h = req.connection.hlist\nreturn [h.handler, h.directory, h.silent]") == [None] * 3


# Server

SERVERS = """
    LimitRequestLine 5000
    LimitRequestFieldSize 6000
    LimitRequestFields 70
    KeepAlive On
    <VirtualHost *:${port}>
        ServerName one.example
        DocumentRoot "${htdocs}"
        KeepAlive Off
    </VirtualHost>
    <VirtualHost *:${port}>
        ServerName two.example
        DocumentRoot "${htdocs}"
        ServerAlias two.alias alias.example *.wild.example ?.two.example
    </VirtualHost>
    """


def test_names(httpd):
    """names and wild_names are what ServerAlias gives."""
    server = httpd(SERVERS)
    code = "return [list(req.server.names), list(req.server.wild_names), type(req.server.names).__name__]"
    assert server.run(code, headers={"Host": "two.example"}) == [
        ["two.alias", "alias.example"],
        ["*.wild.example", "?.two.example"],
        "tuple",
    ]
    assert server.run(code, headers={"Host": "one.example"}) == [[], [], "tuple"]


def test_next(httpd):
    """The virtual hosts follow the main server; each is the same object each time."""
    assert httpd(SERVERS).run(
        """
        names, server = [], apache.main_server
        while server is not None:
            names.append(server.server_hostname)
            assert server.next is server.next
            server = server.next
        return [names[0], sorted(names[1:])]
        """
    ) == ["www.example.com", ["one.example", "two.example"]]


def test_limits(httpd):
    """The limits of requests, and KeepAlive as 1 or 0."""
    server = httpd(SERVERS)
    code = "s = {}\nreturn [s.limit_req_line, s.limit_req_fieldsize, s.limit_req_fields, s.keep_alive]"
    assert server.run(code.format("apache.main_server")) == [5000, 6000, 70, 1]
    assert server.run(code.format("req.server"), headers={"Host": "one.example"})[3] == 0


def test_generation_and_restart_time(httpd):
    """my_generation counts restarts; restart_time is of the last one."""
    server = httpd("# generations")
    code = "return [req.server.my_generation, req.server.restart_time]"
    generation, started = server.run(code)
    assert (generation, isinstance(started, int)) == (0, True)
    assert abs(started - time.time()) < 600
    server.graceful()
    again, restarted = server.run(code)
    assert again == 1
    assert started <= restarted <= time.time()


def test_error_fname(httpd):
    """The error log as it is configured."""
    assert httpd.run("return req.server.error_fname") == "logs/error_log"


@pytest.mark.parametrize(
    "name",
    [
        "next",
        "names",
        "wild_names",
        "keep_alive",
        "limit_req_line",
        "my_generation",
        "restart_time",
        "_server_rec",
    ],
)
def test_server_members_are_read_only(httpd, name):
    """None of them can be assigned to."""
    assert (
        httpd.run(
            f"try:\n    req.server.{name} = 1\nexcept (AttributeError, TypeError):\n    return 'refused'"
        )
        == "refused"
    )


# Filter


def test_filter_directory(httpd):
    """dir is the handler's directory."""
    code = """
        def outputfilter(filter):
            filter.write(filter.dir)
            filter.close()

        def handler(req):
            req.write("x", 0)
            return 0
        """
    config = """
        <Directory "${htdocs}/sub">
            SetHandler python-program
            PythonHandler filtering
            PythonOutputFilter filtering SAYING
            SetOutputFilter SAYING
        </Directory>
        """
    server = httpd(config, {"htdocs/sub/filtering.py": code})
    assert server.get("sub/x").text == f"{server.htdocs}/sub/"


def test_filter_left_open_is_flushed(httpd):
    """What a handler has written goes on although it neither flushes nor closes."""
    code = """
        from mod_python import apache

        def outputfilter(filter):
            data = filter.read()
            while data:
                print(data.decode(), end="|", file=filter)
                data = filter.read()

        def handler(req):
            req.write("first")
            req.write(req.connection.notes.get("x", "second"))
            return apache.OK
        """
    config = """
        PythonPath "sys.path+['${root}']"
        <Location />
            SetHandler python-program
            PythonHandler leaving
            PythonOutputFilter leaving LEAVING
            SetOutputFilter LEAVING
        </Location>
        """
    assert httpd(config, {"leaving.py": code}).get("x").text == "first|second|"


# hlist

HLIST = """
    from mod_python import apache

    def walk(hlist):
        found = []
        while hlist.handler is not None:
            found.append(hlist.handler if isinstance(hlist.handler, str) else hlist.handler.__name__)
            hlist.next()
        return found

    def one(req):
        req.walked = [walk(req.hlist)]
        req.add_handler("PythonHandler", added)
        req.add_handler("PythonHandler", "walking::three")
        return apache.OK

    def two(req):
        req.walked.append(walk(req.hlist))
        return apache.OK

    def added(req):
        req.walked.append(walk(req.hlist))
        return apache.OK

    def three(req):
        req.walked.append(walk(req.hlist))
        req.write(repr(req.walked))
        return apache.OK
    """


def test_hlist(httpd):
    """From the running handler on, those added included."""
    site = httpd.site(
        "SetHandler python-program\nPythonHandler walking::one walking::two walking::two",
        {"walking.py": HLIST},
    )
    one, two, three = "walking::one", "walking::two", "walking::three"
    assert site.get("x").text == repr(
        [
            [one, two, two],
            [two, two, "added", three],
            [two, "added", three],
            ["added", three],
            [three],
        ]
    )


def test_hlist_members(httpd):
    """directory, is_location, location and silent; past the end all None."""
    code = """
        from mod_python import apache

        def show(h):
            return (h.handler, h.directory, h.is_location, h.location, h.silent)

        def handler(req):
            hlist = req.hlist
            shown = [show(hlist)]
            hlist.next()
            hlist.next()
            shown.append(show(hlist))
            req.write(repr(shown))
            return apache.OK
        """
    site = httpd.site("SetHandler python-program\nPythonHandlerModule members5", {"members5.py": code})
    expected = ("members5", f"{site.directory}/", False, None, True)
    assert site.get("x").text == repr([expected, (None,) * 5])


def test_hlist_of_other_phases(httpd):
    """Each phase has its own list."""
    code = """
        from mod_python import apache

        def fixup(req):
            req.seen = req.hlist.handler
            return apache.OK

        def handler(req):
            req.write(req.seen + " " + req.hlist.handler)
            return apache.OK
        """
    site = httpd.site(
        "SetHandler python-program\nPythonFixupHandler phases5::fixup\nPythonHandler phases5",
        {"phases5.py": code},
    )
    assert site.get("x").text == "phases5::fixup phases5"


# finfo


def test_finfo(httpd):
    """The attributes, of which 13 are items too; None if unknown; another finfo is taken."""
    assert httpd.run(
        """
        names = ("protection inode device nlink user group size atime mtime ctime fname name "
                 "filetype").split()
        known = apache.stat(__file__, apache.APR_FINFO_NORM)
        some = apache.stat(__file__, apache.APR_FINFO_SIZE)
        missing = apache.stat("/missing", 0)
        req.finfo = known
        refused = 0
        for wrong in (tuple(known), None, 5):
            try:
                req.finfo = wrong
            except TypeError:
                refused += 1
        return [
            [getattr(known, name) for name in names] == list(known),
            known.valid & apache.APR_FINFO_MIN == apache.APR_FINFO_MIN,
            [getattr(missing, name) for name in names if name not in ("fname", "filetype")] == [None] * 11,
            some.size == known.size and some.valid & apache.APR_FINFO_SIZE > 0,
            tuple(req.finfo) == tuple(known),
            refused,
        ]
        """
    ) == [True] * 5 + [3]


# Table

TABLE = """
    import collections.abc

    t = apache.table({"a": 1})
    t.add("A", "2")
    t.add("b", b"3")
    answers = {}
    answers["duplicates"] = [len(t), t.keys(), t.items(), list(t), t.values()]
    answers["get"] = [t.get("a"), t.get("x"), t.get("x", 5)]
    answers["copy"] = apache.table(t).copy().items()
    answers["dict's"] = sorted(set(dir(dict)) - set(dir(t)) - {"__class_getitem__"})
    answers["own"] = [t.has_key("B"), list(t.iterkeys()), list(t.itervalues()), list(t.iteritems())]
    answers["prints"] = repr(apache.table([("x", 5)]))
    answers["compares"] = [apache.table({"x": "5"}) == {"x": "5"}, apache.table() != {}]
    answers["setdefault"] = [t.setdefault("new"), t.setdefault("a"), t["new"]]
    t["a"] = "only"
    answers["assignment"] = [t["a"], len(t)]
    del t["a"], t["b"], t["new"]

    def kind(function, *arguments, **keywords):
        try:
            function(*arguments, **keywords)
        except Exception as error:
            return type(error).__name__

    class Failing:
        def __str__(self):
            raise ZeroDivisionError

    answers["errors"] = [
        kind(t.popitem), kind(t.update, None), kind(t.update, {"x": Failing()}), kind(hash, t),
        kind(t.__setitem__, "x", 5), kind(t.__setitem__, 5, "x"), kind(t.add, "x", 5), kind(t.add, 5, "x"),
        kind(t.__getitem__, "missing"), kind(t.__delitem__, "missing"), kind(apache.table, 5),
    ]
    t.update({"x": 1.5, 2: None})
    answers["str"] = [t["x"], t["2"]]

    def grow():
        for key in t:
            t[key + "0"] = "x"

    answers["iteration"] = kind(grow)

    class Own(apache.table):
        pass

    answers["subclass"] = [Own({"x": "y"})["x"], isinstance(t, collections.abc.MutableMapping)]
    return answers
    """


def test_table(httpd):
    """A table has all of dict's protocol, and keeps duplicates."""
    pairs = [["a", "1"], ["A", "2"], ["b", "3"]]
    keys, values = ["a", "A", "b"], ["1", "2", "3"]
    answers = httpd.run(TABLE)
    assert answers.pop("duplicates") == [3, keys, pairs, keys, values]
    assert answers.pop("iteration") == "RuntimeError"
    assert answers == {
        "get": ["1", None, 5],
        "copy": pairs,
        "dict's": [],
        "own": [True, keys, values, pairs],
        "prints": "{'x': '5'}",
        "compares": [True, False],
        "setdefault": ["", ["1", "2"], ""],
        "assignment": ["only", 3],
        "errors": [
            "KeyError",
            "AttributeError",
            "ZeroDivisionError",
            "TypeError",
            "TypeError",
            "TypeError",
            "TypeError",
            "TypeError",
            "KeyError",
            "KeyError",
            "TypeError",
        ],
        "str": ["1.5", "None"],
        "subclass": ["y", True],
    }


def test_entry_without_value(httpd):
    """It is None everywhere: SCRIPT_FILENAME in PostReadRequest."""
    config = """
        PythonPath "sys.path+['${root}']"
        PythonPostReadRequestHandler valueless
        """
    code = """
        from mod_python import apache

        def postreadrequesthandler(req):
            req.add_common_vars()
            t = req.subprocess_env
            name = "SCRIPT_FILENAME"
            seen = [t[name], t.get(name, 5), dict(t)[name], dict(t.items())[name], t.copy()[name],
                    name in t, f"'{name}': None" in repr(t), dict(t.iteritems())[name]]
            req.err_headers_out["X-Seen"] = repr(seen)
            return apache.DECLINED
        """
    answer = httpd(config, {"valueless.py": code}).get("x")
    assert answer.headers["X-Seen"] == repr([None] * 5 + [True, True, None])
