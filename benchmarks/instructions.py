"""Count the instructions a request costs: the same figure on every run.

Apache runs in one process with one thread under Valgrind's callgrind, which
writes a profile whenever a connection begins. One connection makes N requests,
the next 2 N: the difference is N requests without their connection, on code
that is warm; a line that is echoed counts as a request. Only user mode counts,
not the kernel's part.
"""

import argparse
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

Profile = Counter[tuple[str, str]]
"""Instructions by function and the file of code it is in."""


def read_profile(path: Path) -> Profile:
    """The instructions each function spent itself, from a file of callgrind's."""
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
            if not skip:
                profile[function, Path(code).name] += int(line.split()[1])
            skip = False
    return profile


def count(httpd: Httpd, folder: Path, key: str) -> Profile | None:
    """What REQUESTS requests of a case cost; None if its peer is not installed."""
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
    once, twice = read_profile(parts[-2]), read_profile(parts[-1])
    twice.subtract(once)
    return twice


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


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}")
    parser.add_argument(
        "--functions", type=int, metavar="LEAST",
        help="list the functions that spend LEAST instructions a request more than in the limit",
    )  # fmt: skip
    options = parser.parse_args(argv)
    unknown = set(options.cases) - set(CASES)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    return options


def measure(keys: list[str]) -> tuple[dict[str, Profile], bool]:
    """The profile of each case whose peer is installed, and whether none failed."""
    httpd = Httpd.find()
    profiles: dict[str, Profile] = {}
    well = True
    with tempfile.TemporaryDirectory(prefix="kukulkan-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Apache's child must be able to read it
        for key in keys:
            try:
                profile = count(httpd, folder, key)
            except (ServerError, LoadError, OSError) as error:
                print(f"{CASES[key].title}: failed: {error}", file=sys.stderr)
                well = False
                continue
            if profile is None:
                print(f"{CASES[key].title}: not installed", file=sys.stderr)
            else:
                profiles[key] = profile
    return profiles, well


def main(argv: list[str] | None = None) -> int:
    """Count and report."""
    options = arguments(sys.argv[1:] if argv is None else argv)
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: apt-get install valgrind", file=sys.stderr)
        return 1
    try:
        profiles, well = measure(options.cases or list(DEFAULT_CASES))
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    head = ("case", "instructions", "beyond", "its limit")
    print(columns([head, *(case_row(key, profiles) for key in profiles)]))
    if options.functions is not None:
        for key in profiles:
            rows = function_rows(key, profiles, options.functions)
            print(f"\n{CASES[key].title}\n{columns(rows)}")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
