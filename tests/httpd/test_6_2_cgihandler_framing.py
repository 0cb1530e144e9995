"""Manual 6.2: where a script's response ends, which is the server's to say."""

import pytest

PYTHON = "SetHandler python-program\nPythonHandler mod_python.cgihandler\n"


def script(header):
    """The text of one that prints this header, and a body of six bytes in two pieces."""
    return (
        "import sys\n"
        f"for piece in {header + chr(10)!r}, 'abc', 'def':\n"
        "    sys.stdout.write(piece)\n"
        "    sys.stdout.flush()\n"
    )


@pytest.mark.parametrize(
    "header",
    [
        "Content-Length: 3\n",
        "Content-Length: 30\n",
        "Content-Length: 3, 3\n",
        "Content-Length: x\n",
        "Transfer-Encoding: chunked\n",
        "Transfer-Encoding: gzip\nContent-Length: 3\n",
    ],
)
@pytest.mark.parametrize("name", ["script.py", "at_once.py"])
def test_a_wrong_length_is_not_sent(httpd, header, name):
    """Whatever the script says, its body is the whole body, and the next response the next."""
    text = script(header)
    files = {"script.py": text, "at_once.py": text.replace("    sys.stdout.flush()\n", "")}
    site = httpd.site(PYTHON, files | {"next.py": "print('X: 1\\n\\nnext')\n"})
    with site.connect() as connection:
        for path, body in ((name, b"abcdef"), ("next.py", b"next\n")):
            connection.send(f"GET {site.prefix}{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert connection.response().body == body


def test_a_length_that_is_trusted(httpd):
    """Apache's variable for that holds here too."""
    site = httpd.site(PYTHON + "SetEnv ap_trust_cgilike_cl 1\n", {"script.py": script("Content-Length: 6\n")})
    answer = site.get("script.py")
    assert (answer.headers["Content-Length"], answer.text) == ("6", "abcdef")
    assert site.head("script.py").headers["Content-Length"] == "6"
