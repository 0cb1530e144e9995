"""Marks: what the project wants to reach, and whether a run has reached it."""

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

Row = tuple[str, ...]

ENOUGH = 4
"""Rounds that a verdict takes."""

DRAWS = 2000
"""Times the figures are drawn again to see how far chance moves their median."""

HEAD: Row = ("mark", "wanted", "measured", "95% interval", "")


@dataclass(frozen=True)
class Outcome:
    """A mark and what came of it."""

    title: str
    wanted: float | None
    """None: what it is compared with was not measured."""
    figure: float | None
    """None: it was not measured."""
    at_most: bool = False
    """The figure is to be `wanted` at most; otherwise at least."""
    rounds: Sequence[float] = ()
    """The figures that `figure` is the median of, to see what is chance; none: it is one."""
    enough: bool = True
    """It was measured often enough to tell."""

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the figure is in 95 of 100 cases; None if that is not known."""
        return interval(self.rounds) if self.rounds else None

    @property
    def verdict(self) -> str:
        """Whether the mark is reached, as far as can be told."""
        if self.figure is None or self.wanted is None:
            return ""
        if not self.enough:
            return "too few rounds to tell"
        low, high = self.interval or (self.figure, self.figure)
        worst, best = (-high, -low) if self.at_most else (low, high)
        wanted = -self.wanted if self.at_most else self.wanted
        if worst >= wanted:
            return "reached"
        return "too close to tell" if best >= wanted else "falls short"


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Where the median of `values` lies in 95 of 100 cases, by drawing from them again."""
    chance = random.Random(0)  # the same figures give the same interval
    medians = sorted(statistics.median(chance.choices(values, k=len(values))) for _ in range(DRAWS))
    return medians[DRAWS // 40], medians[-DRAWS // 40]


def number(value: float) -> str:
    """A ratio or a rate, as many digits of it as say something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3f}"


def row(outcome: Outcome) -> Row:
    """One line of the table of marks."""
    wanted = "" if outcome.wanted is None else f"{'<=' if outcome.at_most else '>='} {wanted_text(outcome)}"
    if outcome.figure is None:
        return (outcome.title, wanted, "not measured", "", "")
    between = outcome.interval
    return (
        outcome.title,
        wanted,
        number(outcome.figure),
        f"{number(between[0])} to {number(between[1])}" if between else "",
        outcome.verdict,
    )


def wanted_text(outcome: Outcome) -> str:
    """The wanted figure, as it was stated."""
    return f"{outcome.wanted:,g}" if outcome.wanted is not None else ""


def rows(outcomes: Sequence[Outcome]) -> list[Row]:
    """The table of marks, its head first."""
    return [HEAD, *map(row, outcomes)]
