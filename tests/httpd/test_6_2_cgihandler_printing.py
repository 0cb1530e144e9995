"""Manual 6.2: it makes no difference how a script prints, whether all at once at its end or not."""

import pytest

from .cgi_scripts import PYTHON

#: Ways to print the response that `text` is.
WAYS = {
    "printed.py": "print(text, end='')\n",
    "in_pieces.py": "for character in text:\n    print(character, end='')\n",
    "stream.py": "import sys\nsys.stdout.write(text)\n",
    "flushed.py": "import sys\nsys.stdout.write(text)\nsys.stdout.flush()\n",
    "bytes.py": "import sys\nsys.stdout.buffer.write(text.encode())\n",
}

MODIFIED = "Last-Modified: Tue, 01 Jan 2002 00:00:00 GMT\n"
SINCE = {"If-Modified-Since": "Wed, 02 Jan 2002 00:00:00 GMT"}
BEFORE = {"If-Unmodified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"}


def answers(httpd, text, config="", method="GET", **options):
    """The response to each of the scripts, as (status, header, body), by its name."""
    files = {name: f"text = {text!r}\n{way}" for name, way in WAYS.items()}
    site = httpd.site(PYTHON + config, files | {"other.py": "print('X: 1\\n\\nother')\n"})
    found = {}
    for name in WAYS:
        answer = site.request(method, name, **options)
        # How a body ends is another matter: see test_6_2_cgihandler_framing.py.
        ignored = ("date", "content-length", "transfer-encoding")
        header = [pair for pair in answer.headers.multi_items() if pair[0] not in ignored]
        found[name] = (answer.status_code, header, answer.text)
    return site, found


@pytest.mark.parametrize(
    ("header", "status", "options"),
    [
        ("Content-Type: text/x\n", 200, {}),
        ("Content-Type: text/x\r\nX: a\r\nX: b\r\n\r", 200, {}),
        ("X: 1\nSet-Cookie: a=1\nSet-Cookie: b=2\nContent-Length: 3\n", 200, {}),
        ("<!--: spam\nX: 1\n", 200, {}),
        ("Status: 201 Made\nX: 1\n", 201, {}),
        ("STATUS: 404\n", 404, {}),
        ("location: http://example.com/\n", 302, {}),
        ("Location: http://example.com/\nStatus: 303\n", 303, {}),
        (MODIFIED, 200, {}),
        (MODIFIED, 304, {"headers": SINCE}),
        (MODIFIED, 412, {"headers": BEFORE}),
        ("Status: 200\n" + MODIFIED, 200, {"headers": SINCE}),
        ("X: 1\n", 200, {"method": "HEAD"}),
        ("X: 1\n", 200, {"method": "POST", "content": b"ignored"}),
    ],
)
@pytest.mark.parametrize("body", ["", "body", "sp\xe4m\0\r\n\r\n", "x" * 9000])
def test_same_answer(httpd, header, status, options, body):
    """Status, header and body are the same."""
    _, found = answers(httpd, f"{header}\n{body}", **options)
    first = found["stream.py"]
    assert first[0] == status
    assert first[2] == body or status not in (200, 201) or "method" in options
    assert found == dict.fromkeys(WAYS, first)


def test_same_local_redirect(httpd):
    """So is what another path of the server answers with."""
    site, _ = answers(httpd, "X: 1\n\n")
    _, found = answers(httpd, f"Location: {site.prefix}other.py\n\nbody")
    assert found == dict.fromkeys(WAYS, (200, found["stream.py"][1], "other\n"))


def test_same_location_of_another_handler(httpd):
    """A Location that was there before the script counts as its own."""
    config = "PythonFixupHandler fixup\n"
    files = {name: f"text = 'X: 1\\n\\nbody'\n{way}" for name, way in WAYS.items()}
    files["fixup.py"] = (
        "def fixuphandler(req):\n    req.headers_out['Location'] = 'http://example.com/'\n    return 0\n"
    )
    site = httpd.site(PYTHON + config, files)
    for name in WAYS:
        answer = site.get(name)
        assert (answer.status_code, answer.headers["Location"]) == (302, "http://example.com/")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no header\n\nbody", "KK0140.*is no 'Name: value'"),
        ("X: a\0b\n\nbody", "KK0140.*contains NUL"),
        ("X: a\x01b\n\nbody", "KK0140.*contains a control character"),
        ("Status: fine\n\nbody", "KK0140.*names no status"),
        ("X: 1\n", "KK0141.*ended before its header did"),
        ("", "KK0141.*ended before its header did"),
    ],
)
def test_same_complaint(httpd, text, reason):
    """So is what is wrong with it, and once for each."""
    site, found = answers(httpd, text)
    assert [answer[0] for answer in found.values()] == [500] * len(WAYS)
    site.expect_log(reason, len(WAYS))


def test_printed_behind_what_a_handler_wrote(httpd):
    """setup_cgi(): what the handler has written before stays in front."""
    text = (
        "from mod_python import apache\n"
        "def handler(req):\n"
        "    req.write('before ', 0)\n"
        "    before = apache.setup_cgi(req)\n"
        "    print('X: 1\\n\\nprinted', end='')\n"
        "    apache.restore_nocgi(*before)\n"
        "    req.write(' behind')\n"
        "    return apache.OK\n"
    )
    site = httpd.site("SetHandler python-program\nPythonHandler own\n", {"own.py": text})
    answer = site.get("own.py")
    assert (answer.headers["X"], answer.text) == ("1", "before printed behind")


def test_printed_after_its_end(httpd):
    """What is printed in the context of a script that has ended is no part of any answer."""
    text = (
        "import contextvars, os\n"
        "if hasattr(os, 'earlier'):\n"
        "    os.earlier(print, 'X: 2\\n\\nlate' * 3000)\n"
        "os.earlier = contextvars.copy_context().run\n"
        "print('X: 1\\n\\nbody', end='')\n"
    )
    site = httpd.site(PYTHON, {"script.py": text})
    for _ in range(3):
        answer = site.get("script.py")
        assert (answer.headers.get_list("X"), answer.text) == (["1"], "body")
