"""Manual 4.5.5, the filter object: each of its methods and members."""

import json

import pytest

from plugins.config import dedent

LIB = "PythonPath \"sys.path + ['${root}/lib']\"\n"

# A filter that answers with what `probe` returns instead of what it reads.
PROBE = """
import json, traceback

def outputfilter(filter):
    if filter.closed:
        return
    try:
        answer = {{"value": probe(filter)}}
    except BaseException:
        answer = {{"error": traceback.format_exc()}}
    filter.write(json.dumps(answer))
    filter.close()

def probe(filter):
{body}
"""


def probe(httpd, body, content="spam\neggs\n", config="PythonOutputFilter spam SPAM"):
    """What the body of a function of `filter` returns when content goes through."""
    code = PROBE.format(body="\n".join("    " + line for line in dedent(body).splitlines()))
    site = httpd(LIB + config, {"lib/spam.py": code}).site("SetOutputFilter SPAM", {"page.txt": content})
    answer = json.loads(site.get("page.txt").text)
    assert "error" not in answer, answer["error"]
    return answer["value"]


def through(httpd, body, content, direction="output"):
    """What comes of content when it goes through a filter with this body."""
    code = f"def {direction}filter(filter):\n"
    code += "\n".join("    " + line for line in dedent(body).splitlines())
    config = f"Python{direction}Filter spam SPAM\nPythonDebug On"
    server = httpd(LIB + config, {"lib/spam.py": code})
    if direction == "output":
        return server.site("SetOutputFilter SPAM", {"page.txt": content}).get("page.txt").content
    echo = "def handler(req):\n    req.write(req.read())\n    return 0\n"
    site = server.site(
        "SetHandler python-program\nPythonHandler echo\nSetInputFilter SPAM", {"echo.py": echo}
    )
    return site.post("x", content=content).content


# read


def test_read_limit(httpd):
    """read(n) gives at most n bytes, read(0) none and takes none."""
    assert probe(httpd, "return [filter.read(n).decode() for n in (1, 0, 2, 100)]") == [
        "s",
        "",
        "pa",
        "m\neggs\n",
    ]


@pytest.mark.parametrize("arguments", ["", "-1", "-5", "None", "1 << 40"])
def test_read_block(httpd, arguments):
    """Without a limit read() gives what is there, in blocks of at most 1 MiB."""
    sizes = probe(
        httpd,
        f"""
        sizes = []
        while data := filter.read({arguments}):
            sizes.append(len(data))
        return sizes
        """,
        "x" * 3000001,
    )
    assert sum(sizes) == 3000001 and max(sizes) <= 1 << 20


@pytest.mark.parametrize("method", ["read", "readline"])
def test_file_that_is_truncated(httpd, method):
    """What is there is read, then the stream ends: no file is mapped, which would end the process."""
    code = f"""
        import os

        def outputfilter(filter):
            filter.write(filter.{method}())
            os.truncate(filter.req.filename, (1 << 20) + 10)
            while data := filter.{method}():
                filter.write(data)
            if data is None:
                filter.close()
        """
    server = httpd(LIB + "PythonOutputFilter spam SPAM", {"lib/spam.py": code})
    page = (b"x" * 63 + b"\n") * (3 << 14)
    site = server.site("SetOutputFilter SPAM", {"page.txt": page})
    (site.directory / "page.txt").chmod(0o666)
    assert site.get("page.txt").content == page[: (1 << 20) + 10]


def test_read_gives_bytes(httpd):
    """The data is bytes whatever the page's charset."""
    page = bytes(range(256))
    assert through(httpd, "filter.write(repr(filter.read()))\nfilter.close()", page) == repr(page).encode()


def test_end_of_stream(httpd):
    """None at the end, again and again."""
    body = "data = filter.read()\nreturn [data.decode(), filter.read(), filter.read(5), filter.readline()]"
    assert probe(httpd, body) == ["spam\neggs\n", None, None, None]


@pytest.mark.parametrize("arguments", ["'x'", "1.5", "1, 2", "b''"])
@pytest.mark.parametrize("method", ["read", "readline"])
def test_wrong_arguments(httpd, method, arguments):
    """A limit that is no int is a TypeError."""
    body = f"try:\n    filter.{method}({arguments})\nexcept TypeError as error:\n    return str(error)"
    assert probe(httpd, body)


def test_limit_by_index(httpd):
    """Whatever is an integer by __index__ will do."""
    assert probe(httpd, "return filter.read(True).decode()") == "s"


# readline


def test_readline(httpd):
    """Lines with their ends, the last one as it is, then None."""
    body = "return [str(filter.readline()) for _ in range(5)]"
    expected = ["b'spam\\n'", "b'\\n'", "b'eggs'", "None", "None"]
    assert probe(httpd, body, "spam\n\neggs") == expected


def test_readline_limit(httpd):
    """readline(n) gives at most n bytes of a line; the rest of it comes next."""
    body = "return [filter.readline(n).decode() for n in (3, 3, 0, 5)]"
    assert probe(httpd, body, "spam\neggs\n") == ["spa", "m\n", "", "eggs\n"]


def test_long_line(httpd):
    """A line of any length is given whole."""
    body = "return [len(filter.readline()), filter.readline().decode()]"
    assert probe(httpd, body, "x" * 300000 + "\nspam") == [300001, "spam"]


def test_incomplete_line_is_kept(httpd):
    """A line whose end has not come is kept until it has; b"" is returned."""
    code = """
        def outputfilter(filter):
            while line := filter.readline():
                filter.write(b"<" + line + b">")
            if line is None:
                filter.close()
        """
    pieces = """
        def handler(req):
            for piece in ("sp", "am", "\\neg", "gs\\nthe end"):
                req.write(piece)
                req.flush()
            return 0
        """
    site = httpd(LIB + "PythonOutputFilter spam SPAM", {"lib/spam.py": code}).site(
        "SetHandler python-program\nPythonHandler pieces\nSetOutputFilter SPAM", {"pieces.py": pieces}
    )
    assert site.get("x").text == "<spam\n><eggs\n><the end>"


def test_read_gives_what_readline_kept(httpd):
    """read() and pass_on() begin with the incomplete line."""
    code = """
        def outputfilter(filter):
            if not hasattr(filter, "started"):
                filter.started = True
                assert filter.readline() == b""
                filter.write("[")
                filter.write(filter.read(1) + b"]")
            else:
                assert filter.readline() in (b"", None)
                filter.pass_on()
        """
    pieces = """
        def handler(req):
            for piece in ("spam", "and", "eggs"):
                req.write(piece)
                req.flush()
            return 0
        """
    site = httpd(LIB + "PythonOutputFilter spam SPAM", {"lib/spam.py": code}).site(
        "SetHandler python-program\nPythonHandler pieces\nSetOutputFilter SPAM", {"pieces.py": pieces}
    )
    assert site.get("x").text == "[s]pamandeggs"


# write


@pytest.mark.parametrize("direction", ["output", "input"])
def test_what_can_be_written(httpd, direction):
    """bytes-like objects, and str as UTF-8."""
    body = """
        if filter.read() is None:
            for data in (b"a", bytearray(b"b"), memoryview(b"xcx")[1:2], "dä€", "", b""):
                filter.write(data)
            filter.close()
        """
    assert through(httpd, body, b"", direction) == "abcdä€".encode()


@pytest.mark.parametrize("data", ["5", "None", "[b'x']", "object()"])
def test_write_of_something_else(httpd, data):
    """Anything else is a TypeError that says what it takes."""
    body = f"try:\n    filter.write({data})\nexcept TypeError as error:\n    return str(error)"
    assert "bytes" in probe(httpd, body)


def test_write_returns_none(httpd):
    """write, flush, pass_on and close return None."""
    assert probe(httpd, "return [filter.write('') , filter.write(b'')]") == [None, None]
    body = "data = filter.read()\nif data is None:\n    filter.close()\nelse:\n    filter.write(str([filter.flush(), filter.pass_on()]))"
    assert through(httpd, body, "") in (b"", b"[None, None]")


def test_big_writes(httpd):
    """Small and big writes keep their order."""
    body = """
        while data := filter.read():
            pass
        if data is None:
            for n in range(300):
                filter.write(b"%d " % n)
                filter.write(b"x" * n * 100)
            filter.close()
        """
    expected = b"".join(b"%d %s" % (n, b"x" * n * 100) for n in range(300))
    assert through(httpd, body, "spam") == expected


def test_written_buffer_may_change(httpd):
    """What is written is taken at once: the buffer may be used again."""
    body = """
        filter.read()
        buffer = bytearray(20000)
        for byte in b"abc":
            buffer[:] = bytes([byte]) * 20000
            filter.write(buffer)
        filter.close()
        """
    assert through(httpd, body, "spam") == b"a" * 20000 + b"b" * 20000 + b"c" * 20000


# flush, close, disable


def test_flush(httpd):
    """flush() sends at once what was written."""
    code = """
        def outputfilter(filter):
            while data := filter.read():
                filter.write(data)
                filter.flush()
            if data is None:
                filter.close()
        """
    wait = """
        import time

        def handler(req):
            req.content_type = "text/plain"
            req.write("spam", 0)
            req.write("x" * 20000, 0)
            while not req.connection.aborted:
                time.sleep(.02)
                req.write("y")
            return 0
        """
    site = httpd(LIB + "PythonOutputFilter spam SPAM", {"lib/spam.py": code}).site(
        "SetHandler python-program\nPythonHandler wait\nSetOutputFilter SPAM", {"wait.py": wait}
    )
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}x HTTP/1.0\r\n\r\n".encode())
        assert connection.read_until(b"xyyy").endswith(b"xyyy")
        connection.reset()
    site.expect_log("KK0108")


@pytest.mark.parametrize("first", ["flush()", "write(b'')"])
@pytest.mark.parametrize("then", ["pass_on()", "write(filter.read() or b'')"])
def test_nothing_before_reading(httpd, first, then):
    """On the way in flush() has no meaning, and neither it nor an empty write keeps data from being
    read."""
    text = b"spam" * 10000
    assert through(httpd, f"filter.{first}\nfilter.{then}", text, "input") == text


def test_close(httpd):
    """close() ends the stream, may be called again, and shows in closed."""
    body = """
        before = filter.closed
        filter.read()
        filter.write(repr(before))
        filter.close()
        filter.close()
        assert filter.closed is True
        """
    assert through(httpd, body, "spam") == b"False"


@pytest.mark.parametrize(
    "use", ["read()", "readline()", "write(b'')", "flush()", "pass_on()", "read(0)", "read(5)"]
)
@pytest.mark.parametrize("direction", ["output", "input"])
def test_use_after_close(httpd, use, direction):
    """Reading and writing after close() raise ValueError, which says so."""
    body = f"""
        if filter.closed:
            return
        filter.read()
        filter.write("x")
        filter.close()
        try:
            filter.{use}
        except ValueError as error:
            assert "closed" in str(error)
        else:
            raise AssertionError("no error")
        """
    assert through(httpd, body, b"spam", direction) == b"x"


@pytest.mark.parametrize("direction", ["output", "input"])
def test_disable(httpd, direction):
    """After disable() the handler is not called any more and everything passes."""
    body = """
        assert not hasattr(filter, "called")
        filter.called = True
        filter.write(b"<" + filter.read(4) + b">")
        filter.disable()
        """
    content = b"spam" + b"x" * 500000
    assert through(httpd, body, content, direction) == b"<spam>" + b"x" * 500000


@pytest.mark.parametrize("direction", ["output", "input"])
def test_pass_on(httpd, direction):
    """pass_on() passes what was not read, behind what was written."""
    body = """
        if not hasattr(filter, "called"):
            filter.called = True
            filter.write(b"<" + filter.read(4) + b">")
        filter.pass_on()
        """
    content = b"spam" + b"x" * 500000
    assert through(httpd, body, content, direction) == b"<spam>" + b"x" * 500000


# Members


def test_members(httpd):
    """closed, name, is_input and handler have the values promised."""
    names = ["closed", "name", "is_input", "handler"]
    body = f"return [getattr(filter, name) for name in {names!r}]"
    assert probe(httpd, body) == [False, "SPAM", False, "spam"]


def test_members_of_an_input_filter(httpd):
    """The same for input; the name is as configured, in that spelling."""
    code = """
        def go(filter):
            filter.read()
            filter.write(repr([filter.closed, filter.name, filter.is_input, filter.handler]))
            filter.close()
        """
    echo = "def handler(req):\n    req.write(req.read())\n    return 0\n"
    site = httpd(LIB + "PythonInputFilter spam::go MySpam", {"lib/spam.py": code}).site(
        "SetHandler python-program\nPythonHandler echo\nSetInputFilter myspam", {"echo.py": echo}
    )
    assert site.post("x", content=b"x").text == "[False, 'MySpam', True, 'spam::go']"


def test_request(httpd):
    """req is the request, the very object its other handlers see, attributes included."""
    code = """
        def outputfilter(filter):
            filter.read()
            filter.write(f"{filter.req.note} {filter.req.uri} {filter.req is filter.req}")
            filter.close()
        """
    handler = "def handler(req):\n    req.note = 'noted'\n    req.write('x')\n    return 0\n"
    site = httpd(LIB + "PythonOutputFilter spam SPAM", {"lib/spam.py": code}).site(
        "SetHandler python-program\nPythonHandler noting\nSetOutputFilter SPAM", {"noting.py": handler}
    )
    assert site.get("x").text == f"noted {site.prefix}x True"


def test_headers_can_be_set(httpd):
    """Before the first byte went out, a filter may change the response's headers."""
    body = """
        filter.req.headers_out["X-Spam"] = "eggs"
        filter.req.content_type = "text/x-spam"
        filter.pass_on()
        """
    code = "def outputfilter(filter):\n" + body
    site = httpd(LIB + "PythonOutputFilter spam SPAM", {"lib/spam.py": code}).site(
        "SetOutputFilter SPAM", {"page.txt": "spam"}
    )
    headers = site.get("page.txt").headers
    assert headers["X-Spam"] == "eggs" and headers["Content-Type"].startswith("text/x-spam")


def test_connection(httpd):
    """connection is the connection."""
    assert probe(httpd, "return filter.connection.remote_ip") == "127.0.0.1"


def test_type(httpd):
    """The type is mp_filter and cannot be made by hand."""
    assert probe(httpd, "return str(type(filter))") == "<class 'mp_filter'>"
    assert probe(httpd, "try:\n    type(filter)()\nexcept TypeError:\n    return 'refused'") == "refused"


@pytest.mark.parametrize("name", ["closed", "name", "req", "is_input", "handler", "connection"])
def test_read_only(httpd, name):
    """Members are read-only."""
    body = f"try:\n    filter.{name} = 1\nexcept AttributeError:\n    return 'refused'"
    assert probe(httpd, body) == "refused"


def test_attributes(httpd):
    """Other attributes can be set, and are gone with the object."""
    assert probe(httpd, "filter.spam = 1\nfilter.eggs = filter\nreturn sorted(vars(filter))") == [
        "eggs",
        "spam",
    ]


def test_print(httpd):
    """print() writes to a filter."""
    body = """
        if filter.read() is None:
            print("spam", 5, file=filter)
            filter.close()
        """
    assert through(httpd, body, "") == b"spam 5\n"


def test_disable_after_the_end(httpd):
    """Who has read the end and then lets everything pass has not taken the end away."""
    code = """
        def outputfilter(filter):
            while data := filter.read():
                filter.write(data)
            if data is None:
                filter.disable()
        """
    server = httpd(LIB + "PythonOutputFilter spam SPAM", {"lib/spam.py": code})
    site = server.site("SetOutputFilter SPAM", {"page.txt": "spam\n"})
    with site.connect() as connection:
        for _ in range(2):
            connection.send(f"GET {site.prefix}page.txt HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert connection.response().body == b"spam\n"
