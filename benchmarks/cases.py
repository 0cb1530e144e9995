"""What is measured: one row a case, one row a mark."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from load import Answer

BODY = b"Hello!"

LENGTH = "content-length"
"""The header of an answer that Apache got whole before it sent any of it."""

CHUNKED = "transfer-encoding"
"""The header of an answer whose beginning was flushed to the client."""

PASSWORD = {"Authorization": "Basic " + base64.b64encode(b"bench:mark").decode()}


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
    """The case measured right beside it, which it is a share of."""
    framing: str | None = LENGTH
    """The header that tells how far its body goes; None: either."""
    headers: Mapping[str, str] = field(default_factory=dict)
    rounds: float = 1.0
    """Times the usual number of rounds."""
    seconds: int = 1
    """Length of a slice of load."""
    settle: float = 0.1
    """Seconds until the requests that wrk abandons at its end are over."""
    outside: bool = False
    """The work is done outside Apache's process, whose processor time says nothing."""

    def complaint(self, answer: Answer) -> str | None:
        """What is wrong with `answer`, if anything."""
        if answer.status != 200:
            return f"status {answer.status} instead of 200"
        if answer.body != BODY:
            return f"body {answer.body[:80]!r} instead of {BODY!r}"
        if not answer.headers.get("content-type", "").startswith("text/plain"):
            return f"content type {answer.headers.get('content-type')!r} instead of text/plain"
        if self.framing and self.framing not in answer.headers:
            return f"no header {self.framing!r}: flushed against what the case says, or not"
        return None


STATIC = "/static/hello.txt"

CASES = {
    "c": Case("C module", "c", "c.conf"),
    "c-flush": Case("C module, flushing", "c", "c.conf", "/flushing", framing=CHUNKED),
    "hello": Case('req.write("Hello!", 0)', "kukulkan", "python.conf", rounds=2),
    "hello-flush": Case(
        'req.write("Hello!")', "kukulkan", "python.conf", "/flushing", "c-flush", CHUNKED, rounds=2
    ),
    "phases": Case(
        "access, authen and content in Python",
        "kukulkan", "python.conf", "/phases", headers=PASSWORD,
    ),
    "static": Case("static file", "static", None, STATIC),
    "static-unused": Case(
        "static file, Kukulkan loaded and unused", "kukulkan", None, STATIC, "static", rounds=4
    ),
    "static-access": Case(
        "static file, Python access handler", "kukulkan", "python.conf", STATIC, "static"
    ),
    "cgi": Case(
        "CGI, Python script", "cgi", "cgi.conf", "/cgi/hello",
        framing=None, rounds=0.4, seconds=3, settle=1.0, outside=True,
    ),
    "lua": Case("mod_lua", "lua", "lua.conf"),
    # mod_perl flushes at its handler's end whatever the handler does.
    "perl": Case("mod_perl", "perl", "perl.conf", framing=CHUNKED),
    "old": Case("old module, req.write(..., 0)", "old", "python.conf"),
    "old-flush": Case(
        "old module, req.write(...)", "old", "python.conf", "/flushing", "c-flush", CHUNKED
    ),
    "wsgi": Case("mod_wsgi of PyPI, WSGI application", "wsgi", "wsgi.conf"),
    "wsgi-debian": Case("mod_wsgi of Debian, WSGI application", "wsgi-debian", "wsgi.conf"),
}  # fmt: skip


@dataclass(frozen=True)
class Mark:
    """A figure the project wants to reach: `case` is at least `least` times `of`."""

    title: str
    case: str
    of: str
    least: float


MARKS = (
    Mark("unused module, static file", "static-unused", "static", 0.99),
    Mark("handler, unflushed", "hello", "c", 0.85),
    Mark("handler, flushing", "hello-flush", "c-flush", 0.80),
    Mark("handler, against CGI", "hello", "cgi", 350),
)
