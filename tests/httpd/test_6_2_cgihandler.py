"""Manual 6.2, the CGI handler: what a script is given, and what becomes of what it prints."""

import hashlib

import pytest

from .cgi_scripts import PYTHON, printing, responding, script

# What it is given


def test_hello(httpd):
    """A script as everybody's first one."""
    site = script(
        httpd,
        """
        #!/usr/bin/python3
        print("Content-Type: text/plain")
        print()
        print("Hello!")
        """,
    )
    answer = site.get("script.py")
    assert (answer.status_code, answer.text) == (200, "Hello!\n")
    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.headers["Content-Length"] == "7"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("os.environ['QUERY_STRING']", "a=1"),
        ("os.getenv('PATH_INFO')", "/päth"),
        ("os.environb[b'PATH_INFO'].decode()", "/päth"),
        ("os.environ['HTTP_X_SPAM']", "eggs"),
        ("os.environ.get('HTTP_AUTHORIZATION')", "Basic eDp5"),
        ("os.environ['GATEWAY_INTERFACE']", "Python-CGI/1.1"),
        ("os.path.basename(os.environ['SCRIPT_NAME'])", "script.py"),
        ("'SERVER_NAME' in os.environ and 'KK_SPAM' not in os.environ", "True"),
        ("__name__", "__main__"),
        ("os.path.basename(__file__)", "script.py"),
        ("sys.argv == [__file__]", "True"),
        ("sys.path[0] == os.path.dirname(__file__) == os.getcwd()", "True"),
        ("__import__('__main__').__file__ == __file__", "True"),
        ("sys.modules[__name__].__file__ == __file__", "True"),
    ],
)
def test_given(httpd, expression, value):
    """Environment, arguments, path, current directory and module are as CGI has them."""
    assert (
        printing(
            httpd,
            expression,
            "script.py/p%C3%A4th?a=1",
            headers={"X-Spam": "eggs", "Authorization": "Basic eDp5"},
        )
        == value
    )


@pytest.mark.parametrize(
    ("query", "words"),
    [("one+t%77o+%2B", ["one", "two", "+"]), ("a=1+b", []), ("", [])],
)
def test_arguments(httpd, query, words):
    """The words of a query without = are arguments (RFC 3875, 4.4)."""
    assert printing(httpd, "sys.argv[1:]", f"script.py?{query}") == str(words)


def test_environment_changes(httpd):
    """A script may change its environment; the next script, and the server, do not see it."""
    site = httpd.site(
        PYTHON + "<Files handler.py>\nPythonHandler handler\n</Files>\n",
        {
            "set.py": "import os\nos.environ['KK_SPAM'] = 'eggs'\ndel os.environ['PATH']\nprint('X: 1\\n')\n"
            "print(os.getenv('KK_SPAM'), 'PATH' in os.environ, len(os.environ) == len(list(os.environ)))",
            "get.py": "import os\nprint('X: 1\\n')\nprint(os.getenv('KK_SPAM'), 'PATH' in os.environ)",
            "handler.py": "import os\ndef handler(req):\n    req.write(str(os.environ.get('KK_SPAM')) + str('QUERY_STRING' in os.environ))\n    return 0\n",
        },
    )
    assert site.get("set.py").text == "eggs False True\n"
    assert site.get("get.py").text == "None True\n"
    assert site.get("handler.py").text == "NoneFalse"


def test_environment_takes_text_only(httpd):
    """As os.environ does."""
    site = script(httpd, "import os\nos.environ['A'] = 1\n")
    assert site.get("script.py").status_code == 500
    site.expect_log("KK0101.*TypeError: str expected, not int")


def test_body(httpd):
    """The body is sys.stdin, text and bytes; its end is the end."""
    expression = "(sys.stdin.readline(), sys.stdin.isatty(), sys.stdin.read())"
    assert (
        printing(httpd, expression, method="POST", content="ä\nb\nc".encode()) == "('ä\\n', False, 'b\\nc')"
    )


def test_binary_body(httpd):
    """Every byte passes through, in both directions."""
    site = script(
        httpd,
        """
        import sys
        data = sys.stdin.buffer.read()
        sys.stdout.write("Content-Type: application/octet-stream\\r\\n\\r\\n")
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        """,
    )
    data = bytes(range(256)) * 4096
    answer = site.post("script.py", content=data)
    assert answer.content == data
    assert answer.headers["Content-Type"] == "application/octet-stream"


def test_chunked_body(httpd):
    """A body without Content-Length is read to its end."""
    assert printing(httpd, "sys.stdin.read()", method="POST", content=iter([b"one ", b"two"])) == "one two"


def test_input(httpd):
    """input() reads lines, and raises EOFError at the end."""
    site = script(
        httpd,
        """
        print("Content-Type: text/plain\\n")
        try:
            while True:
                print(input("> "))
        except EOFError:
            print("end")
        """,
    )
    assert site.post("script.py", content="a\nb\n").text == "> a\n> b\n> end\n"


def test_own_streams(httpd):
    """A script may put streams of its own in the place of sys.stdout and sys.stdin."""
    site = script(
        httpd,
        """
        import contextlib, io, sys
        print("Content-Type: text/plain; charset=iso-8859-1\\n")
        sys.stdout.flush()
        sys.stdout = io.TextIOWrapper(sys.stdout.buffer, "iso-8859-1")
        sys.stdin = io.TextIOWrapper(sys.stdin.buffer, "iso-8859-1")
        print("é", sys.stdin.read(), isinstance(sys.__stdout__, io.TextIOBase))
        with contextlib.redirect_stdout(io.StringIO()) as kept:
            print("kept")
        print(repr(kept.getvalue()))
        """,
    )
    assert site.post("script.py", content=b"\xe9").content == b"\xe9 \xe9 True\n'kept\\n'\n"
    answer = site.get("script.py")
    assert answer.content == b"\xe9  True\n'kept\\n'\n"


def test_standard_error(httpd):
    """What goes to sys.stderr, and the text of sys.exit(), is in the error log."""
    site = script(
        httpd, "import sys\nprint('X: 1\\n')\nprint('spam spam', file=sys.stderr)\nsys.exit('the end')\n"
    )
    assert site.get("script.py").status_code == 200
    site.expect_log("spam spam")
    site.expect_log("the end")


@pytest.mark.parametrize("end", ["sys.exit()", "sys.exit(0)", "sys.exit(3)", "raise SystemExit", "exit(1)"])
def test_exit(httpd, end):
    """Whatever the exit code, the response is what was printed."""
    site = script(httpd, f"import sys\nprint('Content-Type: text/plain\\n\\nprinted')\n{end}\nprint('more')")
    answer = site.get("script.py")
    assert (answer.status_code, answer.text) == (200, "printed\n")


def test_at_exit(httpd):
    """What a process does at its end: threads are waited for, atexit runs, files are closed."""
    site = script(
        httpd,
        """
        import atexit, threading, time
        print("Content-Type: text/plain\\n")
        atexit.register(print, "at exit")
        atexit.register(print, "never")
        atexit.unregister(print)
        atexit.register(print, "at exit")
        def work():
            time.sleep(0.05)
            print("thread")
        threading.Thread(target=work).start()
        file = open("left.txt", "w")
        file.write("written")
        def refers():
            return file
        """,
    )
    site.directory.chmod(0o777)
    assert site.get("script.py").text == "thread\nat exit\n"
    assert (site.directory / "left.txt").read_text() == "written"


# What it prints


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_header_lines(httpd, end):
    """A header ends at an empty line, with LF or CRLF."""
    lines = ["Content-Type: text/html", "X-Spam: eggs", "Set-Cookie: a=1", "Set-Cookie: b=2", "", ""]
    answer = responding(httpd, end.join(lines), "<p>\n\nbody")
    assert answer.text == "<p>\n\nbody"
    assert answer.headers["X-Spam"] == "eggs"
    assert answer.headers.get_list("Set-Cookie") == ["a=1", "b=2"]


def test_no_type(httpd):
    """Without Content-Type there is none: not that of a Python source."""
    assert "Content-Type" not in responding(httpd, "X: 1\n\n").headers


def test_status(httpd):
    """Status is the response's; the body is the script's, no error document."""
    answer = responding(httpd, "Status: 404 Nobody home\nContent-Type: text/plain\n\n")
    assert (answer.status_code, answer.reason_phrase, answer.text) == (404, "Nobody home", "body")


def test_header_piece_by_piece(httpd):
    """How a script cuts its output makes no difference."""
    site = script(
        httpd,
        """
        import sys
        for byte in b"Content-Type: text/plain\\r\\nX-Spam: eggs\\r\\n\\r\\nbody":
            sys.stdout.buffer.write(bytes([byte]))
            sys.stdout.flush()
        """,
    )
    answer = site.get("script.py")
    assert (answer.text, answer.headers["X-Spam"]) == ("body", "eggs")


def test_location(httpd):
    """An absolute Location is a redirect; what else is printed is not sent."""
    answer = responding(httpd, "Location: http://www.example.com/x\nSet-Cookie: a=1\n\n", "never seen")
    assert answer.status_code == 302
    assert answer.headers["Location"] == "http://www.example.com/x"
    assert answer.headers["Set-Cookie"] == "a=1"
    assert "never seen" not in answer.text


def test_relative_location(httpd):
    """One without a leading slash goes to the client, which knows what it is relative to."""
    answer = responding(httpd, "Location: other.py\n\n", "")
    assert (answer.status_code, answer.headers["Location"]) == (302, "other.py")


def test_location_with_status(httpd):
    """With a status of its own, a script's redirect has a body of its own."""
    answer = responding(httpd, "Status: 303 See Other\nLocation: /x\nContent-Type: text/plain\n\n", "there")
    assert (answer.status_code, answer.headers["Location"], answer.text) == (303, "/x", "there")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_local_redirect(httpd, method):
    """A path as Location is answered at once with what a GET of it gives (RFC 3875, 6.2.2)."""
    site = httpd.site(PYTHON)
    site.write(
        "first.py",
        f"print('Location: {site.prefix}second.py/info?q=1')\nprint('Set-Cookie: a=1')\nprint()\nprint('x' * 100000)\n",
    )
    site.write(
        "second.py",
        "import os, sys\nprint('Content-Type: text/plain\\n')\ne = os.environ\n"
        "print(e['REQUEST_METHOD'], e['QUERY_STRING'], e['PATH_INFO'], 'CONTENT_LENGTH' in e,"
        " repr(sys.stdin.read()), os.path.basename(__file__))\n",
    )
    answer = site.request(method, "first.py", content=b"body" if method == "POST" else b"")
    assert (answer.status_code, answer.text) == (200, "GET q=1 /info False '' second.py\n")
    assert answer.headers["Set-Cookie"] == "a=1"


def test_nph(httpd):
    """The output of a script whose name begins with nph- is the response, byte by byte."""
    site = script(
        httpd,
        "print('HTTP/1.1 299 Strange\\r\\nx-Spam: eggs\\r\\nConnection: close\\r\\n\\r\\nbody', end='')\n",
        "nph-script.py",
    )
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}nph-script.py HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (
            connection.read_all() == b"HTTP/1.1 299 Strange\r\nx-Spam: eggs\r\nConnection: close\r\n\r\nbody"
        )


@pytest.mark.only_mpm("event")
def test_nph_over_http2(httpd):
    """Where a response is no text of that kind, the same is said in its own way."""
    server = httpd("Protocols h2c http/1.1", modules=("http2",))
    site = server.site(
        PYTHON, {"nph-script.py": "print('HTTP/1.1 299 Strange\\r\\nX-Spam: eggs\\r\\n\\r\\nbody', end='')\n"}
    )
    answer = site.http2("GET", "nph-script.py")
    assert (answer.status_code, answer.headers["X-Spam"], answer.text) == (299, "eggs", "body")


def test_nph_that_fails(httpd):
    """Before it has printed anything, an nph- script's failure is an ordinary error."""
    site = script(httpd, "raise ValueError('spam')", "nph-script.py")
    assert site.get("nph-script.py").status_code == 500
    site.expect_log("KK0101.*ValueError: spam")


def test_head(httpd):
    """HEAD runs the script; the body is left out."""
    site = script(
        httpd,
        "import os\nprint('Content-Type: text/plain\\nX-Method: ' + os.environ['REQUEST_METHOD'] + '\\n\\nbody')\n",
    )
    answer = site.head("script.py")
    assert (answer.status_code, answer.headers["X-Method"], answer.content) == (200, "HEAD", b"")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "SPAM"])
def test_methods(httpd, method):
    """Every method is the script's."""
    assert printing(httpd, "os.environ['REQUEST_METHOD']", method=method) == method


def test_conditional(httpd):
    """Last-Modified and ETag of a script's are compared with what the client has."""
    header = 'Content-Type: text/plain\nLast-Modified: Tue, 01 Jan 2002 00:00:00 GMT\nETag: "spam"\n\n'
    since = "Wed, 02 Jan 2002 00:00:00 GMT"
    assert responding(httpd, header).status_code == 200
    assert responding(httpd, header, headers={"If-Modified-Since": since}).status_code == 304
    assert responding(httpd, header, headers={"If-None-Match": '"spam"'}).status_code == 304
    assert responding(httpd, header, headers={"If-None-Match": '"eggs"'}).status_code == 200


def test_flush(httpd):
    """What a script flushes is on its way while it runs."""
    site = script(
        httpd,
        """
        import sys
        print("Content-Type: text/plain\\n")
        print("first", flush=True)
        sys.stdin.read(1)
        print("second")
        """,
    )
    with site.connect() as connection:
        connection.send(
            f"POST {site.prefix}script.py HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\n".encode()
        )
        assert connection.read_until(b"first\n").endswith(b"first\n")
        connection.send(b"x")
        assert b"second\n" in connection.read_all()


def test_much_output(httpd):
    """Output of any size goes through as it comes."""
    site = script(
        httpd,
        """
        import sys
        print("Content-Type: application/octet-stream\\n", flush=True)
        for n in range(320):
            sys.stdout.buffer.write(bytes([n % 256]) * 100_003)
        """,
    )
    site_digest = hashlib.sha256()
    for n in range(320):
        site_digest.update(bytes([n % 256]) * 100_003)
    answer = site.get("script.py")
    assert hashlib.sha256(answer.content).digest() == site_digest.digest()


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("print('one')\nsys.stdout.write('two')\nprint('three', file=sys.__stdout__)", "one\ntwothree\n"),
        ("print('one')\nsys.stdout = sys.stdout\nprint('two')", "one\ntwo\n"),
        ("print('one')\nsys.stdout = io.StringIO()\nprint('two')", "one\n"),
        ("print('one')\nsys.stdout.detach()\nsys.stdout = None\nprint('two', file=sys.stderr)", "one\n"),
        ("print('one')\nsys.stdout.close()", "one\n"),
        ("print('\\udcff', end='')\nprint('\\xe9')", "\ufffd\xe9\n"),
        ("print('x' * 20000)\nprint('y', len(sys.stdout.newlines or ''))", "x" * 20000 + "\ny 0\n"),
        ("for n in range(5000):\n    print(n)", "".join(f"{n}\n" for n in range(5000))),
        ("try:\n    print('\\ud800')\nexcept UnicodeEncodeError:\n    print('error')", "error\n"),
        ("print('one')\nt = threading.Thread(target=print, args=('two',))\nt.start()\nt.join()\nprint('three')", "one\ntwo\nthree\n"),
        ("from contextvars import copy_context\nprint('one')\ncopy_context().run(print, 'two')\nprint('three')", "one\ntwo\nthree\n"),
    ],
)  # fmt: skip
def test_printing(httpd, text, body):
    """What is printed comes out in its order, whatever the script does with sys.stdout afterwards."""
    site = script(
        httpd, f"import io, sys, threading\nprint('Content-Type: text/plain; charset=utf-8\\n')\n{text}\n"
    )
    assert site.get("script.py").text == body
    if "stderr" in text:
        site.expect_log("two")


def test_printed_while_it_runs(httpd):
    """More than some kilobytes do not wait for the script's end."""
    site = script(
        httpd,
        """
        import sys
        print("Content-Type: text/plain\\n")
        for n in range(2000):
            print(f"{n:0100}")
        sys.stdin.read(1)
        print("last")
        """,
    )
    with site.connect() as connection:
        connection.send(
            f"POST {site.prefix}script.py HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\n".encode()
        )
        connection.read_until(b"00100\n")
        connection.send(b"x")
        assert b"last\n" in connection.read_all()


def test_bytes_before_the_header(httpd):
    """Bytes overtake text that is not flushed, as in any process; the log shows them."""
    site = script(
        httpd,
        "import sys\nprint('Content-Type: image/png\\n')\nsys.stdout.buffer.write(b'\\x89PNG\\n\\n')\n",
    )
    assert site.get("script.py").status_code == 500
    site.expect_log("KK0140.*x89PNG")


def test_children(httpd):
    """What commands print is the script's, in order; they have its environment and directory."""
    site = script(
        httpd,
        """
        import os, subprocess
        print("Content-Type: text/plain\\n", flush=True)
        print(os.system("echo $QUERY_STRING; pwd; exit 3") >> 8, flush=True)
        subprocess.run(["sh", "-c", "echo one; exec echo $QUERY_STRING"], check=True)
        print(os.popen("echo $QUERY_STRING").read(), end="", flush=True)
        subprocess.run("echo two; kill -9 $$", shell=True, env={**os.environ, "A": "b"})
        print(os.system("kill -9 $$"))
        subprocess.call("echo last", shell=True)
        """,
    )
    assert site.get("script.py?q").text == f"q\n{site.directory}\n3\none\nq\nq\ntwo\nlast\n9\n"


def test_descriptors(httpd):
    """The streams have descriptors, for those who must have one."""
    site = script(
        httpd,
        """
        import os, subprocess, sys
        sys.stdout.write("Content-Type: text/plain\\n\\n" + sys.stdin.readline())
        sys.stdout.flush()
        os.write(sys.stdout.fileno(), b"written ")
        print(os.path.isfile("/dev/fd/%d" % sys.stdin.fileno()), flush=True)
        subprocess.run(["cat"], stdin=sys.stdin, stdout=sys.stdout)
        """,
    )
    rest = "x" * 200000
    answer = site.post("script.py", content="line\n" + rest)
    lines = answer.text.split("\n")
    assert lines[:2] == ["line", "written True"]
    # What the buffers of text and bytes had taken is gone, as in any process.
    assert lines[2] and lines[2] == rest[: len(lines[2])]
    assert len(rest) - len(lines[2]) <= 65536
