"""Measure Kukulkan and its peers in one run, as shares of what C can do.

Every slice of load on a case stands directly beside one on its limit, in turn
before and after it, so that a machine that is slow for a while is slow for
both; the figure is the median of the slices' ratios.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path

import connections
import instructions
import latency
import load
import memory
import one_connection
import report
from cases import CASES, Case
from load import Load, LoadError
from marks import Row
from peers import PEERS
from report import Report, Result
from servers import HERE, Httpd, Server, ServerError

PAGE = HERE.parent / "docs" / "performance.md"
PLOT = "throughput.svg"
"""Beside the page."""

ROUNDS = 4
"""Slices of a case and its limit each; a case may ask for more or fewer, never under two."""

QUICK_ROUNDS = 1

CURVE_ROUNDS = 0.5
"""Slices of each case at each number of connections, as a share of the rounds."""

WARMING = 50
"""Requests before a case is measured: its code is loaded and specialised."""

STARTS = 11
"""Starts of Python that are timed for the note on CGI."""

Place = tuple[str, str | None]
"""Which server a case is on: its peer and its configuration."""


class Bench:
    """The servers and the results of one run."""

    def __init__(self, httpd: Httpd, folder: Path, stack: ExitStack) -> None:
        self.results: dict[str, Result] = {}
        self._httpd = httpd
        self._folder = folder
        self._stack = stack
        self._loads: dict[str, str | None] = {}
        self._servers: dict[Place, Server] = {}

    def prepare(self, key: str) -> None:
        """Start the server of a case, look at its answer and warm it."""
        case, result = CASES[key], Result(key)
        self.results[key] = result
        try:
            server = self._server(case)
            if server is None:
                result.missing = True
                result.problem = PEERS[case.peer].install
                return
            warm(case, server.port)
        except (ServerError, LoadError) as error:
            result.problem = str(error)

    def _server(self, case: Case) -> Server | None:
        """The running server of `case`; None if its peer is not installed."""
        if case.peer not in self._loads:
            self._loads[case.peer] = PEERS[case.peer].load(self._httpd, self._folder)
        loading = self._loads[case.peer]
        if loading is None:
            return None
        place = (case.peer, case.conf)
        if place not in self._servers:
            name = f"{case.peer}-{case.conf or 'unused'}".removesuffix(".conf")
            server = Server(self._httpd, self._folder, name, loading, case.conf)
            self._servers[place] = server
            self._stack.callback(server.stop)
            server.start()
        elif not self._servers[place].runs():
            raise ServerError("its server did not start")
        return self._servers[place]

    def round(self, key: str, number: int) -> None:
        """One slice of a case and one of its limit; which is first changes by turns."""
        case, result = CASES[key], self.results[key]
        limit = self.results[case.limit]
        if result.problem or limit.problem or key == case.limit:
            return
        pair = [result, limit] if number % 2 else [limit, result]
        try:
            slices = {each.key: self._slice(each) for each in pair}
        except LoadError as error:
            result.problem = f"it or its limit: {error}"
            return
        (own, cpu), (beside, limit_cpu) = slices[key], slices[case.limit]
        result.ratios.append(own.rate / beside.rate)
        if cpu and limit_cpu and not case.outside:
            result.cpu_ratios.append(cpu / limit_cpu)

    def _slice(self, result: Result) -> tuple[Load, float]:
        """One slice of load and the processor's microseconds a request took in the server."""
        case = CASES[result.key]
        server = self._servers[case.peer, case.conf]
        before = server.cpu()
        measured = case.press(server.port)
        cpu = (server.cpu() - before) * 1e6 / measured.requests
        result.loads.append(measured)
        if cpu and not case.outside:
            result.cpus.append(cpu)
        time.sleep(case.settle)
        return measured, cpu

    def usable(self, key: str) -> bool:
        """Whether the case was prepared, and nothing went wrong with it so far."""
        return key in self.results and not self.results[key].problem

    def server(self, key: str) -> Server:
        """The server of a case."""
        case = CASES[key]
        return self._servers[case.peer, case.conf]

    def port(self, key: str) -> int:
        """Where that listens."""
        return self.server(key).port

    def stop(self) -> None:
        """Stop the servers."""
        for server in self._servers.values():
            server.stop()

    def components(self) -> Iterable[str]:
        """What the measured servers say they consist of, without repetitions."""
        parts = (server.components().partition(")")[2].strip() for server in self._servers.values())
        return sorted({part for part in parts if part})


def warm(case: Case, port: int) -> None:
    """Make WARMING requests, and look at the answers.

    Raises:
        LoadError: one was missing or wrong; all were, if some may be lost.
    """
    if not case.losses:
        case.converse(port, WARMING)
        return
    problem: LoadError | None = None
    for _ in range(WARMING):
        try:
            case.converse(port, 1)
            return
        except LoadError as error:
            problem = error
    if problem:
        raise problem


def with_limits(keys: Iterable[str]) -> list[str]:
    """`keys` and the cases they are compared with, in the order of the table."""
    wanted = set(keys)
    while not wanted >= (limits := {CASES[key].limit for key in wanted}):
        wanted |= limits
    return [key for key in CASES if key in wanted]


def measure(keys: list[str], rounds: int, beside: bool) -> Report:
    """Start the servers of `keys`, load them by turns, stop them; `beside` the cases measure the rest."""
    httpd = Httpd.find()
    start = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kukulkan-bench-")))
        folder.chmod(0o755)  # Apache's child must be able to read it
        busy = f"{os.getloadavg()[0]:.1f}"
        bench = Bench(httpd, folder, stack)
        for key in keys:
            bench.prepare(key)
        counts = {key: max(2, round(rounds * CASES[key].rounds)) for key in keys}
        for number in range(max(counts.values())):
            progress(f"round {number + 1} of {max(counts.values())}")
            for key in keys:
                if number < counts[key]:
                    bench.round(key, number)
        result = Report(facts(httpd, bench) | {"load average before": busy}, bench.results)
        if beside:
            measure_beside(bench, httpd, folder, rounds, result)
        progress("")
        result.facts["time"] = f"{(time.monotonic() - start) / 60:.1f} minutes for all of it"
        return result


def measure_beside(bench: Bench, httpd: Httpd, folder: Path, rounds: int, result: Report) -> None:
    """Measure what is no case's ratio to its limit, into `result`."""
    progress("connections")
    result.curves = connections.measure(bench, max(1, round(rounds * CURVE_ROUNDS)))
    progress("latency")
    latencies = latency.measure(bench, min(rounds, latency.SLICES))
    bench.stop()  # from here on they would be in the way
    progress("one connection")
    one = one_connection.measure(httpd, folder)
    progress("memory")
    memories = memory.measure(httpd, folder)
    progress("instructions")
    result.tables = {
        "Instructions": instruction_rows(),
        "Throughput against connections": connections.rows(result.curves),
        f"Latency at 80% load, {latency.CLIENTS} clients": latency.rows(latencies),
        "One connection, prefork: the manual's table": one_connection.rows(one),
        "Memory of its own": memory.rows(memories),
    }
    result.beside = one_connection.outcomes(one) + memory.outcomes(memories) + latency.outcomes(latencies)


def instruction_rows() -> list[Row]:
    """What Python costs by step, or what kept it from being counted."""
    try:
        counts, problems = instructions.measure(instructions.STEP_CASES)
    except ServerError as error:
        return [("instructions per request", ""), (str(error), "")]
    if "c" not in counts:
        return [("instructions per request", ""), *((problem, "") for problem in problems)]
    return instructions.step_rows(counts)


def progress(text: str) -> None:
    """Show on a terminal how far the run is."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def facts(httpd: Httpd, bench: Bench) -> dict[str, str]:
    """What the figures depend on."""
    return {
        "machine": f"{processor()}, {os.cpu_count()} processors, {platform.platform()}",
        "Apache": f"{httpd.version()}, event MPM, one process",
        "modules": "; ".join(bench.components()),
        "Python": platform.python_version(),
        "Kukulkan": kukulkan_version(),
        "CGI": f"each request starts a process; {starting()}",
        "load": f"{load.wrk_version()}, {load.CONNECTIONS} connections, threads: {load.THREADS}",
    }


def starting() -> str:
    """What of a CGI request is the start of Python, and its import of cgi."""
    bare, importing = start_time("pass"), start_time("import cgi")
    if bare is None or importing is None:
        return "this Python has no module cgi any more"
    return f"{bare:.0f} ms of it start Python, {importing - bare:.0f} ms more import cgi"


def start_time(program: str) -> float | None:
    """Median milliseconds of a process that runs `program`; None if it fails."""
    command = [sys.executable, "-W", "ignore", "-c", program]
    times = []
    for _ in range(STARTS):
        start = time.perf_counter()
        run = subprocess.run(command, capture_output=True, check=False)
        times.append((time.perf_counter() - start) * 1e3)
        if run.returncode:
            return None
    return statistics.median(times)


def kukulkan_version() -> str:
    """The version installed in this environment."""
    try:
        return metadata.version("kukulkan")
    except metadata.PackageNotFoundError:
        return "not installed"


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; all")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="few rounds: a rough impression")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    parser.add_argument(
        "--write-docs",
        nargs="?",
        type=Path,
        const=PAGE,
        metavar="PAGE",
        help="put the tables between the markers of this page; docs/performance.md",
    )
    options = parser.parse_args(argv)
    unknown = set(options.cases) - set(CASES)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    return options


def main(argv: list[str] | None = None) -> int:
    """Measure and report; 1 if something that is installed went wrong."""
    options = arguments(sys.argv[1:] if argv is None else argv)
    try:
        load.wrk_version()
        keys = with_limits(options.cases or CASES)
        rounds = QUICK_ROUNDS if options.quick else options.rounds
        result = measure(keys, rounds, beside=not options.cases)
    except (ServerError, LoadError) as error:
        print(error, file=sys.stderr)
        return 1
    print(report.text(result))
    try:
        if options.json:
            options.json.write_text(report.to_json(result))
        if options.write_docs:
            report.write_section(result, options.write_docs, PLOT)
            if result.curves:
                connections.plot(result.curves, options.write_docs.with_name(PLOT))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 1 if result.failed() else 0


if __name__ == "__main__":
    sys.exit(main())
