"""Whatever handlers do with the objects they get, in whatever phase, the child lives: what
cannot be done is an exception. Reproducible: each request has a seed of its own."""

import pytest

PHASES = ["HeaderParser", "Init", "Access", "Authen", "Authz", "Type", "Fixup", "", "Log", "Cleanup"]

POKE = """
    import random
    from mod_python import apache

    VALUES = [
        None, 0, 1, -1, 200, 302, 404, 2**31 - 1, 2**31, -(2**31), 2**62, 2**70, 1.5, float("nan"), True,
        "", "x", "/", "/x/../y", "*", "\\udcff", "\\xe9", "\\u20ac", "a\\0b", "a\\r\\nb", "http://x/", "x" * 100000,
        b"", b"x", b"\\xff\\0", [], ["GET"], ("a", "b"), {}, {"a": "b"}, range(3), object(), print, len,
        "text/html", "python-program", "proxy-server", "default-handler", "/etc/hostname", "/dev/null",
        "PythonHandler", "PythonLogHandler", "PythonFixupHandler", "poke", "DEFLATE", "CORE", "CORE_IN",
        "HTTP_HEADER", "CHUNK", "BYTERANGE", "CONTENT_LENGTH", "OLD_WRITE", "REQTIMEOUT", "INCLUDES",
    ]
    OBJECTS = ("mp_request", "mp_conn", "mp_server", "mp_table", "mp_finfo", "mp_hlist")
    RESULTS = [-1] * 40 + [0, -2, 200, 302, 404, 500, None]

    def use(thing, chance, depth=0):
        names = [name for name in dir(thing) if not name.startswith("_")]
        for _ in range(chance.randint(1, 12)):
            name = chance.choice(names)
            try:
                if chance.random() < 0.35:
                    setattr(thing, name, chance.choice(VALUES))
                    continue
                value = getattr(thing, name)
                if callable(value):
                    value = value(*[chance.choice([*VALUES, thing]) for _ in range(chance.randint(0, 3))])
                if depth < 2 and type(value).__name__ in OBJECTS:
                    use(value, chance, depth + 1)
            except Exception:
                pass

    def poke(req):
        chance = random.Random(f"{req.args} {req.phase}")
        use(req, chance)
        return chance.choice(RESULTS)
    """

# Handlers may have connections kept, which the client here waits for.
CONFIG = """
    Timeout 1
    KeepAliveTimeout 50ms
    PythonPath "sys.path + ['${root}/lib']"
    PythonPostReadRequestHandler poke::poke
    PythonTransHandler poke::poke
    <Directory "${htdocs}">
        SetHandler python-program
        AuthType Basic
        AuthName x
        Require valid-user
    """


@pytest.mark.parametrize("seed", range(6))
def test_any_use(httpd, seed):
    """No child dies; the next request is served."""
    config = CONFIG + "\n".join(f"Python{phase}Handler poke::poke" for phase in PHASES) + "\n</Directory>"
    server = httpd(
        config,
        {"lib/poke.py": POKE, "htdocs/page.txt": "a page"},
        modules=("deflate", "filter", "include", "reqtimeout"),
    )
    statuses = []
    for number in range(150):
        # An answer may be HTTP/0.9's, or none.
        request = f"POST /page.txt?{seed}-{number} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n"
        with server.connect() as connection:
            connection.send(request.encode() + b"Authorization: Basic YTpi\r\n\r\na=b")
            statuses.append(connection.read_all()[:12])
    assert not [record for record in server.error_log.unexpected() if record.fatal]
    assert {b"HTTP/1.1 200", b"HTTP/1.1 404", b"HTTP/1.1 500"} <= set(statuses)
