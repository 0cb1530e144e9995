"""Latency when the server is busy but not overrun: 25 clients at four fifths of what it can do."""

import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cases import CASES
from load import LoadError, press
from marks import Outcome, Row

if TYPE_CHECKING:
    from run import Bench

CLIENTS = 25
"""Threads that are at work at a time, at most."""

SHARE = 0.8
"""Of the rate measured right before."""

SECONDS = 2

SLICES = 3
"""Each with its own measurement of what the server can do."""

KEYS = ("c", "hello", "hello-pool", "wsgi", "mod_wsgi")

MARKED = ("hello", "wsgi")

MOST = 3.0
"""Times the median that the 99th percentile is to be, at most."""


@dataclass(frozen=True)
class Slice:
    """What one slice of steady load measured."""

    rate: float
    median: float
    """Milliseconds."""
    slow: float
    """99th percentile, milliseconds."""
    waits: float
    """Times a request had a thread wait: for the client, for other threads, for the GIL."""


Latencies = Mapping[str, list[Slice] | str]
"""By case: its slices, or what kept them from being measured."""


def paced(port: int, path: str, rate: float, seconds: int) -> list[float]:
    """Milliseconds each answer took, at `rate` requests per second over CLIENTS connections.

    Raises:
        LoadError: some failed, or h2load is not installed.
    """
    program = shutil.which("h2load")
    if program is None:
        raise LoadError("h2load is not installed: apt-get install nghttp2-client")
    with tempfile.NamedTemporaryFile(mode="r", prefix="kukulkan-latency-") as log:
        command = [program, "--h1", f"-c{CLIENTS}", f"-D{seconds}", f"--rps={rate / CLIENTS:.2f}"]
        command += [f"--log-file={log.name}", f"http://127.0.0.1:{port}{path}"]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            raise LoadError(run.stderr.strip() or run.stdout.strip())
        # Start in microseconds, status, duration in microseconds.
        fields = [line.split() for line in log]
    if not fields or any(status != "200" for _, status, _ in fields):
        raise LoadError("some requests at a steady rate failed")
    return [int(duration) / 1e3 for _, _, duration in fields]


def measure_slice(bench: "Bench", key: str) -> Slice:
    """One slice of a case.

    Raises:
        LoadError: some requests failed.
    """
    case = CASES[key]
    most = press(bench.port(key), case.path, case.headers, 1, case.losses, CLIENTS).rate
    before = bench.server(key).waits()
    times = paced(bench.port(key), case.path, most * SHARE, SECONDS)
    waits = (bench.server(key).waits() - before) / len(times)
    slow = statistics.quantiles(times, n=100)[98]
    return Slice(len(times) / SECONDS, statistics.median(times), slow, waits)


def measure(bench: "Bench", slices: int = SLICES) -> Latencies:
    """The slices of each case, by turns."""
    results: dict[str, list[Slice] | str] = {key: [] for key in KEYS if bench.usable(key)}
    for _ in range(slices):
        for key, found in results.items():
            if isinstance(found, str):
                continue
            try:
                found.append(measure_slice(bench, key))
            except LoadError as error:
                results[key] = f"failed: {error}"
    return results


def times(slices: list[Slice]) -> list[float]:
    """How many times the median the 99th percentile is, by slice."""
    return [each.slow / each.median for each in slices]


def rows(results: Latencies) -> list[Row]:
    """The table of latencies: medians of the slices."""
    table: list[Row] = [("case", "requests/s", "p50 ms", "p99 ms", "p99 / p50", "waits per request")]
    for key, found in results.items():
        if isinstance(found, str):
            table.append((CASES[key].title, found.partition("\n")[0], "", "", "", ""))
            continue
        table.append((
            CASES[key].title,
            f"{statistics.median(each.rate for each in found):,.0f}",
            f"{statistics.median(each.median for each in found):.2f}",
            f"{statistics.median(each.slow for each in found):.2f}",
            f"{statistics.median(times(found)):.1f}",
            f"{statistics.median(each.waits for each in found):.2f}",
        ))  # fmt: skip
    return table


def outcomes(results: Latencies) -> list[Outcome]:
    """What came of the marks; those of cases that were measured."""
    found = []
    for key in MARKED:
        slices = results.get(key, "")
        if isinstance(slices, str):
            figure, rounds = None, []
        else:
            rounds = times(slices)
            figure = statistics.median(rounds)
        title = f"{CASES[key].title}: p99 at 80% load, times the median"
        found.append(Outcome(title, MOST, figure, at_most=True, rounds=rounds))
    return found
