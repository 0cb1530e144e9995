"""Results: what was measured, as a table to read, as JSON, as a section of a page."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cases import CASES, MARKS, Mark
from load import Load
from marks import ENOUGH, Outcome, Row
from marks import rows as mark_rows

BEGIN = "<!-- benchmarks: begin -->"
END = "<!-- benchmarks: end -->"


@dataclass
class Result:
    """What came of one case; `problem` says why there is nothing."""

    key: str
    loads: list[Load] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    """Per round, the case's rate divided by its limit's measured beside it."""
    cpus: list[float] = field(default_factory=list)
    """Microseconds of processor time a request took in the server."""
    cpu_ratios: list[float] = field(default_factory=list)
    """Per round, that divided by the limit's: less than the rates is it disturbed by others."""
    problem: str | None = None
    missing: bool = False
    """The peer is not installed, which is no failure."""

    @property
    def state(self) -> str:
        """Why there are no figures, in a word or two."""
        if self.missing:
            return "not installed"
        return "failed" if self.problem else "not measured"

    @property
    def rate(self) -> float | None:
        """Median requests per second."""
        return statistics.median(load.rate for load in self.loads) if self.loads else None

    @property
    def ratio(self) -> float | None:
        """Median share of the limit."""
        return statistics.median(self.ratios) if self.ratios else None


@dataclass
class Report:
    """One run of the benchmarks."""

    facts: dict[str, str]
    """Machine, versions and settings, by name."""
    results: dict[str, Result]
    tables: dict[str, list[Row]] = field(default_factory=dict)
    """Measured beside the cases: tables with their heads first, by title."""
    beside: list[Outcome] = field(default_factory=list)
    """The marks that are about these."""
    curves: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    """For each case its rates at `connections.CONNECTIONS`."""

    def share(self, key: str) -> tuple[str, float] | None:
        """The case that `key` is compared with in the end, limit by limit, and its share of that."""
        limit = CASES[key].limit
        if limit == key:
            return key, 1.0
        ratio = self.results[key].ratio if key in self.results else None
        beyond = self.share(limit)
        return None if ratio is None or beyond is None else (beyond[0], ratio * beyond[1])

    def of_c(self, key: str) -> float | None:
        """`key` as a share of the C module, if that is what it is compared with in the end."""
        share = self.share(key)
        return share[1] if share and share[0] == "c" else None

    def measured(self, mark: Mark) -> float | None:
        """The figure that `mark` is about, or None if a part of it is missing."""
        if mark.case not in self.results:
            return None
        if mark.of is None:
            return self.results[mark.case].rate
        if CASES[mark.case].limit == mark.of:
            return self.results[mark.case].ratio
        case, of = self.share(mark.case), self.share(mark.of)
        return case[1] / of[1] if case and of and case[0] == of[0] else None

    def outcome(self, mark: Mark) -> Outcome:
        """What came of `mark`."""
        figure = self.measured(mark)
        if figure is None:
            return Outcome(mark.title, mark.least, None)
        result = self.results[mark.case]
        rounds = [load.rate for load in result.loads] if mark.of is None else result.ratios
        own = mark.of in (None, CASES[mark.case].limit)
        return Outcome(
            mark.title, mark.least, figure,
            rounds=rounds if own else (), enough=len(rounds) >= ENOUGH,
        )  # fmt: skip

    def outcomes(self) -> list[Outcome]:
        """What came of all marks; without what was not measured, if that was not to be."""
        outcomes = [self.outcome(mark) for mark in MARKS if mark.case in self.results]
        return outcomes + self.beside

    def failed(self) -> list[Result]:
        """The cases that went wrong, as opposed to peers that are not there."""
        return [result for result in self.results.values() if result.problem and not result.missing]


HEAD: Row = (
    "case", "requests or lines/s", "p50 ms", "p99 ms", "CPU us", "of C", "of its limit", "CPU of it", "limit",
)  # fmt: skip


def middle(values: list[float], digits: int) -> str:
    """The median of `values`, or nothing."""
    return f"{statistics.median(values):,.{digits}f}" if values else ""


def spread(values: list[float]) -> str:
    """The median of `values` and half the distance between their quartiles."""
    if len(values) < 2:
        return middle(values, 3)
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    digits = 3 if median > 0.1 else 5
    return f"{median:.{digits}f} ± {(high - low) / 2:.{digits}f}"


def case_row(report: Report, result: Result) -> Row:
    """One line of the table of cases."""
    case = CASES[result.key]
    of_c = report.of_c(result.key)
    if not result.loads:
        return (case.title, result.state) + ("",) * (len(HEAD) - 2)
    return (
        case.title,
        middle([load.rate for load in result.loads], 0),
        middle([load.median for load in result.loads if load.median is not None], 2),
        middle([load.slow for load in result.loads if load.slow is not None], 2),
        middle(result.cpus, 1),
        "" if of_c is None else f"{of_c:.2f}" if of_c > 0.1 else f"{of_c:.5f}",
        spread(result.ratios),
        spread(result.cpu_ratios),
        CASES[case.limit].title if result.ratios else "",
    )


def case_rows(report: Report) -> list[Row]:
    """The table of cases, its head first."""
    return [HEAD, *(case_row(report, result) for result in report.results.values())]


def columns(rows: list[Row]) -> str:
    """`rows` for a terminal."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def markdown(rows: list[Row]) -> str:
    """`rows` as a Markdown table."""
    head, *body = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ("---",) * len(head), *body])


def problems(report: Report) -> list[str]:
    """What kept cases from being measured, or answers from coming; a line or more each."""
    lines = []
    for result in report.results.values():
        title = CASES[result.key].title
        if result.problem:
            lines.append(f"{title}: {result.state}: {result.problem}")
        elif failed := sum(load.failed for load in result.loads):
            requests = sum(load.requests for load in result.loads)
            lines.append(f"{title}: {failed:,} requests got no answer, {requests:,} did")
    return lines


def tables(report: Report) -> dict[str, list[Row]]:
    """All tables, by title."""
    return {
        "Rates and processor time": case_rows(report),
        "Marks": mark_rows(report.outcomes()),
        **report.tables,
    }


def text(report: Report) -> str:
    """The whole report for a terminal."""
    facts = "\n".join(f"{name}: {value}" for name, value in report.facts.items())
    parts = (f"{title}\n{columns(table)}" for title, table in tables(report).items())
    return "\n\n".join([facts, *parts, "\n".join(problems(report))]).rstrip()


def to_json(report: Report) -> str:
    """The whole report, every slice of load included."""
    cases = {
        key: {
            **asdict(result),
            "title": CASES[key].title,
            "limit": CASES[key].limit,
            "rate": result.rate,
            "ratio": result.ratio,
            "of_c": report.of_c(key),
        }
        for key, result in report.results.items()
    }
    marks = [{**asdict(outcome), "verdict": outcome.verdict} for outcome in report.outcomes()]
    whole = {
        "facts": report.facts,
        "cases": cases,
        "marks": marks,
        "tables": report.tables,
        "curves": report.curves,
    }
    return json.dumps(whole, indent=2) + "\n"


def write_section(report: Report, page: Path, plot: str) -> None:
    """Replace what stands between the markers of `page`; `plot` is the picture's name beside it.

    Raises:
        ValueError: the page lacks a marker.
    """
    old = page.read_text()
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} lacks the line {BEGIN if not begin else END}")
    parts = ["\n".join(f"- {name}: {value}" for name, value in report.facts.items())]
    parts += [f"### {title}\n\n{markdown(table)}" for title, table in tables(report).items()]
    if report.curves:
        parts.append(f"### Plot\n\n![Requests per second against connections]({plot})")
    notes = "\n".join(f"- {line}" for line in problems(report))
    if notes:
        parts.append(f"### What went wrong\n\n{notes}")
    section = "\n\n".join(parts)
    page.write_text(f"{before}{BEGIN}\n\n{section}\n\n{END}{after}")
