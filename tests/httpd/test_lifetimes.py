"""Objects that outlive what they stand for raise an exception instead of crashing
the server (docs: Lifetimes)."""

import json
from pathlib import Path

import pytest

PROBES = Path(__file__).with_name("lifetime_probes.py")

CONFIG = """
    PythonPath "sys.path + ['${root}/lib']"
    PythonInputFilter lifetime_probes PROBES
    <Location /probe>
        SetHandler python-program
        PythonHandler lifetime_probes
        SetInputFilter PROBES
    </Location>
    """

# What an object that is gone, or busy, may answer with.
REFUSALS = {"ReferenceError", "RuntimeError"}
# What is wrong with the arguments, or that there is nothing to set.
MISTAKES = {"TypeError", "ValueError", "AttributeError", "StopIteration"}

# Members that need no record: what they answer with is the object's own.
OWN = {
    *((label, name) for label in ("table", "notes", "options") for name in ("__hash__", "fromkeys")),
    *((label, f"__{way}__") for label in ("table", "notes", "options") for way in ("lt", "le", "gt", "ge")),
    ("iterator", "__iter__"),
    ("request", "__iter__"),
    ("filter", "closed"),
    ("request", "__repr__"),
    ("request", "phase"),
    ("request", "interpreter"),
    ("request", "interpreter_index"),
    ("request", "server"),
    ("request", "form"),
}
# Of a filter whose other thread reads, these are not the stream's.
OWN_WHEN_BUSY = {("filter", name) for name in ("name", "handler", "is_input", "connection", "dir")}


@pytest.fixture
def probes(httpd):
    """A server that keeps what a request leads to."""
    return httpd(CONFIG, {"lib/lifetime_probes.py": PROBES.read_text()})


def keep(server):
    """Has the server keep the objects of a request that is over."""
    # When the connection has been closed the request is over.
    length = {b"Content-Length": b"4"}
    assert server.raw_request(b"probe?keep", method=b"POST", headers=length, body=b"body").status == 200


def check(results, own=OWN, count=1000):
    """Every use, of more than count, was refused or did no harm, and every member looks whether
    there is a record."""
    assert len(results) > count
    outcomes = {}
    for label, name, use, outcome in results:
        outcomes.setdefault((label, name), {})[use] = outcome
    for member, by_use in outcomes.items():
        seen = set(by_use.values())
        if member[1].startswith("_") and not member[1].startswith("__"):
            continue  # what the package itself keeps there
        if member in own:
            assert not seen & REFUSALS, (member, by_use)
        else:
            assert seen & REFUSALS, (member, by_use)
            assert seen <= REFUSALS | MISTAKES | {"plain"}, (member, by_use)
    assert own <= outcomes.keys()


CODE = """
    import gc
    from mod_python import apache

    kept = {}

    def handler(req):
        try:
            req.write(str(globals()[req.args](req)))
        except Exception as error:
            req.write(f"{type(error).__name__}: {error}")
        return apache.OK

    def keep(req):
        kept.clear()
        kept.update(
            req=req,
            connection=req.connection,
            headers=req.headers_in,
            notes=req.connection.notes,
            items=iter(req.headers_in),
            method=req.write,
            config=req.get_config(),
            options=req.get_options(),
            server=req.server,
            finfo=req.finfo,
            uri=req.parsed_uri,
        )
        return "kept"
    """

# What a later request does with it, and what it learns.
USES = {
    "member": "kept['req'].uri",
    "bound method": "kept['method']('x')",
    "table": "kept['headers']['Host']",
    "connection": "kept['connection'].remote_ip",
    "connection hlist": "kept['connection'].hlist",
    "hlist": "kept['req'].hlist",
}


@pytest.mark.parametrize("use", USES)
def test_after_the_request(httpd, use):
    """Touching a request, its connection or their tables later raises."""
    name = use.replace(" ", "_")
    code = CODE + f"\n    def use(req):\n        return {USES[use]}\n"
    site = httpd.site(f"SetHandler python-program\nPythonHandler {name}_kept", {f"{name}_kept.py": code})
    assert site.get("x?keep").text == "kept"
    answer = site.get("x?use")
    assert answer.status_code == 200
    kind, _, text = answer.text.partition(": ")
    assert kind in ("RuntimeError", "ReferenceError", "ValueError", "StopIteration"), answer.text
    assert text or kind == "StopIteration"


def test_server_outlives_the_request(httpd):
    """A server object may be used as long as the process lives."""
    code = CODE + "\n    def use(req):\n        return kept['server'].server_hostname\n"
    site = httpd.site("SetHandler python-program\nPythonHandler server_kept", {"server_kept.py": code})
    site.get("x?keep")
    assert site.get("x?use").text == "www.example.com"


def test_server_by_a_request_that_is_over(httpd):
    """req.server, by which programs log, may be asked for later, and in a thread of the program's."""
    code = (
        CODE
        + """
    def use(req):
        import threading
        apache.log_error("by a thread", apache.APLOG_NOTICE, kept["req"].server)
        def run():
            apache.log_error("by a thread", apache.APLOG_NOTICE, kept["req"].server)
            names.append(kept["req"].server.server_hostname)
        names = []
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return names, kept["req"].server is req.server
    """
    )
    site = httpd.site("SetHandler python-program\nPythonHandler log_kept", {"log_kept.py": code})
    site.get("x?keep")
    assert site.get("x?use").text == "(['www.example.com'], True)"
    site.expect_log("by a thread", times=2)


def test_plain_values_outlive_the_request(httpd):
    """finfo and parsed_uri are plain tuples."""
    code = CODE + "\n    def use(req):\n        return (kept['finfo'][12], kept['uri'][6])\n"
    site = httpd.site("SetHandler python-program\nPythonHandler tuples_kept", {"tuples_kept.py": code})
    site.get("x?keep")
    assert site.prefix in site.get("x?use").text


def test_hlist_outlives_the_request(httpd):
    """hlist shows what it showed then."""
    code = CODE.replace("req=req,", "req=req, hlist=req.hlist,")
    code += "\n    def use(req):\n        return kept['hlist'].handler\n"
    site = httpd.site("SetHandler python-program\nPythonHandler hlist_kept", {"hlist_kept.py": code})
    site.get("x?keep")
    assert site.get("x?use").text == "hlist_kept"


@pytest.mark.parametrize("use", ["dir", "name", "req", "read()"])
def test_filter_of_a_request(httpd, use):
    """A filter of req.register_output_filter(), kept, is over with its request."""
    name = f"filter_kept_{use[:4]}"
    code = f"""
        from mod_python import apache

        kept = []

        def keep(filter):
            kept[:] = [filter]
            filter.pass_on()

        def handler(req):
            if req.args == "keep":
                req.register_output_filter("keeping", keep)
                req.add_output_filter("keeping")
                req.write("kept")
                return apache.OK
            try:
                req.write(str(kept[0].{use}))
            except ReferenceError as error:
                req.write(f"over: {{error}}")
            return apache.OK
        """
    site = httpd.site(f"SetHandler python-program\nPythonHandler {name}", {f"{name}.py": code})
    # When the connection has been closed the request is over.
    assert site.raw_request(b"x?keep").body == b"kept"
    assert site.get("x").text.startswith("over: this filter is over")


def test_str_that_outlives_its_request(httpd):
    """update_mtime() and log_error() call Python code of their arguments: the record
    is looked at after that only."""
    code = """
        import threading
        from mod_python import apache

        results = []
        over, done = threading.Event(), threading.Event()

        class Slow:
            def __init__(self, over):
                self.over = over

            def __str__(self):
                self.over.wait(10)
                return "5"

            def __float__(self):
                self.over.wait(10)
                return 5.0

        def late(req, conn, over, done):
            for use in (lambda: conn.log_error(Slow(over)), lambda: req.update_mtime(Slow(over))):
                try:
                    use()
                except ReferenceError:
                    results.append("refused")
            done.set()

        def handler(req):
            if req.args != "start":
                over.set()
                done.wait(10)
                req.write(repr(results))
                return apache.OK
            threading.Thread(target=late, args=(req, req.connection, over, done)).start()
            return apache.OK
        """
    site = httpd.site("SetHandler python-program\nPythonHandler late_str", {"late_str.py": code})
    site.get("x?start")
    assert site.get("x").text == "['refused', 'refused']"


def test_attributes_that_change_amid_a_look_up(httpd):
    """A key of req.__dict__ whose comparison puts another dict in its place: what PSP looks in
    for a write() of the program's must not be gone."""
    code = """
        from mod_python import apache

        class Key:
            def __init__(self, req):
                self.req = req

            def __hash__(self):
                return hash("write")

            def __eq__(self, other):
                self.req.__dict__ = {}
                [dict() for _ in range(1000)]
                return False

        def handler(req):
            for _ in range(200):
                req.__dict__ = {Key(req): 1}
                for number in range(50):
                    req.__dict__.setdefault(f"x{number}", number)
                req._write_piece("a", "b")
            return apache.OK
        """
    site = httpd.site("SetHandler python-program\nPythonHandler swapped", {"swapped.py": code})
    assert site.get("x").text == 200 * "ab"


def test_own_table_lives_on(httpd):
    """A table made by apache.table() belongs to nobody."""
    code = """
        from mod_python import apache

        table = apache.table({"spam": "eggs"})

        def handler(req):
            req.write(table["spam"])
            return apache.OK
        """
    site = httpd.site("SetHandler python-program\nPythonHandler own_table", {"own_table.py": code})
    assert [site.get("x").text for _ in range(3)] == ["eggs"] * 3


def test_repr_and_comparison(httpd):
    """repr, hash and comparison of what is gone do no harm."""
    code = (
        CODE
        + "\n    def use(req):\n        k = kept['req']\n        return len(repr(k)) > 0 and k == k and k != req\n"
    )
    site = httpd.site("SetHandler python-program\nPythonHandler repr_kept", {"repr_kept.py": code})
    site.get("x?keep")
    assert site.get("x?use").text == "True"


def test_dynamic_attributes_stay(httpd):
    """What Python code stored on the request is Python's."""
    code = CODE + "\n    def use(req):\n        return kept['req'].__dict__ is not None\n"
    site = httpd.site("SetHandler python-program\nPythonHandler dict_kept", {"dict_kept.py": code})
    site.get("x?keep")
    assert site.get("x?use").status_code == 200


def test_from_another_thread(httpd):
    """A thread that goes on after its request gets exceptions."""
    code = """
        import threading, time
        from mod_python import apache

        results = []

        def background(req, ended):
            ended.wait(10)
            time.sleep(0.05)
            try:
                results.append(req.uri)
            except Exception as error:
                results.append(type(error).__name__)

        def handler(req):
            if req.args == "start":
                ended = threading.Event()
                req.register_cleanup(lambda data: ended.set())
                threading.Thread(target=background, args=(req, ended), daemon=True).start()
                return apache.OK
            end = time.monotonic() + 10
            while not results and time.monotonic() < end:
                time.sleep(0.005)
            req.write(results[0])
            return apache.OK
        """
    site = httpd.site("SetHandler python-program\nPythonHandler background", {"background.py": code})
    site.get("x?start")
    assert site.get("x").text in ("RuntimeError", "ReferenceError", "ValueError")


def test_requests_are_freed(httpd):
    """A request object nobody keeps is gone soon after its request."""
    code = """
        import weakref, gc
        from mod_python import apache

        class Marker:
            pass

        markers = []

        def handler(req):
            gc.collect()
            alive = sum(ref() is not None for ref in markers)
            req.marker = Marker()
            req.cycle = req
            markers.append(weakref.ref(req.marker))
            req.write(str(alive))
            return apache.OK
        """
    site = httpd.site("SetHandler python-program\nPythonHandler freed", {"freed.py": code})
    assert {site.get("x").text for _ in range(20)} <= {"0", "1"}


@pytest.mark.parametrize("name", ["mp_request", "mp_conn", "mp_server"])
def test_types_cannot_be_instantiated(httpd, name):
    """Only Apache makes requests, connections and servers."""
    member = {"mp_request": "req", "mp_conn": "req.connection", "mp_server": "req.server"}[name]
    assert httpd.run(
        f"""
        kind = type({member})
        refused = 0
        for make in (kind, lambda: kind.__new__(kind), lambda: object.__new__(kind)):
            try:
                make()
            except TypeError:
                refused += 1
        return [kind.__name__, refused]
        """
    ) == [name, 3]


def test_init_again(httpd):
    """Calling __init__ or copying an object does no harm."""
    httpd.run(
        """
        import copy, pickle
        for thing in (req, req.connection, req.server, req.headers_in):
            for attempt in (copy.copy, copy.deepcopy, pickle.dumps, lambda t: t.__init__()):
                try:
                    attempt(thing)
                except Exception:
                    pass
        """
    )


def test_all_types_are_probed(probes):
    """The probes have an object of every type that there is."""
    keep(probes)
    types, kinds = probes.get("probe?types").json()
    assert set(types) <= set(kinds)


@pytest.mark.parametrize("thread", ["same", "other"])
def test_every_member_when_gone(probes, thread):
    """After the request, from its thread (prefork's only one) and from another."""
    keep(probes)
    check(probes.get(f"probe?{thread}").json())


def test_every_member_of_a_connection_that_is_gone(httpd):
    """One that a handler of connections had, and its filter's; from both threads."""
    server = httpd(
        """
        PythonPath "sys.path + ['${root}/lib']"
        PythonConnectionInputFilter lifetime_probes::connectionfilter
        PythonConnectionHandler lifetime_probes
        """,
        {"lib/lifetime_probes.py": PROBES.read_text()},
    )
    answers = []
    for line in (b"keep\n", b"use\n"):
        with server.connect() as connection:
            connection.send(line)
            answers.append(connection.read_all())
    assert answers[0] == b"kept"
    results = json.loads(answers[1])
    labels = {label for label, *_ in results}
    assert labels == {"connection", "notes", "filter"}
    check(results, {(label, name) for label, name in OWN if label in labels}, 500)


@pytest.mark.only_mpm("event")
def test_every_member_when_busy(probes):
    """While another thread is inside Apache with it."""
    with probes.connect() as connection:
        connection.send(b"POST /probe?busy HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
        assert probes.get("probe?used").status_code == 200
        connection.send(b"xyz")
        answer = connection.response()
    assert answer.status == 200
    check(json.loads(answer.body), OWN | OWN_WHEN_BUSY)


@pytest.mark.only_mpm("event")
def test_every_member_in_a_race(probes):
    """While requests and connections end, again and again."""
    for _ in range(5):
        assert probes.get("probe?race").text == "racing"
    assert probes.get("probe?stop").status_code == 200
