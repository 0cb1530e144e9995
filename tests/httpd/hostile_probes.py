"""Runs inside Apache, for test_hostile_values.py: assigns and passes what programs should not.

Members and methods are found by looking at the types, so that a new one is tried as well.
"""

import contextlib
import itertools
import json
import operator

import _apache

from mod_python import apache

HANDLERS = {
    "postreadrequest": apache.OK,
    "trans": apache.DECLINED,
    "headerparser": apache.OK,
    "access": apache.OK,
    "authen": apache.OK,
    "authz": apache.OK,
    "type": apache.DECLINED,
    "fixup": apache.OK,
    "content": apache.OK,
    "log": apache.OK,
    "cleanup": apache.OK,
}
FILTERS = ("inputfilter", "outputfilter")


def refuse(*args):
    raise KeyboardInterrupt("hostile")


class Refusing:
    """Whatever is asked of it, it raises what is no Exception."""

    __repr__ = __str__ = __bytes__ = __len__ = __iter__ = __index__ = __int__ = __float__ = refuse
    __bool__ = __hash__ = __eq__ = __fspath__ = __call__ = __getitem__ = __buffer__ = refuse


class RefusingInt(int):
    __hash__ = __index__ = __int__ = __bool__ = __eq__ = __repr__ = __str__ = refuse


class RefusingStr(str):
    __hash__ = __len__ = __eq__ = __repr__ = __str__ = __bool__ = encode = refuse


class Busy:
    """What is asked of it has it use the request."""

    def __init__(self, req):
        self.req = req

    def use(self, *args):
        with contextlib.suppress(Exception):
            self.req.headers_out.clear()
            self.req.notes.clear()
            self.req.read(1)
            self.req.write("busy", 0)

    def __str__(self):
        self.use()
        return "/busy"

    def __index__(self):
        self.use()
        return 3

    def __bool__(self):
        self.use()
        return True

    def __iter__(self):
        self.use()
        return iter([("busy", self), (self, "busy")])

    def __call__(self, *args):
        self.use()
        return apache.OK

    def keys(self):
        self.use()
        return ["busy"]

    def __getitem__(self, key):
        self.use()
        return self

    def __hash__(self):
        self.use()
        return hash("write")

    def __eq__(self, other):
        self.use()
        return False

    __float__ = __index__
    __fspath__ = __str__
    __del__ = use


def values(req):
    """What members are set to, and methods called with."""
    data = bytearray(b"data" * 3000)
    released = memoryview(b"released")
    released.release()
    texts = (
        "", "x", "/", "/tmp", "?", "a b", "\t", "\x7f", "\0", "a\r\nb", "/a\nb", "\u00e9", "\u20ac", "/\udc80",
        "../../../etc/passwd", "/etc/passwd", "/etc/passwd/x", "/%00%2e%2e", "/" + "x" * 9000, ":", "//",
        "proxy:http://127.0.0.1:1/", "http://a:b@[::1]:99/x?y#z", "python-program", "default-handler",
        "server-status", "no-such-handler", "text/html; charset=", "200", "999 x", "Basic", "GET",
        "PythonHandler", "PythonLogHandler", "INCLUDES", "DEFLATE", "BYTERANGE", "PROBE",
    )  # fmt: skip
    numbers = (
        *(0, 1, -1, 2, 7, 99, 100, 101, 204, 304, 401, 404, 500, 999, 1000, 0.5, float("nan"), 1e300),
        *(2**31 - 1, -(2**31), 2**31, 2**63 - 1, -(2**63), 2**63, 10**40),
    )
    things = (
        None,
        b"bytes",
        b"a\0b",
        data,
        memoryview(data)[::2],
        released,
        [],
        (),
        {"a": "b"},
        [("a", "b"), ("a", 1)],
        len,
        Refusing(),
        RefusingInt(3),
        RefusingStr("/x"),
        Busy(req),
        req,
        req.connection,
        req.server,
        req.headers_in,
        apache.table({"a": "b"}),
        apache.table,
        apache.stat("/etc/passwd", apache.APR_FINFO_NORM),
        type(req.finfo)((None,) * 13),
        type(req.finfo)((-1,) * 10 + ("", "/", -1), {"valid": -1}),
        type(req.finfo)((2**31 - 1,) * 10 + ("x", "x", apache.APR_REG), {"valid": -1}),
    )
    return [*texts, *numbers, *things]


def targets(req, filter=None):
    """What a handler gets at: name -> object."""
    found = {
        "request": req,
        "connection": req.connection,
        "server": req.server,
        "table": req.headers_out,
        "environ": req.subprocess_env,
        "notes": req.notes,
        "options": req.get_options(),
        "iterator": iter(req.headers_in),
        "_apache": _apache,
    }
    if filter is not None:
        found["filter"] = filter
    return found


def members_of(thing):
    """The names of what it can be set to: those of the package's own begin with '_'."""
    return [
        name
        for kind in type(thing).__mro__
        for name, member in vars(kind).items()
        if not name.startswith("_") and hasattr(member, "__set__") and hasattr(member, "__objclass__")
    ]


def methods_of(thing):
    """The names of what can be called."""
    return [
        name
        for name in dir(thing)
        if callable(getattr(thing, name, None))
        and not isinstance(getattr(thing, name), type)
        and name not in dir(object)
        and not (thing is _apache and name.startswith("__"))
    ]


def attempt(function, *args):
    """Calls it; whatever it raises is the program's own business, unless it is of the C API."""
    try:
        function(*args)
    except SystemError as error:
        apache.log_error(f"hostile: {error}", apache.APLOG_CRIT)
        return False
    except BaseException:
        return False
    return True


def call_all(req, thing, name):
    """Calls a method with each value, at each place."""
    all_values = values(req)
    # By operator.call: f(*args) does not look whether f has left an exception behind.
    attempt(lambda: operator.call(getattr(thing, name)))
    for value in all_values:
        for args in ((value,), ("x", value), (value, "x"), (req.server, value), ("x", len, value)):
            attempt(lambda args=args: operator.call(getattr(thing, name), *args))
    for pair in itertools.pairwise(all_values):
        attempt(lambda pair=pair: operator.call(getattr(thing, name), *pair))


def probe(req, phase, filter=None):
    """What the client asks for, if it is of this phase: [phase, target, name] or, to set it,
    [phase, target, name, number of the value]."""
    asked = json.loads(req.headers_in.get("X-Probe", "[]"))
    if asked[:1] != [phase] or req.main or req.prev:
        return
    del req.headers_in["X-Probe"]  # once: it may add this filter again
    _, target, name, *number = asked
    thing = targets(req, filter)[target]
    if number:
        attempt(lambda: setattr(thing, name, values(req)[number[0]]))
    else:
        call_all(req, thing, name)


def look(req):
    """Has Apache and the wrappers look at what is there now."""
    for name in dir(req):
        attempt(lambda name=name: repr(getattr(req, name)))
    for use in (
        req.add_common_vars,
        req.add_cgi_vars,
        req.build_wsgi_env,
        req.get_remote_host,
        req.meets_conditions,
        req.set_etag,
        req.set_last_modified,
        req.document_root,
        req.is_https,
    ):
        attempt(use)
    attempt(lambda: req.construct_url("/x"))


def handler_of(phase):
    def handler(req):
        probe(req, phase)
        if phase == "authen" and attempt(lambda: req.user is None):
            attempt(lambda: req.user or setattr(req, "user", "x"))
        if phase == "content":
            look(req)
            attempt(req.read)
            attempt(lambda: req.write("done\n"))
        return HANDLERS[phase]

    return handler


for phase in HANDLERS:
    globals()[f"{phase}handler"] = handler_of(phase)


def filter_of(phase):
    def run(filter):
        if filter.req is not None:
            probe(filter.req, phase, filter)
        with contextlib.suppress(ValueError):
            while data := filter.read():
                filter.write(data)
            if data is None:
                filter.close()

    return run


for phase in FILTERS:
    globals()[phase] = filter_of(phase)


def accepted(thing, name, all_values):
    """The numbers of values that it can be set to, once for each that it is then; it is what it
    was afterwards."""
    before = getattr(thing, name, None)
    seen = []
    for number, value in enumerate(all_values):
        if attempt(setattr, thing, name, value):
            now = getattr(thing, name)
            key = repr(now) if type(now) in (str, int, bool, type(None)) else number
            if key not in seen:
                seen.append(key)
                yield number
    if seen and not attempt(setattr, thing, name, before):
        attempt(delattr, thing, name)


def listhandler(req):
    """All there is to try: the values that each member takes, and the methods."""
    things = targets(req)
    taken = [
        (target, name, number)
        for target, thing in things.items()
        for name in members_of(thing)
        for number in accepted(thing, name, values(req))
    ]
    called = [(target, name) for target, thing in things.items() for name in methods_of(thing)]
    called += [
        ("filter", name) for name in vars(_apache.mp_filter) if callable(getattr(_apache.mp_filter, name))
    ]
    req.write("\n" + json.dumps([taken, called]))
    return apache.OK
