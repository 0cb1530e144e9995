"""What a child takes of memory: with one interpreter after many requests, and for each further one."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cases import CASES, Case
from load import LoadError, fetch
from marks import Outcome, Row
from one_connection import ab
from peers import PEERS
from servers import Httpd, Server, ServerError

REQUESTS = 10_000

INTERPRETERS = 40
"""Made beside the first, to see what one takes."""

HANDLER, APPLICATION = "handler, main interpreter", "WSGI application, main interpreter"
MOD_WSGI = "mod_wsgi of PyPI, embedded"

CHILDREN = (
    ("C module", CASES["c"], "c.conf"),
    (HANDLER, CASES["hello"], "memory.conf"),
    ("handler, others with a GIL each", replace(CASES["hello"], peer="own-gil"), "memory.conf"),
    (APPLICATION, CASES["wsgi"], "memory.conf"),
    ("old module, handler", CASES["old"], "hello.conf"),
    (MOD_WSGI, CASES["mod_wsgi"], "wsgi.conf"),
    ("mod_wsgi of Debian, embedded", CASES["mod_wsgi-debian"], "wsgi.conf"),
)

FURTHER = {
    HANDLER: "each further interpreter",
    "handler, others with a GIL each": "each further one, with its own GIL",
}
"""Children that are given INTERPRETERS more, and the rows for one of these."""


def anonymous(server: Server) -> int:
    """KiB of its own that the server's largest child has: what it would need once more."""
    largest = 0
    for child in server.children():
        text = Path(f"/proc/{child}/smaps_rollup").read_text()
        fields = dict(line.split(":", 1) for line in text.splitlines()[1:])
        own = sum(int(fields[name].split()[0]) for name in ("Private_Clean", "Private_Dirty"))
        largest = max(largest, own)
    return largest


def request(server: Server, path: str, case: Case) -> None:
    """Make one request to the case's server, and look at the answer.

    Raises:
        LoadError: the answer was missing or wrong.
    """
    for answer in fetch(server.port, path, case.headers, 1):
        if complaint := case.complaint(answer):
            raise LoadError(complaint)


def measure(httpd: Httpd, folder: Path, requests: int = REQUESTS) -> Mapping[str, int | str]:
    """KiB of each child after `requests` requests, or what kept it from being measured."""
    folder = folder / "memory"
    folder.mkdir()
    results: dict[str, int | str] = {}
    for number, (title, case, conf) in enumerate(CHILDREN):
        try:
            load = PEERS[case.peer].load(httpd, folder)
            if load is None:
                results[title] = "not installed"
                continue
            server = Server(httpd, folder, f"{number}-memory", load, conf)
            for name in range(INTERPRETERS):
                (server.root / "site" / "further" / str(name)).mkdir(parents=True)
            try:
                server.start()
                request(server, case.path, case)
                ab(server.port, case.path, requests, "-k")
                results[title] = anonymous(server)
                if title in FURTHER:
                    results[FURTHER[title]] = further(server, case)
            finally:
                server.stop()
        except (ServerError, LoadError, OSError) as error:
            results[title] = f"failed: {error}"
    return results


def further(server: Server, case: Case) -> int:
    """KiB of one interpreter more.

    Raises:
        LoadError: an answer was missing or wrong.
    """
    before = anonymous(server)
    for number in range(INTERPRETERS):
        request(server, f"/further/{number}/x", case)
    return (anonymous(server) - before) // INTERPRETERS


def rows(results: Mapping[str, int | str]) -> list[Row]:
    """The table of memory."""
    table: list[Row] = [("child after 10,000 requests", "MiB")]
    for title, figure in results.items():
        cell = f"{figure / 1024:.1f}" if isinstance(figure, int) else figure.partition("\n")[0]
        table.append((title, cell))
    return table


def outcomes(results: Mapping[str, int | str]) -> list[Outcome]:
    """What came of the marks: as much as mod_wsgi's child, at most."""
    most = results[MOD_WSGI]
    found = []
    for title in (HANDLER, APPLICATION):
        figure = results[title]
        times = figure / most if isinstance(figure, int) and isinstance(most, int) else None
        found.append(Outcome(f"memory, {title}, against mod_wsgi's", 1, times, at_most=True))
    return found
