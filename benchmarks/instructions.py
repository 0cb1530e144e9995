"""Count the instructions a request costs: the same figure on every run.

Apache runs in one process with one thread under Valgrind's callgrind, which
writes a profile whenever a connection begins. One connection makes N requests,
the next 2 N: the difference is N requests without their connection, on code
that is warm; a line that is echoed counts as a request. Only user mode counts,
not the kernel's part.

A case that costs more than 1.05 times what is recorded for this Python is a failure, and
so is one of which nothing is recorded.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cases import CASES
from load import LoadError
from marks import Row
from peers import PEERS
from report import columns
from servers import Httpd, Server, ServerError

REQUESTS = 500
WARMING = 500

CALLGRIND = ("valgrind", "-q", "--tool=callgrind", "--vgdb=no", "--dump-before=ap_process_connection")
ONE_THREAD = ("-X", "-Done_thread")

DEFAULT_CASES = (
    "c", "hello", "phases", "c-flush", "hello-flush", "static", "static-unused", "static-access",
    "publisher", "cgihandler", "wsgi", "session", "psp", "reload-off", "reload-single",
)  # fmt: skip

RECORD = Path(__file__).with_suffix(".json")
"""What a request has cost, by Python and case."""

MOST_GROWTH = 1.05
"""Of that, before it is a failure."""

Profile = Counter[tuple[str, str]]
"""Instructions by function and the file of code it is in."""

HANDLERS = ("mp_dispatch",)
"""The phases that have Python handlers, with all they call."""

STEPS = {
    "attach: thread state and GIL": ("mp_activity_begin",),
    "request object: made and cut off": ("mp_request_of", "drop"),
    "call: the handler's own Python": ("PyObject_CallOneArg",),
    "detach": ("mp_activity_end",),
}
"""Steps of these, and the functions of mod_python.so or libpython that are them."""

WRITE = ("request_write", "mp_body_pass")
"""The functions a response is written with."""

CALLED = "call: the handler's own Python"
"""The step that a write may be a part of."""

FINISH = ("hello_handler", "ap_finalize_request_protocol")
"""What C, too, does to write a response and to end it."""

STEP_CASES = ("c", "hello", "phases", "publisher", "wsgi", "cgihandler")


@dataclass(frozen=True)
class Count:
    """What REQUESTS requests of a case cost."""

    own: Profile
    """By function."""
    whole: Profile
    """With what each called."""

    def total(self) -> float:
        """Instructions of a request."""
        return self.own.total() / REQUESTS

    def of(self, *functions: str) -> float:
        """Instructions a request spends in these functions, and in what they call.

        What the compiler has split off from one is a part of it: `f.part.0`.
        """
        found: Counter[str] = Counter()
        for (name, _), spent in self.whole.items():
            name = name.partition(".")[0]
            found[name] = max(found[name], spent)
        return sum(found[name] for name in functions) / REQUESTS


def read_profile(path: Path, inclusive: bool = False) -> Profile:
    """The instructions each function spent itself, from a file of callgrind's.

    Args:
        path: The file.
        inclusive: With what it called; not for those that call themselves.
    """
    names: dict[tuple[str, str], str] = {}

    def name(kind: str, text: str) -> str:
        """A name in full; callgrind writes it once and then its number only."""
        number, _, full = text.partition(" ")
        return names.setdefault((kind, number), full)

    profile: Profile = Counter()
    code, function, skip = "", "", False
    for line in path.read_text().splitlines():
        key, equals, text = line.partition("=")
        if equals and key in ("ob", "cob", "fn", "cfn"):
            full = name(key[-2:], text)
            code = full if key == "ob" else code
            function = full if key == "fn" else function
        elif key == "calls":
            skip = True  # the next line is what the callee spent
        elif line[:1] in "0123456789+-*" and line:
            if inclusive or not skip:
                profile[function, Path(code).name] += int(line.split()[1])
            skip = False
    return profile


def count(httpd: Httpd, folder: Path, key: str, load: str) -> Count:
    """What REQUESTS requests of a case cost; `load` loads its peer.

    Raises:
        ServerError, LoadError, OSError: it could not be counted.
    """
    case = CASES[key]
    server = Server(httpd, folder, key, load, case.conf)
    calls = server.root / "calls"
    calls.mkdir()
    calls.chmod(0o777)  # written to by Apache's child
    try:
        server.start((*CALLGRIND, f"--callgrind-out-file={calls}/%p"), ONE_THREAD)
        for requests in (WARMING, REQUESTS, 2 * REQUESTS, 1):
            case.converse(server.port, requests)
    finally:
        server.stop()
    parts = sorted(calls.glob("*.*"), key=lambda part: int(part.suffix[1:]))
    found = []
    for inclusive in (False, True):
        once, twice = (read_profile(part, inclusive) for part in parts[-2:])
        twice.subtract(once)
        found.append(twice)
    return Count(*found)


def case_row(key: str, counts: Mapping[str, Count]) -> Row:
    """One line of the table: a request's instructions, and beyond its limit's."""
    own = counts[key].total()
    limit = CASES[key].limit
    if limit == key or limit not in counts:
        return (CASES[key].title, f"{own:,.0f}", "", "")
    return (CASES[key].title, f"{own:,.0f}", f"{own - counts[limit].total():+,.0f}", CASES[limit].title)


def function_rows(key: str, counts: Mapping[str, Count], least: int) -> list[Row]:
    """The functions that spend `least` instructions a request beyond the limit's, most first."""
    beyond = counts[key].own.copy()
    limit = CASES[key].limit
    if limit != key and limit in counts:
        beyond.subtract(counts[limit].own)
    rows: list[Row] = [("instructions", "function", "in")]
    for (function, code), spent in beyond.most_common():
        if spent >= least * REQUESTS:
            rows.append((f"{spent / REQUESTS:,.0f}", function, code))
    return rows


def steps_of(count: Count, limit: Count) -> dict[str, float]:
    """What a request costs beyond one of C's, by step; the steps add up to the whole."""
    steps = {title: count.of(*functions) for title, functions in STEPS.items()}
    steps[CALLED] -= count.of("request_write")
    in_handlers = sum(steps.values()) + count.of(*WRITE)
    steps["dispatch: the rest of the phases with handlers"] = count.of(*HANDLERS) - in_handlers
    steps["write: beyond what C's takes"] = count.of(*WRITE, *FINISH) - limit.of(*FINISH)
    whole = count.total() - limit.total()
    steps["hooks of all phases, configuration"] = whole - sum(steps.values())
    return steps


def step_rows(counts: Mapping[str, Count]) -> list[Row]:
    """The table of what Python costs by step: a column for each of ours that C is the limit of."""
    keys = [key for key in counts if CASES[key].peer == "kukulkan" and CASES[key].limit == "c"]
    found = {key: steps_of(counts[key], counts["c"]) for key in keys}
    table: list[Row] = [("instructions per request", *(CASES[key].title for key in keys))]
    table.append(("C module", *(f"{counts['c'].total():,.0f}" for _ in keys)))
    for title in found[keys[0]] if keys else ():
        table.append((title, *(f"{found[key][title]:+,.0f}" for key in keys)))
    table.append(("in all", *(f"{counts[key].total():,.0f}" for key in keys)))
    return table


def python_name() -> str:
    """What figures are recorded under."""
    return f"{'.'.join(platform.python_version_tuple()[:2])} on {platform.machine()}"


def recorded() -> dict[str, dict[str, int]]:
    """Instructions per request by Python and case."""
    figures: dict[str, dict[str, int]] = json.loads(RECORD.read_text())
    return figures


def record(counts: Mapping[str, Count]) -> None:
    """Have the figures be those that later ones are compared with."""
    figures = recorded() if RECORD.exists() else {}
    own = figures.setdefault(python_name(), {})
    own.update({key: round(count.total()) for key, count in counts.items()})
    RECORD.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")


def growth(now: Mapping[str, float], before: Mapping[str, int]) -> list[str]:
    """The cases that have become dearer than they may, or have no record; a line each."""
    lines = []
    for key, figure in now.items():
        title = CASES[key].title
        if key not in before:
            lines.append(f"{title}: nothing is recorded for Python {python_name()}: record it with --record")
        elif figure > before[key] * MOST_GROWTH:
            lines.append(
                f"{title}: {figure:,.0f} instructions, {figure / before[key]:.2f} times the "
                f"{before[key]:,} recorded in {RECORD.name}: find out why, or record it with --record"
            )
    return lines


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}")
    parser.add_argument(
        "--functions", type=int, metavar="LEAST",
        help="list the functions that spend LEAST instructions a request more than in the limit",
    )  # fmt: skip
    parser.add_argument(
        "--steps", action="store_true", help="show what the steps of a request cost beyond one of C's"
    )
    parser.add_argument(
        "--record", action="store_true", help=f"compare later figures with these: writes {RECORD.name}"
    )
    options = parser.parse_args(argv)
    unknown = set(options.cases) - set(CASES)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    return options


def loads(httpd: Httpd, folder: Path, keys: Sequence[str]) -> dict[str, str]:
    """The lines that load the peer of each case; not of those that are not installed."""
    by_peer = {peer: PEERS[peer].load(httpd, folder) for peer in {CASES[key].peer for key in keys}}
    return {key: load for key in keys if (load := by_peer[CASES[key].peer]) is not None}


def measure(keys: Sequence[str]) -> tuple[dict[str, Count], list[str]]:
    """The count of each case, several at a time; and what kept the others from being counted.

    Raises:
        ServerError: none could be.
    """
    if shutil.which("valgrind") is None:
        raise ServerError("valgrind is not installed: apt-get install valgrind")
    httpd = Httpd.find()
    counts: dict[str, Count] = {}
    problems = []
    with tempfile.TemporaryDirectory(prefix="kukulkan-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Apache's child must be able to read it
        ready = loads(httpd, folder, keys)
        with ThreadPoolExecutor(os.cpu_count()) as executor:
            futures = {key: executor.submit(count, httpd, folder, key, ready[key]) for key in ready}
        for key in keys:
            if key not in futures:
                problems.append(f"{CASES[key].title}: not installed")
                continue
            try:
                counts[key] = futures[key].result()
            except (ServerError, LoadError, OSError) as error:
                problems.append(f"{CASES[key].title}: failed: {error}")
    return counts, problems


def main(argv: list[str] | None = None) -> int:
    """Count and report."""
    options = arguments(sys.argv[1:] if argv is None else argv)
    keys = list(dict.fromkeys(options.cases or DEFAULT_CASES))
    if options.steps and "c" not in keys:
        keys.insert(0, "c")
    try:
        counts, problems = measure(keys)
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    head = ("case", "instructions", "beyond", "its limit")
    print(columns([head, *(case_row(key, counts) for key in counts)]))
    if options.functions is not None:
        for key in counts:
            rows = function_rows(key, counts, options.functions)
            print(f"\n{CASES[key].title}\n{columns(rows)}")
    if options.steps and "c" in counts:
        print(f"\n{columns(step_rows(counts))}")
    if options.record:
        record(counts)
    now = {key: count.total() for key, count in counts.items()}
    problems += growth(now, recorded().get(python_name(), {}))
    for line in problems:
        print(line, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
