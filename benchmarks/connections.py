"""Throughput against connections: the same answer from each peer, with few clients and with many."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cases import CASES
from load import LoadError, press
from marks import Row

if TYPE_CHECKING:
    from run import Bench

CONNECTIONS = (1, 4, 16, 64, 256)

KEYS = ("c", "hello", "hello-pool", "wsgi", "lua", "perl", "old", "mod_wsgi")
"""The cases on the plot."""

Curves = Mapping[str, Sequence[float | None]]
"""For each case the median rate at each number of connections; None where it failed."""


def measure(bench: "Bench", rounds: int) -> Curves:
    """Load each case with each number of connections, `rounds` times, by turns."""
    keys = [key for key in KEYS if bench.usable(key)]
    rates: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        for connections in CONNECTIONS:
            for key in keys:
                case = CASES[key]
                try:
                    load = press(
                        bench.port(key), case.path, case.headers, case.seconds, case.losses, connections
                    )
                except LoadError:
                    continue
                rates.setdefault((key, connections), []).append(load.rate)
    return {
        key: [
            statistics.median(rates[key, count]) if (key, count) in rates else None for count in CONNECTIONS
        ]
        for key in keys
    }


def rows(curves: Curves) -> list[Row]:
    """The figures behind the plot, as shares of the C module with as many connections."""
    table: list[Row] = [("case", *(f"{count} conn." for count in CONNECTIONS))]
    limit = curves.get("c", [None] * len(CONNECTIONS))
    for key, rates in curves.items():
        cells = []
        for rate, of in zip(rates, limit, strict=True):
            share = f", {rate / of:.2f}" if rate and of and key != "c" else ""
            cells.append(f"{rate:,.0f}{share}" if rate else "failed")
        table.append((CASES[key].title, *cells))
    return table


def plot(curves: Curves, path: Path) -> None:
    """Draw the curves as an SVG file."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "kukulkan"  # the same curves give the same file
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 5.5), layout="constrained")
    for key, rates in curves.items():
        ours = CASES[key].peer in ("kukulkan", "newer")
        points = [(count, rate) for count, rate in zip(CONNECTIONS, rates, strict=True) if rate]
        axes.plot(
            *zip(*points, strict=True),
            marker="o", label=CASES[key].title,
            linewidth=2.4 if ours else 1.2, linestyle="-" if ours or key == "c" else "--",
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xticks(CONNECTIONS, [str(count) for count in CONNECTIONS])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("connections")
    axes.set_ylabel("requests per second")
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)
