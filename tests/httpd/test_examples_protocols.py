"""The examples of filters and protocols, used by clients nobody here wrote: redis-cli,
smtplib, openssl s_client and Chromium."""

import mailbox
import re
import shutil
import smtplib
import subprocess
from email.message import EmailMessage
from pathlib import Path

import pytest

from plugins.installation import PATIENCE
from plugins.process import free_port
from plugins.tls import TLS, certificate

EXAMPLES = Path(__file__).parents[2] / "examples"
LIB = "PythonPath \"sys.path + ['${root}/lib']\"\n"
TIMEOUT = 60 * PATIENCE


def needs(program):
    """Skips where a client is not installed."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def example(name):
    """An example, as a file of the server's."""
    return {f"lib/{name}.py": (EXAMPLES / f"{name}.py").read_text()}


# Redis


@pytest.fixture
def redis(httpd):
    """A server that speaks the Redis protocol."""
    return httpd(LIB + "PythonConnectionHandler redis_server", example("redis_server"))


def redis_cli(server, *arguments, stdin=None):
    command = ["redis-cli", "-p", str(server.port), *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    return done.stdout.splitlines()


@needs("redis-cli")
def test_redis_commands(redis):
    """redis-cli stores, counts and deletes."""
    assert redis_cli(redis, "ping") == ["PONG"]
    assert redis_cli(redis, "echo", "spam and eggs") == ["spam and eggs"]
    assert redis_cli(redis, "set", "spam", "eggs ä\n") == ["OK"]
    assert redis_cli(redis, "get", "spam") == ["eggs ä", ""]
    assert redis_cli(redis, "exists", "spam", "nothing") == ["1"]
    assert redis_cli(redis, "incr", "count") == ["1"]
    assert redis_cli(redis, "incr", "count") == ["2"]
    assert "not an integer" in redis_cli(redis, "incr", "spam")[0]
    assert sorted(redis_cli(redis, "keys", "*")) == ["count", "spam"]
    assert redis_cli(redis, "del", "spam", "count", "nothing") == ["2"]
    assert redis_cli(redis, "get", "spam") == [""]
    assert "unknown command" in redis_cli(redis, "flushall")[0]
    assert "wrong number" in redis_cli(redis, "get")[0]


@needs("redis-cli")
def test_redis_session(redis):
    """A session of many commands, and a big value."""
    value = "x" * 200000
    lines = [f"set key{n} {n}" for n in range(200)] + ["get key77", f"set big {value}", "get big"]
    answers = redis_cli(redis, stdin="\n".join(lines) + "\n")
    assert answers == ["OK"] * 200 + ["77", "OK", value]


@needs("redis-cli")
def test_redis_pipelining(redis):
    """`redis-cli --pipe` sends thousands of commands at once."""
    command = "".join(f"*2\r\n$4\r\nINCR\r\n${len(str(n % 7)) + 1}\r\nk{n % 7}\r\n" for n in range(7000))
    last = redis_cli(redis, "--pipe", stdin=command)[-1]
    assert last == "errors: 0, replies: 7000"
    assert redis_cli(redis, "get", "k3") == ["1000"]


def test_redis_nonsense(redis):
    """What is no Redis command is answered with an error."""
    for line in (b"*1\r\n:5\r\n", b"*x\r\n", b"*1\r\n$-5\r\n", b"*1\r\n$99999999999\r\n"):
        with redis.connect() as connection:
            connection.send(line)
            assert connection.read_all().startswith(b"-ERR Protocol error")


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"\r\n" * 5000 + b"*0\r\n" * 5000 + b"PING\r\n", b"+PONG\r\n"),
        (b"*" + b"9" * 5000 + b"\r\n", b"-ERR Protocol error"),
        (b"*300\r\n" + b"$1048576\r\n%s\r\n" % (b"x" * 1048576) * 9, b"-ERR Protocol error"),
        (
            b"SET k " + b"9" * 4300 + b"\r\nINCR k\r\n",
            b"+OK\r\n-ERR value is not an integer or out of range\r\n",
        ),
        (
            b"SET k 9223372036854775807\r\nINCR k\r\n",
            b"+OK\r\n-ERR increment or decrement would overflow\r\n",
        ),
        (b"SET k \xc2\xb2\r\nINCR k\r\n", b"+OK\r\n-ERR value is not an integer or out of range\r\n"),
        (b"*1\r\n$6\r\nx\r\n+OK\r\n", b"-ERR unknown command 'X\\r\\n+OK'\r\n"),
        (b"*1\r\n$0\r\n\r\n", b"-ERR unknown command ''\r\n"),
    ],
)
def test_redis_hostile(redis, sent, answer):
    """Commands that want to bring the server down, fill its memory or forge replies are refused."""
    with redis.connect() as connection:
        connection.send(sent)
        assert connection.read_until(answer[-12:]).startswith(answer)


# SMTP


@pytest.fixture
def smtp(httpd):
    """The port of a server that accepts mail, and where it puts that."""
    port = free_port()
    config = f"""
        Listen 127.0.0.1:{port} smtp
        <VirtualHost 127.0.0.1:{port}>
            PythonConnectionHandler smtp_sink
            PythonOption smtp_sink.maildir ${{root}}/mail/box
        </VirtualHost>
        """
    server = httpd.unstarted(LIB + config, example("smtp_sink"))
    server.write("mail/empty", "").parent.chmod(0o777)
    server.start()
    return port, server.root / "mail" / "box"


def test_smtp(smtp):
    """smtplib sends mails, dots and all."""
    port, box = smtp
    message = EmailMessage()
    message["Subject"] = "spam"
    message["From"] = "eggs@example.com"
    message["To"] = "ham@example.com, bacon@example.com"
    message.set_content("first\n.\n..two dots\n.one dot\nlast\n")
    message.add_attachment(bytes(range(256)) * 1000, maintype="application", subtype="octet-stream")
    with smtplib.SMTP("127.0.0.1", port, timeout=TIMEOUT) as client:
        for _ in range(3):
            assert client.send_message(message) == {}
        assert client.noop()[0] == 250
    mails = list(mailbox.Maildir(box, create=False))
    assert len(mails) == 3
    text, attachment = mails[0].get_payload()
    assert text.get_payload().replace("\r", "") == "first\n.\n..two dots\n.one dot\nlast\n"
    assert attachment.get_payload(decode=True) == bytes(range(256)) * 1000
    assert mails[0]["Return-Path"] == "<eggs@example.com>"
    assert mails[0]["X-Envelope-To"] == "ham@example.com, bacon@example.com"


def test_smtp_order(smtp):
    """Commands out of order are refused."""
    port, _ = smtp
    with smtplib.SMTP("127.0.0.1", port, timeout=TIMEOUT) as client:
        assert client.docmd("DATA")[0] == 503
        assert client.docmd("RCPT TO:<a@b>")[0] == 503
        assert client.docmd("MAIL TO:<a@b>")[0] == 501
        assert client.docmd("MAIL FROM:<a@b>")[0] == 250
        assert client.docmd("RSET")[0] == 250
        assert client.docmd("RCPT TO:<a@b>")[0] == 503
        assert client.docmd("VRFY x")[0] == 500


def test_smtp_client_that_leaves(smtp):
    """A client that leaves amid a mail leaves no mail."""
    port, box = smtp
    with smtplib.SMTP("127.0.0.1", port, timeout=TIMEOUT) as client:
        client.mail("a@b")
        client.rcpt("c@d")
        client.docmd("DATA")
        client.sock.sendall(b"half a mail\r\n")
        client.close()
    with smtplib.SMTP("127.0.0.1", port, timeout=TIMEOUT) as client:
        client.sendmail("a@b", "c@d", "whole")
    assert len(mailbox.Maildir(box, create=False)) == 1


def test_smtp_smuggling(smtp):
    """A dot between line ends other than CRLF is no end of a mail, and a long line not several."""
    port, box = smtp
    first = b"Subject: x\r\n\r\na\n.\r\nMAIL FROM:<evil@x>\r\nb\r"
    lines = [first, b"\n..c\n", b"x" * 1000, b".\r\n", b"x" * 999, b"\r\n"]
    with smtplib.SMTP("127.0.0.1", port, timeout=TIMEOUT) as client:
        client.mail("a@b")
        client.rcpt("c@d")
        client.docmd("DATA")
        client.sock.sendall(b"".join(lines) + b".\r\n")
        assert client.getreply()[0] == 250
        assert client.noop()[0] == 250
    [mail] = mailbox.Maildir(box, create=False)
    body = b"".join(lines).partition(b"\r\n\r\n")[2].replace(b"..", b".")
    assert mail.get_payload().replace("\r", "") == body.replace(b"\r", b"").decode()


def test_smtp_too_much(smtp):
    """A mail that is too long is refused, also if it is one line, and so are too many recipients;
    the conversation goes on."""
    port, box = smtp
    with smtplib.SMTP("127.0.0.1", port, timeout=TIMEOUT) as client:
        client.mail("a@b")
        assert [client.rcpt(f"c{n}@d")[0] for n in range(102)] == [250] * 100 + [452] * 2
        client.docmd("DATA")
        for _ in range(11):
            client.sock.sendall(b"x" * (1 << 20))
        client.sock.sendall(b"\r\n.\r\n")
        assert client.getreply()[0] == 552
        client.sendmail("a@b", "c@d", "whole")
    assert len(mailbox.Maildir(box, create=False)) == 1


@pytest.mark.parametrize("address", ["a\rX-Evil: 1", "a\x00b", "\x7f"])
def test_smtp_forged_headers(smtp, address):
    """An address with control characters is no address."""
    port, _ = smtp
    with smtplib.SMTP("127.0.0.1", port, timeout=TIMEOUT) as client:
        client.sock.sendall(b"MAIL FROM:<%s>\r\n" % address.encode())
        assert client.getreply()[0] == 501


# The manual's echo server, over TLS


ECHO = """
    from mod_python import apache

    def connectionhandler(conn):
        while 1:
            conn.write(conn.readline())
        return apache.OK
    """


@needs("openssl")
def test_echo_over_tls(httpd):
    """openssl s_client talks to the manual's echo server."""
    server = httpd(
        TLS + LIB + "PythonConnectionHandler echo", {"lib/echo.py": ECHO, **certificate()}, modules=("ssl",)
    )
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-quiet"]
    command += ["-CAfile", str(server.root / "conf/cert.pem"), "-verify_return_error"]
    lines = b"spam\n" + b"".join(b"line %d\n" % n for n in range(3000)) + b"x" * 50000 + b"\n"
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as client:
        assert client.stdin and client.stdout
        client.stdin.write(lines)
        client.stdin.flush()
        received = b""
        while len(received) < len(lines) and (block := client.stdout.read1()):
            received += block
        client.stdin.close()
        client.terminate()
    assert received == lines


# The banner


PAGE = """\
<!DOCTYPE html>
<html><head><title>A page</title><script>var a = "<bod" + "y>";</script></head>
<BODY class="a > b" onload='document.title = "loaded"'>
<h1>Hello</h1><p>{text}</p>
</BODY></html>
"""


@pytest.fixture
def proxy(httpd):
    """A server whose /front/ is a proxy to its pages, compressed on both ways, with the
    banner."""
    config = """
        PythonOutputFilter banner_filter BANNER
        ProxyPass /front/ http://127.0.0.1:${port}/
        <Location /front>
            SetOutputFilter INFLATE;BANNER;DEFLATE
        </Location>
        """
    modules = ("proxy", "proxy_http", "filter", "deflate")
    server = httpd(LIB + config, example("banner_filter"), modules=modules, workers=6)
    pieces = """
        import time

        def handler(req):
            req.content_type = "text/html; charset=utf-8"
            with open(req.filename.rpartition("/")[0] + "/page.html", "rb") as file:
                page = file.read()
            step = int(req.args)
            for start in range(0, len(page), step):
                req.write(page[start : start + step])
            return 0
        """
    return server.site(
        "SetOutputFilter DEFLATE\n"
        '<Files "pieces">\nSetHandler python-program\nPythonHandler pieces\n</Files>',
        {
            "page.html": PAGE.format(text="text " * 2000),
            "pieces.py": pieces,
            "plain.txt": "<body>",
            "none.html": "<p>no body here",
        },
    )


def front(site, path, **options):
    return site.server.get(f"front{site.prefix}{path}", **options)


def test_banner(proxy):
    """It is put behind the start tag, once, and the page is compressed."""
    answer = front(proxy, "page.html", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    text = answer.text
    assert text.count('<div id="banner"') == 1
    before, _, behind = text.partition('<div id="banner"')
    assert before.endswith('"loaded"\'>') and behind.partition("</div>")[2].startswith("\n<h1>Hello")
    assert re.sub("<div id=.*?</div>", "", text) == PAGE.format(text="text " * 2000)


@pytest.mark.parametrize("step", [1, 2, 7, 100, 9000])
def test_banner_across_blocks(proxy, step):
    """However the page is cut, the result is the same."""
    if step == 1:
        proxy.write("page.html", PAGE.format(text="short"))
    whole = front(proxy, "page.html").text
    assert front(proxy, f"pieces?{step}").text == whole
    assert whole.count("banner") == 1


def test_banner_only_where_it_belongs(proxy):
    """Other types, and pages without a body, come as they are."""
    assert front(proxy, "plain.txt").text == "<body>"
    assert front(proxy, "none.html").text == "<p>no body here"
    assert front(proxy, "nowhere").status_code == 404


@pytest.mark.parametrize("wanted", ["bytes=0-299", "bytes=500-"])
def test_banner_and_ranges(proxy, wanted):
    """A part that the other server has cut out comes as it is: its length is told already."""
    proxy.write(".htaccess", "")
    answer = front(proxy, "page.html", headers={"Range": wanted, "Accept-Encoding": "identity"})
    assert answer.status_code == 206
    page = PAGE.format(text="text " * 2000).encode()
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    assert answer.content == page[int(first) : int(last) + 1 if last else None]


def chromium(tmp_path, url, *arguments):
    """What headless Chromium makes of a page."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]
    command += ["--no-first-run", "--disable-background-networking", "--disable-component-update"]
    command += ["--disable-sync", f"--user-data-dir={tmp_path}/profile", *arguments, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    return done.stdout


@needs("chromium")
def test_banner_in_chromium(proxy, tmp_path):
    """Chromium shows the banner at the top of the compressed page, and runs its script."""
    url = f"http://127.0.0.1:{proxy.port}/front{proxy.prefix}page.html"
    text = chromium(tmp_path, url, "--dump-dom")
    assert "<title>loaded</title>" in text
    assert re.search(
        r'<body class="a &gt; b"[^\n]*><div id="banner"[^>]*>Maintenance[^<]*</div>\s*<h1>Hello', text
    )
