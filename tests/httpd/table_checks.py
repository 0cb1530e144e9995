"""Checks of apache.table (manual 4.5.2), to be run inside Apache.

Each function whose name starts with `check_` takes the module `apache` and raises
AssertionError if a promise is not kept. Nothing here needs pytest.
"""

import collections.abc
import copy
import gc
import operator
import resource
import weakref
from pathlib import Path
from typing import Any


def _raises(exception: type[BaseException], function: Any, *args: Any) -> BaseException:
    """Calls the function and returns the exception it is to raise."""
    try:
        result = function(*args)
    except exception as error:
        return error
    raise AssertionError(f"{exception.__name__} expected, got {result!r}")


def _twins(apache: Any) -> Any:
    """A table with a key that has two values, spelled differently."""
    table = apache.table([("Host", "spam"), ("Accept", "text/html")])
    table.add("ACCEPT", "image/png")
    return table


def check_type(apache: Any) -> None:
    """The type is called mp_table, without a module, and is a mapping."""
    table = apache.table()
    assert type(table).__name__ == "mp_table"
    assert str(type(table)) == "<class 'mp_table'>"
    assert isinstance(table, collections.abc.MutableMapping)
    assert "4.5.2" in apache.table.__doc__


def check_empty(apache: Any) -> None:
    """A new table is empty, false and not shared."""
    table = apache.table()
    assert len(table) == 0 and not table
    assert table.keys() == [] and table.items() == [] and table.values() == []
    table["a"] = "1"
    assert table and len(table) == 1
    assert len(apache.table()) == 0


def check_make_table(apache: Any) -> None:
    """make_table() is the old name of table()."""
    assert apache.make_table() == {}
    assert type(apache.make_table()) is type(apache.table())


def check_constructor_mapping(apache: Any) -> None:
    """Initial values come from a mapping: anything with keys()."""

    class Mapping:
        def keys(self) -> Any:
            return iter(("a", "b"))

        def __getitem__(self, key: str) -> str:
            return key * 2

    assert apache.table({"a": "1", "b": "2"}) == {"a": "1", "b": "2"}
    assert apache.table(Mapping()) == {"a": "aa", "b": "bb"}
    assert apache.table(a="1") == {"a": "1"}
    assert apache.table({"a": "1"}, a="2", b="3") == {"a": "2", "b": "3"}


def check_constructor_pairs(apache: Any) -> None:
    """Initial values come from a sequence of pairs; of equal keys the last counts."""
    assert apache.table([("a", "1"), ["b", "2"]]) == {"a": "1", "b": "2"}
    assert apache.table(iter([("a", "1")])) == {"a": "1"}
    assert apache.table([("a", "1"), ("A", "2")]).items() == [("a", "2")]
    _raises(TypeError, apache.table, 5)
    _raises(TypeError, apache.table, None)
    _raises(TypeError, apache.table, {}, {})
    _raises(TypeError, apache.table, [5])
    _raises(ValueError, apache.table, [("a", "1", "2")])
    _raises(ValueError, apache.table, ["a"])


def check_constructor_applies_str(apache: Any) -> None:
    """The constructor and update() apply str(), and let its errors through."""

    class Unprintable:
        def __str__(self) -> str:
            raise ZeroDivisionError

    assert apache.table({1: 2}) == {"1": "2"}
    assert apache.table([(None, 2.5)]) == {"None": "2.5"}
    table = apache.table()
    table.update({1: True})
    assert table == {"1": "True"}
    _raises(ZeroDivisionError, apache.table, {"a": Unprintable()})
    _raises(ZeroDivisionError, apache.table, [(Unprintable(), "a")])
    _raises(ZeroDivisionError, table.update, {"a": Unprintable()})


def check_constructor_lets_errors_through(apache: Any) -> None:
    """What a mapping or a sequence raises, arrives."""

    class Broken:
        def keys(self) -> Any:
            raise ZeroDivisionError

    class Hollow:
        def keys(self) -> Any:
            return ["a"]

        def __getitem__(self, key: str) -> str:
            raise ZeroDivisionError

    def stops() -> Any:
        yield ("a", "1")
        raise ZeroDivisionError

    for source in (Broken(), Hollow(), stops()):
        _raises(ZeroDivisionError, apache.table, source)
    for source in (Broken(), Hollow(), stops()):
        _raises(ZeroDivisionError, apache.table().update, source)


def check_constructor_table(apache: Any) -> None:
    """A table made from a table has its duplicates, and is another one."""
    table = _twins(apache)
    other = apache.table(table)
    assert other.items() == table.items()
    other["a"] = "1"
    assert "a" not in table


def check_lookup_ignores_case(apache: Any) -> None:
    """Keys are looked up in any case and keep the spelling they came with."""
    table = apache.table({"Content-Type": "text/html"})
    for key in ("Content-Type", "content-type", "CONTENT-TYPE", b"content-TYPE"):
        assert table[key] == "text/html"
        assert key in table and table.has_key(key)
        assert table.get(key) == "text/html"
    assert table.keys() == ["Content-Type"]
    table["CONTENT-TYPE"] = "text/plain"
    assert table.items() == [("Content-Type", "text/plain")]
    del table["content-type"]
    assert len(table) == 0


def check_lookup_of_a_missing_key(apache: Any) -> None:
    """A missing key raises KeyError, naming it."""
    table = apache.table({"a": "1"})
    for key in ("b", "", "a\0", "\N{EURO SIGN}", b"b", "aa", "b" * 10000):
        assert _raises(KeyError, operator.getitem, table, key).args == (key,)
        assert _raises(KeyError, operator.delitem, table, key).args == (key,)
        assert _raises(KeyError, table.pop, key).args == (key,)
        assert key not in table and not table.has_key(key)
        assert table.get(key) is None and table.get(key, 5) == 5
        assert table.pop(key, 5) == 5
    assert table == {"a": "1"}


def check_keys_and_values_are_strings(apache: Any) -> None:
    """A key or value that is neither str nor bytes is a TypeError, also in lookups."""
    table = apache.table({"a": "1"})
    for wrong in (5, None, ["a"], ("a",), 1.5, bytearray(b"a")):
        _raises(TypeError, operator.setitem, table, wrong, "1")
        _raises(TypeError, operator.setitem, table, "a", wrong)
        _raises(TypeError, operator.setitem, table, "b", wrong)
        _raises(TypeError, table.add, wrong, "1")
        _raises(TypeError, table.add, "a", wrong)
        _raises(TypeError, table.setdefault, "b", wrong)
        _raises(TypeError, operator.getitem, table, wrong)
        _raises(TypeError, operator.delitem, table, wrong)
        _raises(TypeError, operator.contains, table, wrong)
        for method in (table.get, table.has_key, table.pop, table.setdefault):
            _raises(TypeError, method, wrong)
    assert table == {"a": "1"}


def check_latin1(apache: Any) -> None:
    """Text is ISO-8859-1: str and bytes of it are the same, other characters refused."""
    table = apache.table()
    table["K\xe9y"] = "caf\xe9"
    assert table[b"k\xe9Y"] == "caf\xe9"
    table[b"bytes"] = b"\xff\x80"
    assert table["BYTES"] == "\xff\x80"
    assert table.keys() == ["K\xe9y", "bytes"]
    for wrong in ("\N{EURO SIGN}", "\ud800", "\U0001f40d"):
        _raises(ValueError, operator.setitem, table, "a", wrong)
        _raises(ValueError, operator.setitem, table, wrong, "a")
        _raises(ValueError, table.add, "a", wrong)
        _raises(ValueError, table.update, {"a": wrong})
        _raises(ValueError, apache.table, {wrong: "a"})
    assert len(table) == 2


def check_line_ends_are_refused(apache: Any) -> None:
    """CR, LF and NUL are refused in keys and values: no header can be smuggled in."""
    table = apache.table({"old": "1"})
    for end in ("\r", "\n", "\0", "\r\nSet-Cookie: a=b"):
        for wrong in (f"a{end}", f"{end}a", f"a{end}".encode()):
            _raises(ValueError, operator.setitem, table, wrong, "1")
            _raises(ValueError, operator.setitem, table, "new", wrong)
            _raises(ValueError, operator.setitem, table, "old", wrong)
            _raises(ValueError, table.add, wrong, "1")
            _raises(ValueError, table.add, "new", wrong)
            _raises(ValueError, table.setdefault, wrong, "1")
            _raises(ValueError, table.setdefault, "new", wrong)
            _raises(ValueError, table.update, {"new": wrong})
            _raises(ValueError, apache.table, {wrong: "1"})
    assert table == {"old": "1"}


def check_values_of_any_length(apache: Any) -> None:
    """Empty and long keys and values are kept whole."""
    table = apache.table()
    long = "x" * 1_000_000
    table[""] = ""
    table[long] = long
    assert table[""] == "" and "" in table
    assert table[long] == long
    assert len(table) == 2


def check_many_keys(apache: Any) -> None:
    """A large table finds, replaces and removes its keys, and keeps their order."""
    names = [f"Key-{number}" for number in range(2000)]
    table = apache.table((name, number) for number, name in enumerate(names))
    assert table.keys() == names
    assert all(table[name.upper()] == str(number) for number, name in enumerate(names))
    for name in names[::2]:
        del table[name.lower()]
    assert table.keys() == names[1::2]
    assert all(name in table for name in names[1::2])
    assert not any(name in table for name in names[::2])


def check_assignment_replaces_all(apache: Any) -> None:
    """Assignment leaves one value, in the place and spelling of the first."""
    table = _twins(apache)
    table["accept"] = "*/*"
    assert table.items() == [("Host", "spam"), ("Accept", "*/*")]
    table = _twins(apache)
    table["accept"] = "text/html"
    assert table.items() == [("Host", "spam"), ("Accept", "text/html")]


def check_add_makes_duplicates(apache: Any) -> None:
    """add() keeps the values that are there; a subscript then gives a list."""
    table = apache.table()
    assert table.add("Set-Cookie", "a=1") is None
    assert table["set-cookie"] == "a=1"
    table.add("Set-Cookie", "b=2")
    table.add("set-cookie", "a=1")
    assert table["SET-COOKIE"] == ["a=1", "b=2", "a=1"]
    _raises(TypeError, table.add, "a")
    _raises(TypeError, table.add, "a", "1", "2")


def check_duplicates_are_counted(apache: Any) -> None:
    """len(), keys(), values(), items() and iteration include duplicates."""
    table = _twins(apache)
    keys = ["Host", "Accept", "ACCEPT"]
    values = ["spam", "text/html", "image/png"]
    items = list(zip(keys, values, strict=True))
    assert len(table) == 3
    assert table.keys() == list(table) == list(table.iterkeys()) == keys
    assert table.values() == list(table.itervalues()) == values
    assert table.items() == list(table.iteritems()) == items


def check_get_answers_the_first(apache: Any) -> None:
    """get() answers the first value, or its default; it takes no keywords."""
    table = _twins(apache)
    assert table.get("accept") == "text/html"
    assert table.get("accept", "x") == "text/html"
    assert table.get("missing") is None
    assert table.get("missing", table) is table
    _raises(TypeError, table.get)
    _raises(TypeError, table.get, "a", "b", "c")


def check_delete_removes_all(apache: Any) -> None:
    """del removes all values of the key and nothing else."""
    table = _twins(apache)
    del table["accept"]
    assert table.items() == [("Host", "spam")]
    _raises(KeyError, operator.delitem, table, "accept")


def check_setdefault(apache: Any) -> None:
    """setdefault() stores a missing key, "" by default, and answers what is there."""
    table = _twins(apache)
    assert table.setdefault("host", "eggs") == "spam"
    assert table.setdefault("accept", "x") == ["text/html", "image/png"]
    assert table.setdefault("empty") == "" and table["empty"] == ""
    assert table.setdefault("new", "1") == "1" and table["new"] == "1"
    assert table.setdefault("bytes", b"2") == "2"
    assert len(table) == 6


def check_pop(apache: Any) -> None:
    """pop() removes a key and answers what the subscript did, or its default."""
    table = _twins(apache)
    assert table.pop("HOST") == "spam"
    assert table.pop("accept", "x") == ["text/html", "image/png"]
    assert table == {} and table.pop("accept", "x") == "x"
    _raises(KeyError, table.pop, "accept")
    _raises(TypeError, table.pop)


def check_popitem(apache: Any) -> None:
    """popitem() takes the entries one by one, the last first, then raises KeyError."""
    table = _twins(apache)
    table["Last"] = "1"
    assert table.popitem() == ("Last", "1")
    assert table.popitem() == ("ACCEPT", "image/png")
    assert table["accept"] == "text/html" and table["host"] == "spam"
    assert table.popitem() == ("Accept", "text/html")
    assert table.popitem() == ("Host", "spam")
    assert "host" not in table
    _raises(KeyError, table.popitem)
    table["host"] = "again"
    assert table.items() == [("host", "again")]


def check_clear(apache: Any) -> None:
    """clear() removes everything; the table goes on being useful."""
    table = _twins(apache)
    assert table.clear() is None
    assert table == {} and "host" not in table
    table["a"] = "1"
    assert table == {"a": "1"}


def check_update(apache: Any) -> None:
    """update() takes mappings, pairs and keywords, replaces, and needs keys()."""
    table = _twins(apache)
    assert table.update({"ACCEPT": "*/*", "new": "1"}) is None
    assert table.items() == [("Host", "spam"), ("Accept", "*/*"), ("new", "1")]
    table.update([("new", "2")])
    table.update(host="eggs")
    table.update()
    assert table == {"Host": "eggs", "Accept": "*/*", "new": "2"}
    _raises(AttributeError, table.update, None)
    _raises(AttributeError, table.update, 5)
    _raises(TypeError, table.update, {}, {})


def check_update_from_table(apache: Any) -> None:
    """update() with a table takes its duplicates; with the table itself, changes nothing."""
    table = apache.table({"accept": "x", "keep": "1"})
    table.update(_twins(apache))
    assert table.keys() == ["keep", "Host", "Accept", "ACCEPT"]
    assert table["accept"] == ["text/html", "image/png"]
    items = table.items()
    table.update(table)
    assert table.items() == items


def check_copy(apache: Any) -> None:
    """copy() keeps duplicates and gives a table of its own."""
    table = _twins(apache)
    for duplicate in (table.copy(), copy.copy(table), copy.deepcopy(table)):
        assert type(duplicate) is type(table) and duplicate is not table
        assert duplicate.items() == table.items()
        duplicate["Host"] = "eggs"
        del duplicate["Accept"]
        assert table["host"] == "spam" and len(table) == 3


def check_fromkeys(apache: Any) -> None:
    """fromkeys() gives all keys one value, "" by default."""
    assert apache.table.fromkeys("ab") == {"a": "", "b": ""}
    assert apache.table.fromkeys(["a", "b"], "1") == {"a": "1", "b": "1"}
    _raises(TypeError, apache.table.fromkeys, [1])
    _raises(TypeError, apache.table.fromkeys, 5)


def check_compares_as_a_dict(apache: Any) -> None:
    """Tables compare as dict() of them: equal or not, never less."""
    table = apache.table({"a": "1", "b": "2"})
    plain = {"b": "2", "a": "1"}
    assert table == plain and plain == table
    assert table == apache.table([("b", "2"), ("a", "1")])
    assert table != {"a": "1"} and table != {"a": "1", "b": "3"}
    assert table != {1: "1", "b": "2"} and table != {}
    assert table != [("a", "1"), ("b", "2")] and table is not None
    assert _twins(apache)["accept"] == dict(_twins(apache))["Accept"]
    assert _twins(apache) == dict(_twins(apache)) == _twins(apache)
    for compare in (operator.lt, operator.le, operator.gt, operator.ge):
        _raises(TypeError, compare, table, table)
        _raises(TypeError, compare, table, {})


def check_prints_as_a_dict(apache: Any) -> None:
    """repr() and str() are those of dict()."""
    table = apache.table({"a": "1", "B": "it's"})
    assert repr(table) == str(table) == """{'a': '1', 'B': "it's"}"""
    assert repr(apache.table()) == "{}"
    assert repr(_twins(apache)) == repr(dict(_twins(apache)))


def check_dict_of_a_table(apache: Any) -> None:
    """dict() keeps the spelling; a key with several values has their list."""
    table = apache.table({"X-Spam": "1"})
    table.add("Dup", "2")
    table.add("Dup", "3")
    assert dict(table) == {"X-Spam": "1", "Dup": ["2", "3"]}
    plain: dict[str, Any] = {}
    plain.update(table)
    assert plain == {**table} == dict(table)


def check_unhashable(apache: Any) -> None:
    """As a dict, a table has no hash."""
    _raises(TypeError, hash, apache.table())
    assert not isinstance(apache.table(), collections.abc.Hashable)


def check_union(apache: Any) -> None:
    """| makes a new table, |= updates, as for dicts."""
    table = apache.table({"a": "1", "b": "2"})
    union = table | {"B": "3", "c": "4"}
    assert type(union) is type(table)
    assert union.items() == [("a", "1"), ("b", "3"), ("c", "4")]
    assert table == {"a": "1", "b": "2"}
    assert ({"z": "0"} | table).items() == [("z", "0"), ("a", "1"), ("b", "2")]
    assert len(table | _twins(apache)) == 5
    same = table
    table |= {"a": "9"}
    table |= [("d", "5")]
    assert table is same and table == {"a": "9", "b": "2", "d": "5"}
    _raises(TypeError, operator.or_, table, [("a", "1")])
    _raises(TypeError, operator.or_, 5, table)
    _raises(TypeError, operator.ior, table, 5)


def check_iterators(apache: Any) -> None:
    """Iterators step through the table once and stay exhausted."""
    table = apache.table({"a": "1"})
    for iterator in (iter(table), table.iterkeys(), table.itervalues(), table.iteritems()):
        assert iter(iterator) is iterator
        next(iterator)
        _raises(StopIteration, next, iterator)
        table["b"] = "2"
        _raises(StopIteration, next, iterator)
        del table["b"]
    _raises(TypeError, type(iter(table)))
    assert list(reversed(_twins(apache))) == ["ACCEPT", "Accept", "Host"]


def check_size_changed_while_iterating(apache: Any) -> None:
    """A table that grows or shrinks under an iterator raises RuntimeError from then on."""
    table = apache.table({"a": "1", "b": "2"})
    for make in (table.__iter__, table.iterkeys, table.itervalues, table.iteritems):
        iterator = make()
        next(iterator)
        table["c"] = "3"
        _raises(RuntimeError, next, iterator)
        del table["c"]
        _raises(RuntimeError, next, iterator)
    for key in table:
        table[key] = "replaced"
    for key in table.keys():  # noqa: SIM118 - a list, so that the table may shrink
        del table[key]
    assert table == {}


def check_subclass(apache: Any) -> None:
    """A subclass has attributes, weak references and its own methods; copies are tables."""

    class Headers(apache.table):  # type: ignore[misc]
        def __init__(self, *args: Any, origin: str = "", **more: Any) -> None:
            super().__init__(*args, **more)
            self.origin = origin

        def __getitem__(self, key: str) -> Any:
            return super().__getitem__(key) or "nothing"

    headers = Headers({"a": "1"}, origin="here", b="")
    assert headers.origin == "here" and headers["b"] == "nothing"
    assert headers.get("b") == "" and isinstance(headers, apache.table)
    assert type(headers.copy()) is type(headers | {}) is type(apache.table())
    assert type(Headers.fromkeys("ab")) is Headers
    assert apache.table(headers).items() == [("a", "1"), ("b", "")]
    reference = weakref.ref(headers)
    headers.itself = headers
    del headers
    gc.collect()
    assert reference() is None


def check_pattern_matching(apache: Any) -> None:
    """A table matches mapping patterns."""
    match apache.table({"A": "1", "b": "2"}):
        case {"a": first, "B": second}:
            assert (first, second) == ("1", "2")
        case _:
            raise AssertionError("no match")


def check_changes_during_update(apache: Any) -> None:
    """str() of a value may change the very table: no harm is done."""
    table = apache.table({"a": "1"})

    class Meddler:
        def __str__(self) -> str:
            table.clear()
            table.add("b", "x" * 100_000)
            return "2"

    table.update({"a": Meddler(), "c": Meddler()})
    assert table.items() == [("b", "x" * 100_000), ("c", "2")]
    table.update([[Meddler(), Meddler()]])
    assert table["2"] == "2"


def check_changing_values_costs_no_memory(apache: Any) -> None:
    """A long-lived table whose values change all the time does not grow the process."""
    maps = Path("/proc/self/maps")
    # AddressSanitizer holds back what was freed.
    if not maps.exists() or "libasan" in maps.read_text():
        return
    table = apache.table({"fixed": "here"})

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    def churn() -> None:
        for number in range(2000):
            table["value"] = f"{number:05}" * 2000
            table.add(f"Key-{number}", "v")
            del table[f"key-{number}"]

    churn()
    before = resident()
    for _ in range(10):
        churn()
    # 200 MB were stored.
    assert resident() - before < 20_000_000
    assert table["fixed"] == "here" and len(table) == 2


def check_objects_are_freed(apache: Any) -> None:
    """Tables and iterators that nothing refers to are gone at once."""

    class Table(apache.table):  # type: ignore[misc]
        pass

    table = Table({"a": "1"})
    iterator = table.iteritems()
    reference = weakref.ref(table)
    del table
    assert next(iterator) == ("a", "1")
    del iterator
    assert reference() is None
