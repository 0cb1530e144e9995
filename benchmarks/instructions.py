"""Count the instructions a request costs: the same figure on every run.

Apache runs in one process with one thread under Valgrind's callgrind, which
writes a profile whenever a connection begins. One connection makes N requests,
the next 2 N: the difference is N requests without their connection, on code
that is warm; a line that is echoed counts as a request. Only user mode counts,
not the kernel's part.

A case that costs more than 1.05 times what is recorded for this Python is a failure.
"""

import argparse
import json
import platform
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from cases import CASES
from load import LoadError
from peers import PEERS
from report import Row, columns
from servers import Httpd, Server, ServerError

REQUESTS = 500
WARMING = 500

CALLGRIND = ("valgrind", "-q", "--tool=callgrind", "--vgdb=no", "--dump-before=ap_process_connection")
ONE_THREAD = ("-X", "-Done_thread")

DEFAULT_CASES = (
    "c", "hello", "phases", "c-flush", "hello-flush", "static", "static-unused", "static-access",
)  # fmt: skip

RECORD = Path(__file__).with_suffix(".json")
"""What a request has cost, by Python and case."""

MOST_GROWTH = 1.05
"""Of that, before it is a failure."""

Profile = Counter[tuple[str, str]]
"""Instructions by function and the file of code it is in."""

PARTS = {
    "merging the configuration": ("mp_merge_dir_config",),
    "the content phase in all": ("mp_dispatch",),
    "in it: attach, thread state and GIL": ("mp_activity_begin",),
    "in it: the request object is made": ("mp_request_of", "mp_request_of.part.0"),
    "in it: calling the handler": ("PyObject_CallOneArg", "_PyObject_CallOneArg"),
    "in that: req.write()": ("request_write",),
    "in it: the request object goes": ("drop_or_keep", "mp_request_cut"),
    "in it: detach": ("mp_activity_end",),
    "in it: the response goes to Apache's filters": ("mp_body_pass",),
}
"""Steps of a request, and the functions of mod_python.so that are them (what the compiler has
inlined counts for its caller)."""


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


def count(httpd: Httpd, folder: Path, key: str) -> tuple[Profile, Profile] | None:
    """What REQUESTS requests of a case cost: by function, and with what each called; None if
    its peer is not installed."""
    case = CASES[key]
    load = PEERS[case.peer].load(httpd, folder)
    if load is None:
        return None
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
    return found[0], found[1]


def case_row(key: str, profiles: dict[str, Profile]) -> Row:
    """One line of the table: a request's instructions, and beyond its limit's."""
    own = profiles[key].total() / REQUESTS
    limit = CASES[key].limit
    if limit == key or limit not in profiles:
        return (CASES[key].title, f"{own:,.0f}", "", "")
    beyond = own - profiles[limit].total() / REQUESTS
    return (CASES[key].title, f"{own:,.0f}", f"{beyond:+,.0f}", CASES[limit].title)


def function_rows(key: str, profiles: dict[str, Profile], least: int) -> list[Row]:
    """The functions that spend `least` instructions a request beyond the limit's, most first."""
    beyond = profiles[key].copy()
    if CASES[key].limit != key:
        beyond.subtract(profiles.get(CASES[key].limit, Profile()))
    rows: list[Row] = [("instructions", "function", "in")]
    for (function, code), spent in beyond.most_common():
        if spent >= least * REQUESTS:
            rows.append((f"{spent / REQUESTS:,.0f}", function, code))
    return rows


def part_rows(whole: Profile) -> list[Row]:
    """The steps of a request, and the instructions of each with what it calls."""
    rows: list[Row] = [("step", "instructions")]
    for title, functions in PARTS.items():
        spent = max(whole[name, code] for name in functions for code in {code for _, code in whole})
        if spent:
            rows.append((title, f"{spent / REQUESTS:,.0f}"))
    return rows


def python_name() -> str:
    """What figures are recorded under."""
    return f"{platform.python_version()} on {platform.machine()}"


def recorded() -> dict[str, dict[str, int]]:
    """Instructions per request by Python and case."""
    figures: dict[str, dict[str, int]] = json.loads(RECORD.read_text())
    return figures


def record(profiles: dict[str, Profile]) -> None:
    """Have the figures be those that later ones are compared with."""
    figures = recorded() if RECORD.exists() else {}
    own = figures.setdefault(python_name(), {})
    own.update({key: round(profile.total() / REQUESTS) for key, profile in profiles.items()})
    RECORD.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")


def growth(profiles: dict[str, Profile]) -> list[str]:
    """The cases that have become dearer than they may; a line each."""
    own = recorded().get(python_name(), {})
    lines = []
    for key, profile in profiles.items():
        now = profile.total() / REQUESTS
        if key in own and now > own[key] * MOST_GROWTH:
            lines.append(
                f"{CASES[key].title}: {now:,.0f} instructions, {now / own[key]:.2f} times the "
                f"{own[key]:,} recorded in {RECORD.name}: find out why, or record it with --record"
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
    parser.add_argument("--steps", action="store_true", help="show the steps of a request")
    parser.add_argument(
        "--record", action="store_true", help=f"compare later figures with these: writes {RECORD.name}"
    )
    options = parser.parse_args(argv)
    unknown = set(options.cases) - set(CASES)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    return options


def measure(keys: list[str]) -> tuple[dict[str, Profile], dict[str, Profile], bool]:
    """The profile of each case whose peer is installed, by function and with what each
    called; and whether none failed."""
    httpd = Httpd.find()
    profiles: dict[str, Profile] = {}
    wholes: dict[str, Profile] = {}
    well = True
    with tempfile.TemporaryDirectory(prefix="kukulkan-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Apache's child must be able to read it
        for key in keys:
            try:
                profile_and_whole = count(httpd, folder, key)
            except (ServerError, LoadError, OSError) as error:
                print(f"{CASES[key].title}: failed: {error}", file=sys.stderr)
                well = False
                continue
            if profile_and_whole is None:
                print(f"{CASES[key].title}: not installed", file=sys.stderr)
            else:
                profiles[key], wholes[key] = profile_and_whole
    return profiles, wholes, well


def main(argv: list[str] | None = None) -> int:
    """Count and report."""
    options = arguments(sys.argv[1:] if argv is None else argv)
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: apt-get install valgrind", file=sys.stderr)
        return 1
    try:
        profiles, wholes, well = measure(options.cases or list(DEFAULT_CASES))
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    head = ("case", "instructions", "beyond", "its limit")
    print(columns([head, *(case_row(key, profiles) for key in profiles)]))
    if options.functions is not None:
        for key in profiles:
            rows = function_rows(key, profiles, options.functions)
            print(f"\n{CASES[key].title}\n{columns(rows)}")
    if options.steps:
        for key in profiles:
            print(f"\n{CASES[key].title}\n{columns(part_rows(wholes[key]))}")
    if options.record:
        record(profiles)
    grown = growth(profiles)
    for line in grown:
        print(line, file=sys.stderr)
    return 0 if well and not grown else 1


if __name__ == "__main__":
    sys.exit(main())
