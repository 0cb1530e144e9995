"""Runs inside Apache, for test_lifetimes.py: touches all that the types of `_apache` have.

What is touched is found by looking at the types, so that a new member is touched as well.
"""

import gc
import json
import threading
import time

import _apache

from mod_python import apache

PLAIN = (type(None), bool, int, float, str, bytes, type(NotImplemented))

# As arguments: of each type that a method may take, alone and together.
ARGUMENTS = (
    (),
    (1,),
    ("x",),
    (None,),
    (len,),
    (b"x", 0),
    ("x", 1),
    ("x", "y"),
    ("x", len),
    ("PythonHandler", len),
    (["GET"],),
    ({"x": "y"},),
    ("x", 1, 2),
    ("x", len, None),
)
VALUES = (None, 1, "x", b"x", [], {})

# What every object has, and does not look at what it stands for.
OF_OBJECT = {"__class__", "__doc__", "__new__", "__module__", "__dict__", "__getattribute__", "__weakref__"}

kept = {}


def is_plain(value):
    """Whether it cannot lead to a record."""
    if isinstance(value, dict):
        return all(is_plain(item) for pair in value.items() for item in pair)
    if isinstance(value, tuple | list):
        return all(is_plain(item) for item in value)
    return isinstance(value, PLAIN) or value is apache.main_server


def outcome(function, *args):
    """What comes of it: the exception's name, "plain", or what else."""
    try:
        value = function(*args)
    except Exception as error:
        return type(error).__name__
    return "plain" if is_plain(value) else f"a {type(value).__name__}"


def uses_of(thing, name, member):
    """Every use of one attribute: what it is, and a function."""
    if callable(member):
        for arguments in ARGUMENTS:
            yield f"call{arguments!r:.40}", lambda arguments=arguments: getattr(thing, name)(*arguments)
    else:
        yield "get", lambda: getattr(thing, name)
        for value in VALUES:
            yield f"set {value!r}", lambda value=value: setattr(thing, name, value)
        yield "delete", lambda: delattr(thing, name)


def members_of(kind):
    """The attributes that a type adds to those of every object."""
    return {
        name: member
        for base in kind.__mro__
        if base is not object
        for name, member in vars(base).items()
        if name not in OF_OBJECT
    }


def probe(things):
    """All uses of all things: (thing, attribute, use, outcome)."""
    return [
        (label, name, use, outcome(function))
        for label, thing in things.items()
        if label != "server"  # it lasts as long as the process
        for name, member in members_of(type(thing)).items()
        for use, function in uses_of(thing, name, member)
    ]


def in_thread(function, *args):
    """What a function returns in a new thread."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function(*args)))
    thread.start()
    thread.join()
    return results[0]


def keep(req, filter=None):
    """Everything that a request leads to."""
    table = req.headers_in
    kept.update(
        request=req,
        connection=req.connection,
        table=table,
        notes=req.connection.notes,
        iterator=iter(table),
        options=req.get_options(),
        server=req.server,
    )
    if filter is not None:
        kept["filter"] = filter


def inputfilter(filter):
    if filter.req.args in ("keep", "busy"):
        keep(filter.req, filter)
    while data := filter.read():
        filter.write(data)
    if data is None:
        filter.close()


def connectionfilter(filter):
    """Of a connection."""
    filters[:] = [filter]
    while data := filter.read():
        filter.write(data)
    if data is None:
        filter.close()


def connectionhandler(conn):
    """Keeps what goes with a connection; a later one uses it."""
    line = conn.readline()
    if line == b"keep\n":
        kept.update(connection=conn, notes=conn.notes, filter=filters[0])
        conn.write(b"kept")
    elif line == b"use\n":
        conn.write(json.dumps(in_thread(probe, kept) + probe(kept)).encode())
    return apache.OK


def handler(req):
    return globals()[f"do_{req.args}"](req) or apache.OK


def do_keep(req):
    """Keeps what is gone when the next request comes."""
    kept.clear()
    req.read()
    keep(req)


def do_types(req):
    """The types there are, and those of what is kept."""
    types = {
        value.__name__
        for value in vars(_apache).values()
        if isinstance(value, type) and value.__module__ != "_frozen_importlib"
    }
    req.write(json.dumps([sorted(types), sorted({type(thing).__name__ for thing in kept.values()})]))


def do_same(req):
    """Uses what is gone; under prefork, from the thread that it was made in."""
    req.write(json.dumps(probe(kept)))
    gc.collect()


def do_other(req):
    """The same from another thread."""
    req.write(json.dumps(in_thread(probe, kept)))
    gc.collect()


def is_busy(req):
    """Whether another thread is inside Apache with it."""
    try:
        return not req.uri
    except RuntimeError:
        return True


def use_when_busy(req, results):
    while not is_busy(req):
        time.sleep(0.001)
    results += probe(dict(kept))
    used.set()


def do_busy(req):
    """Another thread uses the request while this one waits in Apache for its body."""
    results = []
    kept.clear()
    used.clear()
    user = threading.Thread(target=use_when_busy, args=(req, results))
    user.start()
    body = req.read()
    user.join()
    kept.clear()
    assert body == b"xyz"
    req.write(json.dumps(results))


def do_used(req):
    """Waits until that is done."""
    assert used.wait(30)


def race(connection, tables):
    while racing.is_set():
        probe(tables)
        for name in members_of(type(connection)):
            outcome(getattr, connection, name)


def do_race(req):
    """Leaves a thread behind that uses what goes with this request, and waits for nothing."""
    req.write("racing", 0)
    racing.set()
    tables = {"table": req.headers_in, "notes": req.connection.notes, "iterator": iter(req.headers_in)}
    threading.Thread(target=race, args=(req.connection, tables), daemon=True).start()


def do_stop(req):
    racing.clear()


filters = []
used = threading.Event()
racing = threading.Event()
