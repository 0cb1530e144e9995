"""Latency when the server is busy but not overrun: 25 clients at four fifths of what it can do."""

import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cases import CASES
from load import LoadError, press
from report import Row

if TYPE_CHECKING:
    from run import Bench

CLIENTS = 25
"""Threads that are at work at a time, at most."""

SHARE = 0.8
"""Of the rate measured right before."""

SECONDS = 4

KEYS = ("c", "hello", "publisher", "wsgi", "old", "mod_wsgi")


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


def measure(bench: "Bench") -> Mapping[str, tuple[float, float, float] | str]:
    """For each case the rate, the median and the 99th percentile in milliseconds."""
    results: dict[str, tuple[float, float, float] | str] = {}
    for key in KEYS:
        if not bench.usable(key):
            continue
        case = CASES[key]
        try:
            most = press(bench.port(key), case.path, case.headers, 1, case.losses, CLIENTS).rate
            times = paced(bench.port(key), case.path, most * SHARE, SECONDS)
            slow = statistics.quantiles(times, n=100)[98]
            results[key] = (len(times) / SECONDS, statistics.median(times), slow)
        except LoadError as error:
            results[key] = f"failed: {error}"
    return results


def rows(results: Mapping[str, tuple[float, float, float] | str]) -> list[Row]:
    """The table of latencies."""
    table: list[Row] = [("at 80% load, 25 clients", "requests/s", "p50 ms", "p99 ms", "p99 / p50")]
    for key, figures in results.items():
        if isinstance(figures, str):
            table.append((CASES[key].title, figures.partition("\n")[0], "", "", ""))
            continue
        rate, median, slow = figures
        table.append((
            CASES[key].title, f"{rate:,.0f}", f"{median:.2f}", f"{slow:.2f}", f"{slow / median:.1f}",
        ))  # fmt: skip
    return table
