"""Checks of util.parse_qs and util.parse_qsl (manual 4.6), to be run inside Apache.

Hypothesis runs there too, so that it can reduce what it finds. Nothing here needs pytest.
"""

import urllib.parse
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mod_python import util

# What a query is made of, and what it should not be: broken and cut escapes, UTF-8 that is
# valid, overlong, cut and of surrogates, characters beyond ASCII and UTF-8.
ATOMS = [
    *"%+&;=&=%+",
    *"09afAFgG \0\n~",
    *["%4", "%zz", "%%", "%26", "%3d", "%2B", "%25", "%00", "%0", "% 4", "%4+"],
    *["%C3%A9", "%c3", "%A9", "%FF", "%C0%80", "%ED%A0%80", "%F0%9F%98%80", "%F0%9F"],
    *["\u00e9", "\u0100", "\U0001f600", "\ud800", "\udce9", "\x7f", "\x80"],
    *["name", "value", "a=1", "&b=%41", "=", "&"],
]
QUERIES = st.lists(st.sampled_from(ATOMS), max_size=16).map("".join) | st.text(max_size=12)

FLAGS = st.sampled_from([False, True, 0, 1, 2, None, "", "yes", []])
ERRORS = [
    *["replace", "strict", "ignore", "surrogateescape", "backslashreplace", None],
    *["none-such", "", "re\0", "\udce9", "\u00e9", 5, b"strict"],
]
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "keep_blank_values": FLAGS,
        "strict_parsing": FLAGS,
        "encoding": st.sampled_from(["utf-8", "latin-1", "ascii", "utf-16", None, "none-such", 5]),
        "errors": st.sampled_from(ERRORS),
        "max_num_fields": st.none() | st.integers(-1, 8) | st.sampled_from([1.5, 1 << 70, "2"]),
        "separator": st.sampled_from(["&", ";", "&&", "", b"&", b";", None, 5, "\u00e9"]),
    },
)
INPUTS = QUERIES | QUERIES.map(lambda text: text.encode("utf-8", "surrogatepass"))
OTHERS = st.none() | st.integers() | st.binary(max_size=12).map(bytearray) | st.lists(QUERIES, max_size=3)


class Text(str):
    """A str that is not quite one."""

    __slots__ = ()


def outcome(function: Callable[..., Any], *args: Any, **keywords: Any) -> tuple[Any, ...]:
    """What the function returns, or what it raises; with the types of everything."""
    try:
        result = function(*args, **keywords)
    except Exception as error:
        return type(error), str(error)
    # The order of a dict counts.
    items = list(result.items()) if isinstance(result, dict) else result
    return type(result), items, [[type(part) for part in item] for item in items]


def run(check: Callable[..., None], count: int, **strategies: Any) -> None:
    """Runs the check with so many examples."""
    quiet = settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    quiet(given(**strategies)(check))()


def compare(*args: Any, **keywords: Any) -> None:
    """Both functions do with these arguments what urllib.parse does."""
    for name in ("parse_qs", "parse_qsl"):
        theirs = outcome(getattr(urllib.parse, name), *args, **keywords)
        ours = outcome(getattr(util, name), *args, **keywords)
        assert ours == theirs, f"{name}: {ours} instead of {theirs}"


def check_queries(count: int) -> None:
    """With each pair of flags, as programs of this API pass them."""

    def check(query: str) -> None:
        for keep_blank_values in (0, 1):
            for strict_parsing in (0, 1):
                compare(query, keep_blank_values, strict_parsing)

    run(check, count, query=QUERIES)


def check_options(count: int) -> None:
    """With all the arguments that urllib.parse takes."""

    def check(query: Any, options: dict[str, Any]) -> None:
        compare(query, **options)

    run(check, count, query=INPUTS | QUERIES.map(Text) | OTHERS, options=OPTIONS)
