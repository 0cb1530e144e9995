"""Manual 4.6, util.parse_qs and util.parse_qsl: the results of urllib.parse's, sooner."""

from pathlib import Path

import pytest

from plugins.installation import SANITIZED

CHECKS = Path(__file__).with_name("query_checks.py")


@pytest.fixture
def check(httpd):
    """Runs a check of query_checks.py with a number of examples inside Apache."""
    server = httpd("# queries", {"lib/query_checks.py": CHECKS.read_text()})

    def run(name, count):
        return server.run(
            f"import query_checks\nreturn query_checks.{name}({count})",
            config="PythonPath \"sys.path + ['${root}/lib']\"\nPythonInterpreter main_interpreter",
        )

    return run


# Of queries of four cases, then of arguments of one, for both functions: 100,000 cases, in
# requests that take a few seconds each.
EXAMPLES = 10_000
BATCH = 1_000


@pytest.mark.only_mpm("event")
@pytest.mark.parametrize("name", ["check_queries", "check_options"])
@pytest.mark.parametrize("batch", range(1 if SANITIZED else EXAMPLES // BATCH))
def test_results_are_those_of_urllib(check, name, batch):
    """Whatever the arguments."""
    check(name, BATCH)


def test_they_are_in_c(httpd):
    """They are built in, and do what the manual says."""
    assert httpd.run(
        """
        from mod_python import util
        kinds = [type(f).__name__ for f in (util.parse_qs, util.parse_qsl)]
        return [kinds, util.parse_qs("a=1&a=2&b=%C3%A9+"), util.parse_qsl("b=&a=1", 1)]
        """
    ) == [
        ["builtin_function_or_method"] * 2,
        {"a": ["1", "2"], "b": ["é "]},
        [["b", ""], ["a", "1"]],
    ]


def test_strict_parsing(httpd):
    """A field without "=" is a ValueError, as urllib.parse words it."""
    assert "ValueError: bad query field: 'b'" in httpd.run(
        """
        from mod_python import util
        try:
            util.parse_qs("a=1&b", strict_parsing=1)
        except ValueError as error:
            return f"{type(error).__name__}: {error}"
        """
    )


def test_invalid_utf8_makes_the_round_trip_if_asked_for(httpd):
    """errors is that of bytes.decode()."""
    assert httpd.run(
        """
        from mod_python import util
        return ascii([util.parse_qsl("a=%FF"), util.parse_qsl("a=%FF", errors="surrogateescape")])
        """
    ) == ascii([[("a", "\ufffd")], [("a", "\udcff")]])


def test_a_handler_of_errors_may_do_anything(httpd):
    """Python code runs in the middle of parsing: it parses itself, and raises."""
    assert httpd.run(
        """
        import codecs
        from mod_python import util

        def inner(error):
            return (str(util.parse_qsl("b=%C3%A9")), error.end)

        def failing(error):
            raise KeyError("no")

        codecs.register_error("kukulkan-inner", inner)
        codecs.register_error("kukulkan-failing", failing)
        found = [util.parse_qsl("a=1&c=%FF%FF&d=2", errors="kukulkan-inner")]
        try:
            util.parse_qsl("a=1&c=%FF&d=2", errors="kukulkan-failing")
        except KeyError as error:
            found.append(str(error))
        return found
        """
    ) == [[["a", "1"], ["c", "[('b', 'é')]" * 2], ["d", "2"]], "'no'"]


@pytest.mark.skipif(SANITIZED, reason="LeakSanitizer sees that itself, and what tracemalloc leaks")
def test_nothing_leaks(httpd):
    """Of whatever result, or error, references are given back."""
    assert (
        httpd.run(
            """
        import gc, tracemalloc
        from mod_python import util

        def once():
            util.parse_qs("a=1&a=%FF&b+c=%41")
            util.parse_qsl("a=1&a=2;", separator=";")
            for keywords in {"strict_parsing": 1}, {"max_num_fields": 1}, {"nonsense": 1}, {"errors": "strict"}:
                try:
                    util.parse_qs("a=1&b=%FF&c", **keywords)
                except (ValueError, TypeError):
                    pass

        once()
        tracemalloc.start()
        for _ in range(100):
            once()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            once()
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return after - before
        """,
            config="PythonInterpreter main_interpreter",
        )
        < 10_000
    )
