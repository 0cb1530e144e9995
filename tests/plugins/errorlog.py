"""Apache's error log as a list of records, and the rule that a test must have
expected every record of level warn or above."""

import re
import time
from dataclasses import dataclass
from pathlib import Path

from .installation import PATIENCE, SANITIZED

LINE = re.compile(
    r"\[[^]]*\] \[(?P<module>\w*):(?P<level>[a-z]+)\d?\] \[pid (?P<pid>\d+)(?::tid \d+)?\] (?P<message>.*)"
)
SERIOUS = {"warn", "error", "crit", "alert", "emerg"}
# How these servers are set up (one child, few workers), not what they do wrong.
STANDARD = re.compile(
    r"AH00161: server reached MaxRequestWorkers"  # prefork with its only child busy
    r"|AH00484: server reached MaxRequestWorkers"  # event, likewise
    r"|AH0309[23]: "  # event, being stopped: its pollset takes no more connections
    # A child has not ended after three seconds, which looking for leaks may take.
    + ("|AH00045:" if SANITIZED else "")
)
# Nothing excuses these.
FATAL = re.compile(
    r"AH0005[0-2]:"  # child process exited on a signal
    r"|AH0004[67]:"  # child process had to be killed at the end
    rf"|{'AH0004[67]' if SANITIZED else 'AH00045'}:"  # or was told to end once more
    r"|AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|runtime error:"
    r"|Fatal Python error|Assertion .* failed"
)


@dataclass(frozen=True)
class Record:
    """One line of the error log; a line that Apache did not write has level ""."""

    module: str
    level: str
    pid: int
    message: str

    @property
    def fatal(self) -> bool:
        return bool(FATAL.search(self.message))

    @property
    def serious(self) -> bool:
        return self.level in SERIOUS or not self.level


def parse(line: str) -> Record:
    """The record that a line of the log is."""
    match = LINE.fullmatch(line)
    if match is None:
        return Record("", "", 0, line)
    return Record(match["module"], match["level"], int(match["pid"]), match["message"])


class ErrorLog:
    """The error log of one server, read as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._position = 0
        self._expected: list[Record] = []
        self._offset = 0
        self._records: list[Record] = []

    def records(self) -> list[Record]:
        """All complete records so far."""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
            complete, newline, _ = data.rpartition(b"\n")
            self._offset += len(complete) + len(newline)
            lines = complete.decode("utf-8", "replace").split("\n") if newline else []
            self._records += [parse(line) for line in lines]
        return self._records

    def recent(self) -> list[Record]:
        """The records since the last check."""
        return self.records()[self._position :]

    def text(self) -> str:
        """The same as text, for people."""
        return "\n".join(f"[{r.module}:{r.level}] {r.message}" for r in self.recent())

    def find(self, pattern: str) -> list[Record]:
        """The recent records, not taken as expected yet, in which the regular
        expression is found."""
        return [r for r in self.recent() if re.search(pattern, r.message) and not self._is_expected(r)]

    def expect(self, pattern: str, times: int = 1) -> Record:
        """Waits for `times` records in which the regular expression is found and
        takes them as expected: any further one is not. Returns the first."""
        deadline = time.monotonic() + 5 * PATIENCE
        while len(found := self.find(pattern)) < times:
            if time.monotonic() > deadline:
                raise AssertionError(f"no {pattern!r} in the error log, but:\n{self.text()}")
            time.sleep(0.005)
        self._expected += found[:times]
        return found[0]

    def _is_expected(self, record: Record) -> bool:
        return any(record is expected for expected in self._expected)

    def unexpected(self) -> list[Record]:
        """The serious records since the last check that no test expected; this is
        a check."""
        recent = self.recent()
        self._position += len(recent)
        return [
            r
            for r in recent
            if r.fatal or (r.serious and not STANDARD.search(r.message) and not self._is_expected(r))
        ]
