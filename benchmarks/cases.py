"""What is measured: one row a case, one row a mark."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

import load
from load import Answer, Load, LoadError
from servers import HERE, LARGE

BODY = b"Hello!"

LENGTH = "content-length"
"""The header of an answer that Apache got whole before it sent any of it."""

CHUNKED = "transfer-encoding"
"""The header of an answer whose beginning was flushed to the client."""

PASSWORD = {"Authorization": "Basic " + base64.b64encode(b"bench:mark").decode()}

PSP_PAGE = (HERE / "site" / "psp" / "page.txt").read_bytes()
"""What `page.psp` beside it writes."""

SESSION = {"Cookie": "pysid=" + "0123456789abcdef" * 2}
"""Of the session in `site/python/sessions.py`."""


@dataclass(frozen=True)
class Case:
    """One address of one server under load."""

    title: str
    peer: str
    """The module that serves it, one of `peers.PEERS`."""
    conf: str | None
    """Its file in `conf/`; cases with the same peer and file share a server."""
    path: str = "/unflushed"
    limit: str = "c"
    """The case measured right beside it, which it is a share of; itself: there is none."""
    framing: str | None = LENGTH
    """The header that tells how far its body goes; None: either."""
    body: bytes = BODY
    """What it answers with."""
    headers: Mapping[str, str] = field(default_factory=dict)
    rounds: float = 1.0
    """Times the usual number of rounds."""
    seconds: int = 1
    """Length of a slice of load."""
    settle: float = 0.1
    """Seconds until the requests that wrk abandons at its end are over."""
    losses: float = 0.0
    """Share of the requests that may go without an answer, for a peer that fails at times."""
    outside: bool = False
    """The work is done outside Apache's process, whose processor time says nothing."""

    def converse(self, port: int, requests: int) -> None:
        """Make `requests` requests one after the other, on one connection, and look at the answers.

        Raises:
            LoadError: an answer was missing or wrong.
        """
        for answer in load.fetch(port, self.path, self.headers, requests):
            complaint = self.complaint(answer)
            if complaint:
                raise LoadError(complaint)

    def press(self, port: int) -> Load:
        """One slice of load."""
        return load.press(port, self.path, self.headers, self.seconds, self.losses)

    def complaint(self, answer: Answer) -> str | None:
        """What is wrong with `answer`, if anything."""
        if answer.status != 200:
            return f"status {answer.status} instead of 200"
        if answer.body != self.body:
            length = len(self.body)
            return f"body of {len(answer.body)} bytes {answer.body[:80]!r} instead of {length} {self.body[:80]!r}"
        if not answer.headers.get("content-type", "").startswith("text/plain"):
            return f"content type {answer.headers.get('content-type')!r} instead of text/plain"
        if self.framing and self.framing not in answer.headers:
            return f"no header {self.framing!r}: flushed against what the case says, or not"
        return None


@dataclass(frozen=True)
class EchoCase(Case):
    """A protocol of lines that come back, many on their way at a time, on one connection."""

    lines: int = 200_000
    """Sent in a slice of load."""

    def converse(self, port: int, requests: int) -> None:
        """Send `requests` lines and look at what comes back."""
        load.echo(port, requests)

    def press(self, port: int) -> Load:
        """One slice of load."""
        return load.echo(port, self.lines)


@dataclass(frozen=True)
class UploadCase(Case):
    """A form with a file in it, on one connection."""

    size: int = 100_000_000
    """Bytes of the file."""
    times: int = 4
    """Sent in a slice of load."""

    def converse(self, port: int, requests: int) -> None:
        """Send `requests` small ones and look at the answers."""
        load.upload(port, self.path, 1000, requests)

    def press(self, port: int) -> Load:
        """One slice of load."""
        return load.upload(port, self.path, self.size, self.times)


STATIC = "/static/hello.txt"
PUBLISHED = "/publisher/hello/say"
SCRIPT = "/cgihandler/hello.py"

CASES = {
    "c": Case("C module", "c", "c.conf"),
    "c-flush": Case("C module, flushing", "c", "c.conf", "/flushing", framing=CHUNKED, rounds=0.5),
    "hello": Case('req.write("Hello!", 0)', "kukulkan", "hello.conf", rounds=2.5),
    "hello-flush": Case(
        'req.write("Hello!")', "kukulkan", "hello.conf", "/flushing", "c-flush", CHUNKED, rounds=2.5
    ),
    "phases": Case(
        "access, authen and content in Python",
        "kukulkan", "phases.conf", "/phases", headers=PASSWORD, rounds=2,
    ),
    "session": Case(
        "the first, with a session in memory",
        "kukulkan", "kukulkan.conf", "/session", "hello", headers=SESSION,
    ),
    "reload": Case(
        "PythonAutoReload On, a helper is imported",
        "kukulkan", "reload.conf", "/reload/on", rounds=0.5,
    ),
    "reload-off": Case(
        "the same, Off", "kukulkan", "reload.conf", "/reload/off", "reload-single", rounds=0.5
    ),
    "reload-single": Case(
        "the same, without the helper", "kukulkan", "reload.conf", "/single/off", rounds=0.5
    ),
    "psp": Case(
        "PSP page of 50 lines", "kukulkan", "kukulkan.conf", "/psp/page.psp", "hello", body=PSP_PAGE
    ),
    "static": Case("static file", "static", None, STATIC, rounds=0.5),
    "static-unused": Case(
        "static file, Kukulkan loaded and unused", "kukulkan", None, STATIC, "static", rounds=4
    ),
    "static-access": Case(
        "static file, Python access handler", "kukulkan", "phases.conf", STATIC, "static", rounds=2
    ),
    "cpu": Case("5 ms of Python, one interpreter", "newer", "python.conf", "/cpu", "cpu"),
    "cpu-pool": Case(
        "the same, PythonInterpPool 2", "newer", "pool.conf", "/cpu", "cpu", rounds=1.5
    ),
    "hello-pool": Case(
        'req.write("Hello!", 0), PythonInterpPool 2', "newer", "pool.conf", rounds=0.5
    ),
    "cgi": Case(
        "CGI, Python script that imports cgi", "cgi", "cgi.conf", "/cgi/hello",
        framing=None, rounds=0.5, seconds=3, settle=1.0, outside=True,
    ),
    "lua": Case("mod_lua", "lua", "lua.conf", rounds=0.5),
    # mod_perl flushes at its handler's end whatever the handler does.
    "perl": Case("mod_perl", "perl", "perl.conf", framing=CHUNKED, rounds=0.5),
    "file": Case("static file of 1 MiB", "static", None, "/large/plain.txt", "file", body=LARGE),
    "filter-pass": Case(
        "the same, output filter: filter.pass_on()",
        "kukulkan", "kukulkan.conf", "/large/passed.txt", "file", None, body=LARGE, rounds=2,
    ),
    "filter-copy": Case(
        "the same, output filter: read and write",
        "kukulkan", "kukulkan.conf", "/large/copied.txt", "file", CHUNKED, body=LARGE,
    ),
    "filter-upper": Case(
        "the same, output filter: upper case",
        "kukulkan", "kukulkan.conf", "/large/upper.txt", "file", CHUNKED, body=LARGE.upper(),
    ),
    "old-filter-upper": Case(
        "the same, upper case by the old module",
        "old", "python.conf", "/large/upper.txt", "file", framing=None, body=LARGE.upper(),
        rounds=0.5, losses=0.2,
    ),
    "echo-c": EchoCase("lines echoed by mod_echo, in C", "echo", "mod_echo.conf", limit="echo-c"),
    "echo": EchoCase("lines echoed by a connection handler", "kukulkan", "echo.conf", limit="echo-c"),
    "publisher": Case(
        "publisher, function of the request", "kukulkan", "published.conf", PUBLISHED, framing=LENGTH, rounds=2
    ),
    "cgihandler": Case(
        "cgihandler, the script of CGI", "kukulkan", "published.conf", SCRIPT, framing=None
    ),
    "wsgi": Case("WSGI application", "kukulkan", "wsgi_handler.conf", "/wsgi", rounds=2),
    "upload": UploadCase("100 MB, req.read(65536)", "kukulkan", "forms.conf", "/upload", "upload"),
    "upload-form": UploadCase(
        "the same, FieldStorage", "kukulkan", "forms.conf", "/upload-form", "upload", rounds=2
    ),
    "queries-urllib": Case(
        "100 times ten fields, urllib.parse.parse_qs()",
        "kukulkan", "forms.conf", "/queries-urllib", "queries-urllib",
    ),
    "queries": Case(
        "the same, util.parse_qs()", "kukulkan", "forms.conf", "/queries", "queries-urllib"
    ),
    # No echo by the old module: once more than 8 KiB of lines wait to be read it loses some.
    "old": Case("old module, req.write(..., 0)", "old", "hello.conf", rounds=0.5),
    "old-flush": Case(
        "old module, req.write(...)", "old", "hello.conf", "/flushing", "c-flush", CHUNKED, rounds=0.5
    ),
    "old-publisher": Case(
        "old module, publisher", "old", "published.conf", PUBLISHED, framing=None, rounds=0.5
    ),
    "old-session": Case(
        "old module, with a session in memory",
        "old", "python.conf", "/session", "hello", rounds=0.5, headers=SESSION,
    ),
    "old-psp": Case(
        "old module, PSP page of 50 lines",
        "old", "python.conf", "/psp/page.psp", "hello", rounds=0.5, body=PSP_PAGE,
    ),
    "old-cgihandler": Case(
        "old module, cgihandler",
        "old", "published.conf", SCRIPT, framing=None, rounds=0.5, losses=0.5,
    ),
    "mod_wsgi": Case(
        "mod_wsgi of PyPI, WSGI application", "mod_wsgi", "wsgi.conf", "/wsgi", rounds=0.5
    ),
    "mod_wsgi-debian": Case(
        "mod_wsgi of Debian, WSGI application", "mod_wsgi-debian", "wsgi.conf", "/wsgi", rounds=0.5
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Mark:
    """A figure the project wants to reach: the rate of `case` is at least `least` times that of `of`."""

    title: str
    case: str
    of: str | None
    """None: `least` is the rate itself."""
    least: float


MARKS = (
    Mark("unused module, static file", "static-unused", "static", 0.99),
    Mark("static file, Python access handler", "static-access", "static", 0.80),
    Mark("handler, unflushed", "hello", "c", 0.95),
    Mark("handler, flushing", "hello-flush", "c-flush", 0.90),
    Mark("three Python phases", "phases", "c", 0.85),
    Mark("handler with a session", "session", "hello", 0.60),
    Mark("PSP page of 50 lines", "psp", "hello", 0.60),
    Mark("publisher", "publisher", "c", 0.85),
    Mark("publisher, against the old module's", "publisher", "old-publisher", 1.8),
    Mark("cgihandler", "cgihandler", "c", 0.50),
    Mark("cgihandler, against the old module's", "cgihandler", "old-cgihandler", 4),
    Mark("cgihandler, against CGI", "cgihandler", "cgi", 300),
    Mark("WSGI application", "wsgi", "c", 0.85),
    Mark("WSGI application, against mod_wsgi", "wsgi", "mod_wsgi", 2),
    Mark("handler, against CGI", "hello", "cgi", 450),
    Mark("CPU-bound handler, pool of 2 against one interpreter", "cpu-pool", "cpu", 1.85),
    Mark("filter that passes on, 1 MiB", "filter-pass", "file", 0.80),
    Mark("filter that reads and writes, 1 MiB", "filter-copy", "file", 0.80),
    Mark("upper case, against the old module", "filter-upper", "old-filter-upper", 3),
    Mark("upload as a form, against reading it", "upload-form", "upload", 1 / 1.5),
    Mark("ten fields parsed, against urllib.parse", "queries", "queries-urllib", 4),
    Mark("echo, lines/s", "echo", None, 50_000),
)
