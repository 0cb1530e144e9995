"""What `kukulkan doctor` finds: where it is, what is wrong, and what cures it."""

from collections.abc import Iterable
from dataclasses import dataclass

# In the order of their weight.
ERROR = "error"
WARNING = "warning"


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that will not run (ERROR), or may not (WARNING)."""

    file: str
    line: int
    """From 1; 0: it is about the whole file."""
    severity: str
    what: str
    cure: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.severity}: {self.what}\n    {self.cure}"


def count(findings: Iterable[Finding], severity: str) -> int:
    """How many of this weight there are."""
    return sum(finding.severity == severity for finding in findings)


def totals(findings: Iterable[Finding]) -> str:
    """How many there are, in words."""
    findings = list(findings)
    numbers = [(count(findings, ERROR), "error"), (count(findings, WARNING), "warning")]
    return ", ".join(f"{number} {noun}{'' if number == 1 else 's'}" for number, noun in numbers)
