"""The table of the manual's chapter 1.1: one request after the other, by `ab`, under prefork.

What the manual measured imported `cgi` in each script; so does the script here. Each
request has a connection of its own, as `ab` has it unless told otherwise.
"""

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cases import PUBLISHED, SCRIPT
from load import LoadError
from marks import Outcome, Row
from peers import PEERS
from servers import Httpd, Server, ServerError

REQUESTS = 10_000
"""As in the manual."""

SLOW_REQUESTS = 200
"""Of CGI, which starts a process for each."""

PREFORK = ("-DFOREGROUND", "-Dprefork")


@dataclass(frozen=True)
class Line:
    """One kind of script of the table, and what the manual and the project say of it."""

    title: str
    peer: str
    conf: str | None
    path: str
    manual: int | None = None
    """Requests per second in the manual."""
    least: float | None = None
    """Times CGI that the project wants to reach."""
    requests: int = REQUESTS


LINES = (
    Line("standard CGI", "mod_cgi", "cgi.conf", "/cgi/hello", 23, requests=SLOW_REQUESTS),
    Line("cgihandler", "kukulkan", "published.conf", SCRIPT, 385, 300),
    Line("publisher", "kukulkan", "published.conf", PUBLISHED, 476, 400),
    Line("handler", "kukulkan", "hello.conf", "/unflushed", 1203, 450),
    Line("old module, cgihandler", "old", "published.conf", SCRIPT),
    Line("old module, publisher", "old", "published.conf", PUBLISHED),
    Line("old module, handler", "old", "hello.conf", "/unflushed"),
    Line("C module", "c", "c.conf", "/unflushed"),
)


def ab(port: int, path: str, requests: int, *options: str) -> float:
    """Requests per second of `requests` requests, one after the other; `options` are more of ab's.

    Raises:
        LoadError: some failed, or ab is not installed.
    """
    program = shutil.which("ab")
    if program is None:
        raise LoadError("ab is not installed: apt-get install apache2-utils")
    command = [program, "-q", "-n", str(requests), "-c", "1", *options, f"http://127.0.0.1:{port}{path}"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    found = dict(re.findall(r"^([\w\-0-9 ]+):\s+([\d.]+)", run.stdout, re.MULTILINE))
    if run.returncode or "Requests per second" not in found:
        raise LoadError(run.stderr.strip() or run.stdout.strip())
    failed = int(found["Failed requests"]) + int(found.get("Non-2xx responses", "0"))
    if failed:
        raise LoadError(f"{failed} of {requests} requests failed")
    return float(found["Requests per second"])


def measure(httpd: Httpd, folder: Path, requests: int = REQUESTS) -> Mapping[str, float | str]:
    """The rate of each line, or what kept it from being measured."""
    folder = folder / "one"
    folder.mkdir()
    results: dict[str, float | str] = {}
    for number, line in enumerate(LINES):
        try:
            load = PEERS[line.peer].load(httpd, folder)
            if load is None:
                results[line.title] = "not installed"
                continue
            server = Server(httpd, folder, f"{number}-{line.peer}", load, line.conf)
            try:
                server.start(options=PREFORK)
                ab(server.port, line.path, 20)
                results[line.title] = ab(server.port, line.path, min(line.requests, requests))
            finally:
                server.stop()
        except (ServerError, LoadError) as error:
            results[line.title] = f"failed: {error}"
        shutil.rmtree(folder / "hello", ignore_errors=True)
    return results


def rows(results: Mapping[str, float | str]) -> list[Row]:
    """The manual's table, and ours beside it."""
    table: list[Row] = [("script", "manual, 2002", "times CGI", "here", "times CGI", "wanted")]
    cgi, manual_cgi = results["standard CGI"], LINES[0].manual or 1
    for line in LINES:
        rate = results[line.title]
        table.append((
            line.title,
            f"{line.manual:,}" if line.manual else "",
            f"{line.manual / manual_cgi:.0f}" if line.manual else "",
            f"{rate:,.0f}" if isinstance(rate, float) else rate.partition("\n")[0],
            f"{rate / cgi:,.0f}" if isinstance(rate, float) and isinstance(cgi, float) else "",
            f">= {line.least:.0f}" if line.least else "",
        ))  # fmt: skip
    return table


def outcomes(results: Mapping[str, float | str]) -> list[Outcome]:
    """What came of the marks."""
    cgi = results[LINES[0].title]
    found = []
    for line in LINES:
        if line.least:
            rate = results[line.title]
            times = rate / cgi if isinstance(rate, float) and isinstance(cgi, float) else None
            found.append(Outcome(f"{line.title}, prefork, one connection, against CGI", line.least, times))
    return found
