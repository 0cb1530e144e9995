"""The benchmarks' arithmetic and tables: what make bench makes of what it has measured."""

import importlib
import sys
from collections import Counter
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def bench():
    """Imports a module of the benchmarks; afterwards they are gone again."""
    before = set(sys.modules)
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module
    sys.path.remove(str(BENCHMARKS))
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and BENCHMARKS.samefile(
            Path(sys.modules[name].__file__).parent
        ):
            del sys.modules[name]


def test_cases_are_whole(bench):
    """Each case has a peer, a limit and a configuration; each mark has cases."""
    cases = bench("cases")
    peers = bench("peers").PEERS
    for case in cases.CASES.values():
        assert case.peer in peers
        assert case.limit in cases.CASES
        assert case.conf is None or (BENCHMARKS / "conf" / case.conf).exists()
    for mark in cases.MARKS:
        assert mark.case in cases.CASES and (mark.of is None or mark.of in cases.CASES)


@pytest.mark.parametrize(
    ("figure", "rounds", "enough", "at_most", "verdict"),
    [
        (1.0, (), True, False, "reached"),
        (0.8, (), True, False, "falls short"),
        (1.0, (0.95, 1.0, 1.0, 1.0, 1.1), True, False, "reached"),
        (0.9, (0.7, 0.9, 1.1), True, False, "too close to tell"),
        (0.8, (0.8, 0.8, 0.8), True, False, "falls short"),
        (2.0, (2.0,), False, False, "too few rounds to tell"),
        (0.8, (), True, True, "reached"),
        (1.0, (), True, True, "falls short"),
        (0.9, (0.7, 0.9, 1.1), True, True, "too close to tell"),
        (None, (), True, False, ""),
    ],
)
def test_verdict(bench, figure, rounds, enough, at_most, verdict):
    """A mark is reached if chance cannot have done it, falls short if it cannot have hidden it."""
    outcome = bench("marks").Outcome("x", 0.9, figure, at_most, rounds, enough)
    assert outcome.verdict == verdict


def test_growth(bench):
    """More than 5 % above what is recorded is a failure, and so is nothing recorded."""
    growth = bench("instructions").growth
    assert growth({"hello": 104_999.0}, {"hello": 100_000}) == []
    [line] = growth({"hello": 105_001.0}, {"hello": 100_000})
    assert "1.05 times the 100,000 recorded" in line
    [line] = growth({"hello": 1.0}, {})
    assert "nothing is recorded" in line


def test_steps_add_up(bench):
    """The steps of a request are what it costs beyond C's."""
    instructions = bench("instructions")
    per = instructions.REQUESTS

    def count(total, **functions):
        own = Counter({("f", "x.so"): total * per})
        return instructions.Count(own, Counter({(n, "x.so"): v * per for n, v in functions.items()}))

    limit = count(1000, hello_handler=100, ap_finalize_request_protocol=300)
    case = count(
        2000, mp_dispatch=900, mp_activity_begin=50, mp_request_of=40, drop=10, PyObject_CallOneArg=300,
        request_write=100, mp_activity_end=30, mp_body_pass=320, ap_finalize_request_protocol=5,
    )  # fmt: skip
    steps = instructions.steps_of(case, limit)
    assert sum(steps.values()) == 1000
    assert list(steps.values()) == [50, 50, 200, 30, 150, 25, 495]


def test_split_functions_count_once(bench):
    """What the compiler has split off a function is a part of it."""
    instructions = bench("instructions")
    whole = Counter({("f", "a.so"): 500, ("f.part.0", "a.so"): 450, ("g", "a.so"): 100})
    assert instructions.Count(Counter(), whole).of("f", "g") == 600 / instructions.REQUESTS


def test_page(bench, tmp_path):
    """What is written between the markers of the page is all of the tables, and the plot."""
    report, load, marks = bench("report"), bench("load"), bench("marks")
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    results = {key: report.Result(key, [load.Load(100, 50.0, 1.0, 2.0)] * 5) for key in ("c", "hello")}
    results["hello"].ratios = [0.96, 0.97, 0.98, 0.97, 0.97]
    results["perl"] = report.Result("perl", problem="make it", missing=True)
    whole = report.Report({"machine": "this one"}, results)
    whole.tables = {"Memory": [("child", "MiB"), ("C module", "3.0")]}
    whole.beside = [marks.Outcome("memory", 1, 0.5, at_most=True)]
    whole.curves = {"c": [1.0]}
    report.write_section(whole, page, "plot.svg")
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    for line in (
        "- machine: this one",
        "| handler, unflushed | >= 0.95 | 0.970 | 0.960 to 0.980 | reached |",
        "| memory | <= 1 | 0.500 |  | reached |",
        "| C module | 3.0 |",
        "![Requests per second against connections](plot.svg)",
        "- mod_perl: not installed: make it",
    ):
        assert line in text, text
