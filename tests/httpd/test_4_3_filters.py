"""Manual 4.3, filter handlers: what they are called with, when, and how often."""

import pytest

from plugins.config import dedent

LIB = "PythonPath \"sys.path + ['${root}/lib']\"\n"

CAPITALIZE = """
    from mod_python import apache

    def outputfilter(filter):
        s = filter.read()
        while s:
            filter.write(s.upper())
            s = filter.read()
        if s is None:
            filter.close()
    """

ECHO = """
    from mod_python import apache

    def handler(req):
        req.write(req.read())
        return apache.OK
    """


def test_manual_example(httpd):
    """The manual's capitalize filter capitalizes the files of its extension, and no other."""
    config = """
        <Directory "${root}/htdocs">
            PythonOutputFilter capitalize CAPITALIZE
            AddOutputFilter CAPITALIZE .txt
        </Directory>
        """
    server = httpd(config, {"htdocs/capitalize.py": CAPITALIZE})
    site = server.site(files={"page.txt": "spam and eggs", "page.html": "spam"})
    assert site.get("page.txt").text == "SPAM AND EGGS"
    assert site.get("page.html").text == "spam"


def test_input_filter(httpd):
    """An input filter changes what the handler reads."""
    config = LIB + "PythonInputFilter lower LOWER"
    code = CAPITALIZE.replace("upper", "lower").replace("outputfilter", "inputfilter")
    site = httpd(config, {"lib/lower.py": code}).site(
        "SetHandler python-program\nPythonHandler echo\nSetInputFilter LOWER", {"echo.py": ECHO}
    )
    assert site.post("x", content=b"SPAM" * 100000).content == b"spam" * 100000
    assert site.post("x", content=b"").content == b""
    assert site.get("x").content == b""


def test_input_filter_on_a_chunked_body(httpd):
    """A body without Content-Length goes through it too."""
    config = LIB + "PythonInputFilter lower LOWER"
    code = CAPITALIZE.replace("upper", "lower").replace("outputfilter", "inputfilter")
    site = httpd(config, {"lib/lower.py": code}).site(
        "SetHandler python-program\nPythonHandler echo\nSetInputFilter LOWER", {"echo.py": ECHO}
    )
    parts = [b"A" * n for n in (1, 10, 8191, 8192, 8193, 70000, 1)]
    assert site.post("x", content=iter(parts)).content == b"a" * sum(map(len, parts))


def test_return_value_is_ignored(httpd):
    """A filter may return anything."""
    code = dedent(CAPITALIZE) + "    return 'spam'\n"
    site = httpd(LIB + "PythonOutputFilter spam SPAM", {"lib/spam.py": code}).site(
        "SetOutputFilter SPAM", {"page.txt": "spam"}
    )
    assert site.get("page.txt").text == "SPAM"


def test_pass_on_declines(httpd):
    """pass_on() leaves the data as it is."""
    code = "def outputfilter(filter):\n    filter.pass_on()\n"
    site = httpd(LIB + "PythonOutputFilter spam SPAM", {"lib/spam.py": code}).site(
        "SetOutputFilter SPAM", {"page.txt": "spam" * 100000}
    )
    assert site.get("page.txt").text == "spam" * 100000


def test_one_object_per_request(httpd):
    """The object is the same at each call of a request, with what was stored on it, and
    another one in the next request; its handler has no say in how often it is called."""
    code = """
        def outputfilter(filter):
            if not hasattr(filter, "calls"):
                filter.calls = 0
            filter.calls += 1
            while data := filter.read():
                filter.write(data)
            if data is None:
                filter.write(" calls: %d" % filter.calls)
                filter.close()
        """
    pieces = """
        from mod_python import apache

        def handler(req):
            for _ in range(3):
                req.write("piece ")
                req.flush()
            return apache.OK
        """
    site = httpd(LIB + "PythonOutputFilter spam SPAM", {"lib/spam.py": code}).site(
        "SetHandler python-program\nPythonHandler pieces\nSetOutputFilter SPAM", {"pieces.py": pieces}
    )
    for _ in range(2):
        text, _, calls = site.get("x").text.partition(" calls: ")
        assert text == "piece piece piece "
        assert 3 <= int(calls) <= 4


def test_nothing_for_the_moment(httpd):
    """read() gives bytes, then b"" when there is none for the moment, at the end None."""
    code = """
        def outputfilter(filter):
            if not hasattr(filter, "seen"):
                filter.seen = []
            while data := filter.read():
                filter.seen.append(data)
            filter.seen.append(data)
            if data is None:
                filter.write(repr(filter.seen))
                filter.close()
        """
    pieces = """
        from mod_python import apache

        def handler(req):
            req.write("spam")
            req.flush()
            req.write("eggs")
            return apache.OK
        """
    site = httpd(LIB + "PythonOutputFilter spam SPAM", {"lib/spam.py": code}).site(
        "SetHandler python-program\nPythonHandler pieces\nSetOutputFilter SPAM", {"pieces.py": pieces}
    )
    assert site.get("x").text in (
        "[b'spam', b'', b'eggs', b'', None]",
        "[b'spam', b'', b'eggs', None]",
    )


def test_unread_data_stays_for_the_next_call(httpd):
    """A handler that reads less than there is is called again, as long as it reads."""
    code = """
        def outputfilter(filter):
            data = filter.read(3)
            if data:
                filter.write(b"<" + data + b">")
            elif data is None:
                filter.close()
        """
    site = httpd(LIB + "PythonOutputFilter spam SPAM", {"lib/spam.py": code}).site(
        "SetOutputFilter SPAM", {"page.txt": "12345678"}
    )
    assert site.get("page.txt").text == "<123><456><78>"


def test_a_handler_that_does_nothing(httpd):
    """What a handler neither reads nor writes goes on as it is."""
    code = "def outputfilter(filter):\n    pass\n\ninputfilter = outputfilter\n"
    config = LIB + "PythonOutputFilter spam SPAM\nPythonInputFilter spam INSPAM"
    site = httpd(config, {"lib/spam.py": code}).site(
        "SetHandler python-program\nPythonHandler echo\nSetOutputFilter SPAM\nSetInputFilter INSPAM",
        {"echo.py": ECHO},
    )
    assert site.post("x", content=b"spam" * 50000).content == b"spam" * 50000


def test_left_open_at_the_end(httpd):
    """A filter that was not closed at the end is closed for its handler."""
    code = """
        def outputfilter(filter):
            while data := filter.read():
                filter.write(data.upper())

        inputfilter = outputfilter
        """
    config = LIB + "PythonOutputFilter spam SPAM\nPythonInputFilter spam INSPAM"
    site = httpd(config, {"lib/spam.py": code}).site(
        "SetHandler python-program\nPythonHandler echo", {"echo.py": ECHO, "out.txt": "spam"}
    )
    site.write(".htaccess", "SetOutputFilter SPAM")
    assert site.get("out.txt").text == "SPAM"
    site.write(".htaccess", "SetHandler python-program\nPythonHandler echo\nSetInputFilter INSPAM")
    assert site.post("x", content=b"spam").content == b"SPAM"


def test_added_at_the_end(httpd):
    """A filter may write when it has read the end, before it closes."""
    code = """
        def outputfilter(filter):
            while data := filter.read():
                filter.write(data)
            if data is None:
                filter.write("the end")
                filter.close()
        """
    site = httpd(LIB + "PythonOutputFilter spam SPAM", {"lib/spam.py": code}).site(
        "SetOutputFilter SPAM", {"page.txt": "spam, ", "empty.txt": ""}
    )
    assert site.get("page.txt").text == "spam, the end"
    assert site.get("empty.txt").text == "the end"


def test_closed_early(httpd):
    """After close() the rest of the response is dropped."""
    code = """
        def outputfilter(filter):
            filter.write(filter.read(4))
            filter.close()
        """
    site = httpd(LIB + "PythonOutputFilter spam SPAM", {"lib/spam.py": code}).site(
        "SetOutputFilter SPAM", {"page.txt": "spam and eggs" * 100000}
    )
    with site.connect() as connection:
        for _ in range(3):
            connection.send(f"GET {site.prefix}page.txt HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert connection.response().body == b"spam"


def test_handler_behind_a_filter_that_closed(httpd):
    """A handler that goes on writing does not notice: what it writes is dropped."""
    code = """
        def outputfilter(filter):
            filter.write(filter.read(4))
            filter.close()
        """
    pieces = """
        from mod_python import apache

        def handler(req):
            for _ in range(5):
                req.write("spam and eggs")
                req.flush()
                req.write("x" * 100000, 0)
            return apache.OK
        """
    site = httpd(LIB + "PythonOutputFilter spam SPAM", {"lib/spam.py": code}).site(
        "SetHandler python-program\nPythonHandler pieces\nSetOutputFilter SPAM", {"pieces.py": pieces}
    )
    with site.connect() as connection:
        for _ in range(3):
            connection.send(f"GET {site.prefix}x HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert connection.response().body == b"spam"


@pytest.mark.parametrize("size", [10, 10000, 1000000])
@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("chain", ["SPAM", "SPAM;PASSES", "PASSES;SPAM"])
def test_input_closed_early(httpd, size, is_chunked, chain):
    """The handler sees the end where an input filter closes; the rest of the body is not
    taken for the next request, whatever other filters there are."""
    code = """
        def inputfilter(filter):
            filter.write(filter.read(4))
            filter.close()

        def passes(filter):
            while data := filter.read():
                filter.write(data)
            if data is None:
                filter.close()
        """
    config = LIB + "PythonInputFilter spam SPAM\nPythonInputFilter spam::passes PASSES"
    site = httpd(config, {"lib/spam.py": code}).site(
        f"SetHandler python-program\nPythonHandler echo\nSetInputFilter {chain}", {"echo.py": ECHO}
    )
    body = b"spam" + b"GET / HTTP/1.1\r\nHost: evil\r\n\r\n" * (size // 30)
    head = f"POST {site.prefix}x HTTP/1.1\r\nHost: x\r\n"
    if is_chunked:
        data = f"{head}Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n".encode()
        data += body + b"\r\n0\r\n\r\n"
    else:
        data = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    with site.connect() as connection:
        for _ in range(2):
            connection.send(data)
            assert connection.response().body == b"spam"


INCLUDE = """
    <Directory "${root}/htdocs">
        PythonOutputFilter twice TWICE
        AddOutputFilter INCLUDES;TWICE .shtml
        AddOutputFilter TWICE .txt
        AddType text/html .shtml
    </Directory>
    """


def test_main_tells_of_a_subrequest(httpd):
    """The manual's advice: a filter that heeds req.main alters an included page once."""
    code = """
        def outputfilter(filter):
            if filter.req.main is not None:
                filter.pass_on()
                return
            while data := filter.read():
                filter.write(data.replace(b"spam", b"spamspam"))
            if data is None:
                filter.close()
        """
    server = httpd(INCLUDE, {"htdocs/twice.py": code}, modules=("include",))
    files = {"page.shtml": 'a spam <!--#include virtual="part.txt" --> spam', "part.txt": "(spam)"}
    site = server.site(files=files)
    assert site.get("part.txt").text == "(spamspam)"
    assert site.get("page.shtml").text == "a spamspam (spamspam) spamspam"


def test_without_that_advice(httpd):
    """A filter that does not look alters what is included twice."""
    code = """
        def outputfilter(filter):
            while data := filter.read():
                filter.write(data.replace(b"spam", b"spamspam"))
            if data is None:
                filter.close()
        """
    server = httpd(INCLUDE, {"htdocs/twice.py": code}, modules=("include",))
    files = {"page.shtml": 'a spam <!--#include virtual="part.txt" --> spam', "part.txt": "(spam)"}
    site = server.site(files=files)
    assert site.get("page.shtml").text == "a spamspam (spamspamspamspam) spamspam"


def test_a_class_as_filter(httpd):
    """A class is called with the filter, as for the other handlers."""
    code = """
        class Filter:
            def __init__(self, filter):
                self.filter = filter

            def run(self, filter):
                assert filter is self.filter
                while data := filter.read():
                    filter.write(data.upper())
                if data is None:
                    filter.close()
        """
    site = httpd(LIB + "PythonOutputFilter spam::Filter.run SPAM", {"lib/spam.py": code}).site(
        "SetOutputFilter SPAM", {"page.txt": "spam"}
    )
    assert site.get("page.txt").text == "SPAM"


def test_reload(httpd):
    """A changed filter module is loaded again, as a handler's is."""
    config = """
        <Directory "${root}/htdocs">
            PythonOutputFilter spam SPAM
        </Directory>
        """
    code = "def outputfilter(filter):\n    filter.write('first')\n    filter.close()\n"
    server = httpd(config, {"htdocs/spam.py": code})
    site = server.site("SetOutputFilter SPAM", {"page.txt": ""})
    assert site.get("page.txt").text == "first"
    server.write("htdocs/spam.py", code.replace("first", "the second"))
    assert site.get("page.txt").text == "the second"
