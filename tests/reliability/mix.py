"""Requests of every kind, by many clients at once, each answer checked against its request.

A request carries a token of its own, and its answer has to carry that one back.
"""

import hashlib
import http.client
import multiprocessing
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

UPLOAD = b"0123456789abcdef" * 6250
BOUNDARY = "----kukulkan"
TIMEOUT = 60.0


class WrongAnswer(Exception):
    """An answer did not belong to its request, or there was none."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class Client:
    """One connection, kept as long as the server keeps it.

    versions: those of the modules that have answered.
    """

    def __init__(self, port: int, host: str = "localhost") -> None:
        self.port = port
        self.host = host
        self.versions: set[str] = set()
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request and its answer.

        A server may close a kept connection while the next request is on its way: such a
        request is made again, once, on a new connection, as browsers do.

        Raises:
            WrongAnswer: The connection ended within an answer, or twice before one.
        """
        kept = self._connection is not None
        try:
            return self._ask(method, path, body, headers or {})
        except (ConnectionError, http.client.BadStatusLine) as error:
            self.close()
            if not kept:
                raise WrongAnswer(f"{method} {path}: no answer: {error!r}") from error
        except (http.client.HTTPException, OSError) as error:
            self.close()
            raise WrongAnswer(f"{method} {path}: {error!r}") from error
        try:
            return self._ask(method, path, body, headers or {})
        except (http.client.HTTPException, OSError) as error:
            self.close()
            raise WrongAnswer(f"{method} {path}, on a new connection: {error!r}") from error

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        self._connection.request(method, path, body, {"Host": self.host, **headers})
        response = self._connection.getresponse()
        data = response.read()
        if response.will_close:
            self.close()
        return Answer(response.status, data, dict(response.getheaders()))

    def close(self) -> None:
        """Ends the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _expect(answer: Answer, status: int, body: bytes, what: str) -> None:
    if answer.status != status or answer.body != body:
        raise WrongAnswer(f"{what}: {answer.status} {answer.body[:200]!r} instead of {status} {body[:200]!r}")


def handler(client: Client, token: str) -> None:
    """A handler of three phases."""
    answer = client.ask("GET", f"/handler/x?{token}")
    _expect(answer, 200, token.encode() * 3, "handler")
    client.versions.add(answer.headers["X-Version"])


def published(client: Client, token: str) -> None:
    """A function of the publisher."""
    answer = client.ask("GET", f"/published/page/say?token={token}")
    _expect(answer, 200, f"said {token}".encode(), "publisher")


def form(client: Client, token: str) -> None:
    """An urlencoded form."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = client.ask("POST", "/published/page/say", f"token={token}".encode(), headers)
    _expect(answer, 200, f"said {token}".encode(), "form")


def upload(client: Client, token: str) -> None:
    """A file of 25 KB, or of 100 KB, which does not stay in memory, and a field beside it."""
    size = len(UPLOAD) // (1 if int(token[-1], 16) % 4 == 0 else 4)
    content = token.encode() + UPLOAD[:size]
    body = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="token"\r\n\r\n{token}\r\n--{BOUNDARY}\r\n'
        'Content-Disposition: form-data; name="file"; filename="a.bin"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode() + content
    body += f"\r\n--{BOUNDARY}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    answer = client.ask("POST", "/published/page/store", body, headers)
    digest = hashlib.sha256(content).hexdigest()
    _expect(answer, 200, f"{token} {digest}".encode(), "upload")


def filtered(client: Client, token: str) -> None:
    """A handler behind a filter of each direction."""
    answer = client.ask("POST", "/filtered/x", token.encode() * 1000)
    _expect(answer, 200, token.upper().encode() * 1000, "filters")


def script(client: Client, token: str) -> None:
    """A CGI script."""
    _expect(client.ask("GET", f"/cgi/hello.py?{token}"), 200, f"cgi {token}\n".encode(), "cgihandler")


def application(client: Client, token: str) -> None:
    """A WSGI application."""
    _expect(client.ask("GET", f"/wsgi/{token}"), 200, f"wsgi /{token}".encode(), "WSGI")


def _expect_error(client: Client, status: int, what: str, token: str) -> None:
    """The answer is an error of Apache's, with the token in a header only."""
    answer = client.ask("GET", f"/{what}/x?{token}")
    if answer.status != status or answer.headers.get("X-Token") != token or token.encode() in answer.body:
        raise WrongAnswer(f"{what} {token}: {answer.status} {answer.headers} {answer.body[:200]!r}")


def failure(client: Client, token: str) -> None:
    """A handler that raises."""
    _expect_error(client, 500, "failure", token)


def refusal(client: Client, token: str) -> None:
    """A handler that returns a status."""
    _expect_error(client, 403, "refusal", token)


def redirect(client: Client, token: str) -> None:
    """An internal redirect to another handler."""
    _expect(client.ask("GET", f"/redirect/x?{token}"), 200, token.encode() * 3, "redirect")


def abort(client: Client, token: str) -> None:
    """A client that leaves: in the middle of its request, or of the answer.

    It has one connection at a time: the kept one might have the only process of prefork.
    """
    client.close()
    host = f"Host: {client.host}\r\n"
    with socket.create_connection(("127.0.0.1", client.port), TIMEOUT) as leaving:
        if int(token[-1], 16) % 2:
            leaving.sendall(f"GET /endless/x?{token} HTTP/1.1\r\n{host}\r\n".encode())
            begin = b""
            while b"\r\n\r\n" not in begin and (data := leaving.recv(4096)):
                begin += data
            if not begin.startswith(b"HTTP/1.1 200 ") or f"X-Token: {token}\r\n".encode() not in begin:
                raise WrongAnswer(f"abort {token}: {begin[:400]!r}")
        else:
            head = f"POST /published/page/store HTTP/1.1\r\n{host}Content-Length: 100000\r\n"
            leaving.sendall(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n".encode())


KINDS: Mapping[str, tuple[Callable[[Client, str], None], int]] = {
    "handler": (handler, 20),
    "published": (published, 10),
    "form": (form, 8),
    "upload": (upload, 5),
    "filtered": (filtered, 8),
    "script": (script, 8),
    "application": (application, 10),
    "failure": (failure, 1),
    "refusal": (refusal, 4),
    "redirect": (redirect, 8),
    "abort": (abort, 2),
}
"""Each with how often it comes."""

#: What the server logs of it, and nothing else.
EXPECTED_LOG = (
    r"KK0101: PythonHandler mix::failure: ValueError: on purpose|KK0108: |KK0111: |^ValueError|^Traceback|^  "
)

PHASES = """
    import mix_parts
    from mod_python import apache

    def accesshandler(req):
        req.token = req.args or ""
        req.version = mix_parts.VERSION
        return apache.OK

    def fixuphandler(req):
        req.notes["token"] = req.args or ""
        return apache.OK

    def handler(req):
        req.content_type = "text/plain"
        req.headers_out["X-Version"] = mix_parts.VERSION
        for part in mix_parts.parts(req):
            req.write(part, 0)
        return apache.OK
    """

#: What the phases import; the version changes when the file does, but not within a request.
PARTS = """
    VERSION = "0"

    def parts(req):
        if req.version != VERSION:
            return f"version {req.version}, then {VERSION}"
        return req.token, req.notes["token"], req.args
    """

HANDLERS = '''
    import os
    from mod_python import apache

    def failure(req):
        req.err_headers_out["X-Token"] = req.args
        raise ValueError("on purpose")

    def refusal(req):
        req.err_headers_out["X-Token"] = req.args
        return apache.HTTP_FORBIDDEN

    def redirect(req):
        req.internal_redirect("/handler/x?" + req.args)
        return apache.OK

    def endless(req):
        req.headers_out["X-Token"] = req.args
        for _ in range(64):
            req.write(b"x" * 16384)
        return apache.OK

    def echo(req):
        req.content_type = "text/plain"
        req.write(req.read(), 0)
        return apache.OK

    def state(req):
        """The process, and how many interpreters it has."""
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        req.write(f"{os.getpid()} {len(interpreters.list_all())}")
        return apache.OK

    def passes(filter):
        filter.pass_on()

    def upper(filter):
        while data := filter.read():
            filter.write(data.upper())
        if data is None:
            filter.close()
    '''

PAGE = """
    import hashlib

    def say(req, token):
        return "said " + token

    def store(req, token, file):
        return token + " " + hashlib.sha256(file.file.read()).hexdigest()
    """

SCRIPT = """
    import os
    print("Content-Type: text/plain")
    print()
    print("cgi " + os.environ["QUERY_STRING"])
    """

APPLICATION = """
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [("wsgi " + environ["PATH_INFO"]).encode()]
    """

CONFIG = """
    PythonPath "['${root}/python'] + sys.path"
    PythonAutoReload Off
    PythonOutputFilter mix::upper UPPER
    PythonInputFilter mix::passes PASSES
    <Location />
        SetHandler python-program
    </Location>
    <Location /failure>
        PythonHandler mix::failure
    </Location>
    <Location /refusal>
        PythonHandler mix::refusal
    </Location>
    <Location /redirect>
        PythonHandler mix::redirect
    </Location>
    <Location /endless>
        PythonHandler mix::endless
    </Location>
    <Location /state>
        PythonHandler mix::state
    </Location>
    <Location /filtered>
        PythonHandler mix::echo
        SetOutputFilter UPPER
        SetInputFilter PASSES
    </Location>
    <Location /wsgi>
        PythonHandler mod_python.wsgi
        PythonOption mod_python.wsgi.application mix_wsgi::application
    </Location>
    <Directory ${htdocs}/handler>
        PythonAccessHandler mix_phases
        PythonFixupHandler mix_phases
        PythonHandler mix_phases
    </Directory>
    <Directory ${htdocs}/published>
        PythonHandler mod_python.publisher
    </Directory>
    <Directory ${htdocs}/cgi>
        PythonHandler mod_python.cgihandler
    </Directory>
    """

FILES = {
    "python/mix.py": HANDLERS,
    "htdocs/handler/mix_phases.py": PHASES,
    "htdocs/handler/mix_parts.py": PARTS,
    "python/mix_wsgi.py": APPLICATION,
    "htdocs/published/page.py": PAGE,
    "htdocs/cgi/hello.py": SCRIPT,
}


@dataclass
class Tally:
    """What the clients saw."""

    requests: int = 0
    wrong: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    versions: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Load:
    """What each client does."""

    requests: int
    seconds: float
    hosts: int
    fresh: float
    kinds: list[str]


def _work(port: int, seed: int, host: str, load: Load, tally: Tally) -> None:
    chance = random.Random(seed)
    weights = [KINDS[kind][1] for kind in load.kinds]
    client = Client(port, host)
    until = time.monotonic() + load.seconds
    done = 0
    while done < load.requests and time.monotonic() < until and len(tally.wrong) < 20:
        if load.fresh and chance.random() < load.fresh:
            client.close()
        kind = chance.choices(load.kinds, weights)[0]
        try:
            KINDS[kind][0](client, f"t{chance.getrandbits(64):016x}")
        except WrongAnswer as error:
            tally.wrong.append(str(error))
        except OSError as error:
            tally.wrong.append(f"{kind}: {error!r}")
        tally.kinds[kind] += 1
        done += 1
    client.close()
    tally.versions |= client.versions


def _process(port: int, seed: int, threads: int, load: Load, out: "multiprocessing.Queue[Tally]") -> None:
    tallies = [Tally() for _ in range(threads)]
    workers = [
        threading.Thread(target=_work, args=(port, seed + n, f"host{n % load.hosts}", load, tallies[n]))
        for n in range(threads)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    total = Tally()
    for tally in tallies:
        total.wrong += tally.wrong
        total.kinds += tally.kinds
        total.versions |= tally.versions
    total.requests = total.kinds.total()
    out.put(total)


def run(
    port: int,
    *,
    requests: int = 1 << 60,
    seconds: float = 1e9,
    clients: int = 24,
    seed: int = 0,
    hosts: int = 1,
    fresh: float = 0.0,
    without: tuple[str, ...] = (),
) -> Tally:
    """Has `clients` clients, in two processes, make requests: so many, or a few more, or for so long.

    They name host0, host1 ... by turns, so many as `hosts` says. `fresh` is how many of the
    requests, of 1, are made on a new connection whether the old one could be used or not.

    Returns:
        What they saw; at most 20 wrong answers for each client.
    """
    kinds = [kind for kind in KINDS if kind not in without]
    load = Load(-(-requests // clients), seconds, hosts, fresh, kinds)
    context = multiprocessing.get_context("spawn")
    out: multiprocessing.Queue[Tally] = context.Queue()
    processes = [
        context.Process(target=_process, args=(port, seed + 1000 * n, clients // 2, load, out))
        for n in range(2)
    ]
    for process in processes:
        process.start()
    total = Tally()
    for _ in processes:
        tally = out.get()
        total.wrong += tally.wrong
        total.kinds += tally.kinds
        total.versions |= tally.versions
        total.requests += tally.requests
    for process in processes:
        process.join()
    return total
