"""The samples of docs/filters.md and docs/protocols.md do what these say."""

import hashlib
from pathlib import Path

import pytest

from plugins.client import Connection
from plugins.process import free_port, wait_for
from plugins.tls import TLS, TLSConnection, certificate

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"
LIB = "PythonPath \"sys.path + ['${root}/lib']\"\n"


def serve(httpd, directives, *names, files=None, **options):
    """A server with some of the samples."""
    samples = {f"lib/{name}.py": (SAMPLES / f"{name}.py").read_text() for name in names}
    return httpd(LIB + directives, samples | (files or {}), **options)


def test_capitalize(httpd):
    """For .txt files."""
    server = serve(httpd, "PythonOutputFilter capitalize CAPITALIZE", "capitalize")
    site = server.site(
        "AddOutputFilter CAPITALIZE .txt", {"hello.txt": "hello world\n", "hello.html": "hello"}
    )
    assert site.get("hello.txt").text == "HELLO WORLD\n"
    assert site.get("hello.html").text == "hello"


def test_redact(httpd):
    """A number is found wherever the response is cut."""
    pieces = """
        def handler(req):
            for character in "a 1234 5678-90123456 b\\n" + "x" * 10 + " 1234567890123456\\n12345678901234567":
                req.write(character)
            return 0
        """
    site = serve(httpd, "PythonOutputFilter redact REDACT", "redact").site(
        "SetHandler python-program\nPythonHandler pieces\nSetOutputFilter REDACT", {"pieces.py": pieces}
    )
    assert site.get("x").text == "a [card] b\nxxxxxxxxxx [card]\n12345678901234567"


def test_pretty(httpd):
    """JSON is indented, all else left alone."""
    site = serve(httpd, "PythonOutputFilter pretty PRETTY", "pretty").site(
        "SetOutputFilter PRETTY\nAddType application/json .json",
        {"page.json": '{"spam": [' + "1," * 50000 + "1]}", "page.txt": '{"spam": 1}'},
    )
    assert site.get("page.json").text == '{\n  "spam": [\n' + "    1,\n" * 50000 + "    1\n  ]\n}\n"
    assert site.get("page.txt").text == '{"spam": 1}'


def test_digest(httpd):
    """A body goes through if its digest is the header's."""
    config = """
        PythonInputFilter digest DIGEST
        <Location /digest>
            SetHandler python-program
            PythonHandler digest
            SetInputFilter DIGEST
        </Location>
        """
    server = serve(httpd, config, "digest")
    for body in (b"", b"spam" * 50000):
        digest = hashlib.sha256(body).hexdigest()
        answer = server.post("digest", content=body, headers={"X-SHA256": digest})
        assert answer.text == f"{len(body)} bytes, as they were sent\n"
        assert server.post("digest", content=body + b"!", headers={"X-SHA256": digest}).status_code == 400
    assert server.get("digest").status_code == 400


def test_chosen(httpd):
    """The filter is for the requests that ask for it."""
    server = serve(httpd, "PythonOutputFilter capitalize CAPITALIZE", "capitalize", "chosen")
    site = server.site("PythonFixupHandler chosen", {"page.txt": "spam"})
    assert site.get("page.txt").text == "spam"
    assert site.get("page.txt", headers={"X-Loud": "1"}).text == "SPAM"


def test_footer(httpd):
    """A page with parts has one footer."""
    server = serve(httpd, "PythonOutputFilter footer FOOTER", "footer", modules=("include",))
    site = server.site(
        "SetOutputFilter INCLUDES;FOOTER",
        {"page.html": '<p>a\n<!--#include virtual="part.html" -->', "part.html": "<p>part\n"},
    )
    assert site.get("page.html").text == "<p>a\n<p>part\n<p>Printed on recycled electrons.</p>\n"


def test_wire(httpd):
    """The log has the first line of what goes either way, within TLS."""
    config = """
        LogLevel python_module:info
        PythonConnectionInputFilter wire
        PythonConnectionOutputFilter wire
        """
    server = serve(httpd, config + TLS, "wire", files=certificate(), modules=("ssl",))
    site = server.site("", {"hello.txt": "hello world\n"})
    with TLSConnection(server.port) as connection:
        connection.send(f"GET {site.prefix}hello.txt HTTP/1.1\r\nHost: www.example.com\r\n\r\n".encode())
        assert connection.response().body == b"hello world\n"
    assert server.expect_log(rf"127.0.0.1 < \d+ GET {site.prefix}hello.txt HTTP/1.1").level == "info"
    server.expect_log(r"127.0.0.1 > \d+ HTTP/1.1 200 OK")


def test_protocols(httpd):
    """Each on a port of its own, TLS included."""
    ports = [free_port() for _ in range(3)]
    config = f"""
        SSLSessionCache none
        LogLevel ssl:error
        Listen 127.0.0.1:{ports[0]} echo
        <VirtualHost 127.0.0.1:{ports[0]}>
            PythonConnectionHandler echo
        </VirtualHost>
        Listen 127.0.0.1:{ports[1]} tally
        <VirtualHost 127.0.0.1:{ports[1]}>
            PythonConnectionHandler tally
        </VirtualHost>
        Listen 127.0.0.1:{ports[2]} tally
        <VirtualHost 127.0.0.1:{ports[2]}>
            SSLEngine On
            SSLCertificateFile "${{root}}/conf/cert.pem"
            SSLCertificateKeyFile "${{root}}/conf/key.pem"
            PythonConnectionHandler tally
        </VirtualHost>
        """
    serve(httpd, config, "echo", "tally", files=certificate(), modules=("ssl",))
    with Connection(ports[0]) as connection:
        connection.send(b"spam\neggs\n")
        assert connection.read_until(b"eggs\n") == b"spam\neggs\n"
    for port, kind in ((ports[1], Connection), (ports[2], TLSConnection)):
        with kind(port) as connection:
            assert connection.read_until(b"\n") == b"tally: add NUMBER, total, quit\r\n"
            connection.send(b"add 40\r\nadd 2\r\nadd x\r\ntotal\r\nquit\r\n")
            assert connection.read_all() == b"ok\r\nok\r\nwhat?\r\n42\r\n"
        with kind(port) as connection:
            connection.send(b"x" * 80)
            assert connection.read_all().endswith(b"quit\r\nline too long\r\n")


@pytest.mark.only_mpm("event")
def test_chat(httpd):
    """Each hears what the others say, also while it says nothing itself."""
    server = serve(httpd, "AcceptFilter http none\nTimeout 1\nPythonConnectionHandler chat", "chat")
    with server.connect() as first:
        assert first.read_until(b"\n").endswith(b" here\r\n")
        with server.connect() as second:
            assert second.read_until(b"\n").endswith(b" here\r\n")
            first.send(b"who is ")
            second.send(b"hello\n")
            assert first.read_until(b"\n") == b"hello\n"
            first.send(b"that?\n")
            assert second.read_until(b"\n") == b"who is that?\n"
        wait_for(lambda: chatting(server) == 2, "all but the first to be forgotten")


def chatting(server):
    """How many clients the chat has, a new one included."""
    with server.connect() as connection:
        return int(connection.read_until(b"\n").split()[0])


def test_front_door(httpd):
    """It leaves who is not barred to HTTP."""
    server = serve(httpd, "PythonConnectionHandler front_door", "front_door")
    assert server.site("", {"page.txt": "spam"}).get("page.txt").text == "spam"
    text = (SAMPLES / "front_door.py").read_text().replace("192.0.2.1", "127.0.0.1")
    barred = httpd(LIB + "PythonConnectionHandler front_door", {"lib/front_door.py": text})
    with barred.connect() as connection:
        connection.send(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.read_all() == b""
