"""Fields of forms, and calling functions with them: mod_python._fields and _calls."""

import copy
import functools
import io
import pickle

import pytest

from mod_python._calls import apply_fs_data
from mod_python._fields import Field, FieldList, StringField, parse_header

HEADERS = [
    ("text/plain", "text/plain", {}),
    ("Text/HTML; Charset=UTF-8", "text/html", {"charset": "UTF-8"}),
    ('multipart/form-data; boundary="a;b=c"', "multipart/form-data", {"boundary": "a;b=c"}),
    ("multipart/form-data; boundary====1==", "multipart/form-data", {"boundary": "===1=="}),
    ('form-data; name="a\\"b\\\\c\\d"', "form-data", {"name": 'a"b\\c\\d'}),
    ("form-data ;name = a ; filename = b c ", "form-data", {"name": "a", "filename": "b c"}),
    ("form-data;\r\n name=a;\r\n\tb=c", "form-data", {"name": "a", "b": "c"}),
    ("x; a=1; A=2", "x", {"a": "1"}),
    ('x; a=""; b=; c', "x", {"a": "", "b": ""}),
    ('x; a="open; b=2', "x", {"a": '"open', "b": "2"}),
    ("", "", {}),
    (";a=b", "", {"a": "b"}),
]


@pytest.mark.parametrize(("line", "value", "options"), HEADERS)
def test_parse_header(line, value, options):
    """The value and the parameters' names are lower-cased, values unquoted."""
    assert parse_header(line) == (value, options)


@pytest.mark.parametrize(
    "line", [";" * 200_000, '; a="\\"' * 50_000, "; a=" + " " * 200_000 + "x", "; a" * 99_999]
)
def test_parse_header_of_a_hostile_client(line):
    """The time does not grow faster than the header does: this would never end."""
    parse_header(line)


def test_string_field():
    """It is a str, and has what a Field has."""
    field = StringField(b"gr\xc3\xbc\xdf", "a")
    assert field == "grü\udcdf" and field.value == field and type(field.value) is str
    assert (field.name, field.filename, field.type, field.headers) == ("a", None, "text/plain", {})
    assert (field.type_options, field.disposition, field.disposition_options) == ({}, None, {})
    assert field.file.read(2) + field.file.read() == field
    assert repr(StringField("1", "spam")) == "Field('spam', '1')"
    assert StringField("a\r\nb").file.read() == "a\r\nb"


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda field: pickle.loads(pickle.dumps(field))])
def test_string_field_is_copied(clone):
    """Copies have the attributes too."""
    field = clone(StringField("1", "spam"))
    assert (field, field.name, field.value) == ("1", "spam", "1")


def test_field():
    """What the constructor is given becomes attributes."""
    file = io.BytesIO(b"eggs")
    field = Field("a", file, "image/png", {"x": "y"}, "form-data", {"filename": "f"}, {"X": "Y"})
    assert (field.name, field.type, field.type_options) == ("a", "image/png", {"x": "y"})
    assert (field.disposition, field.disposition_options, field.headers) == (
        "form-data",
        {"filename": "f"},
        {"X": "Y"},
    )
    assert field.filename == "f" and field.file is file
    assert file.read(2) and field.value == b"eggs" and file.read() == b"eggs"
    assert repr(field) == "Field('a', filename='f')"


def test_field_has_defaults_of_its_own():
    """Nothing is shared between fields."""
    one, other = Field("a"), Field("a")
    one.headers["X"] = one.type_options["x"] = "y"
    assert (other.headers, other.type_options, other.filename, other.value) == ({}, {}, None, b"")


def test_table_follows_the_list():
    """table() is about what is in the list at the time."""
    fields = FieldList([StringField("1", "a"), StringField("2", "b"), StringField("3", "a")])
    assert fields.table() == {"a": ["1", "3"], "b": ["2"]}
    fields.append(StringField("4", "b"))
    del fields[0]
    assert fields.table() == {"b": ["2", "4"], "a": ["3"]}


FORM = {"a": "1", "b": ["2", "3"], "self": "x", "cls": "y", "not a name": "z"}


class Python:
    """What can be called."""

    def __init__(self, a="-", **more):
        self.got = (a, more)

    def method(self, b):
        return b

    def everything(self, **more):
        return more

    @classmethod
    def of_class(cls, a):
        return a

    @staticmethod
    def static(a):
        return a

    def __call__(self, a, b="-"):
        return a, b


def wrap(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


REST = {"cls": "y", "not a name": "z"}
CALLS = [
    (lambda: "none", "none"),
    (lambda a: a, "1"),
    (lambda a, b=0, c=9: (a, b, c), ("1", ["2", "3"], 9)),
    (lambda a, /, b: (a, b), ("1", ["2", "3"])),
    (lambda a, /, **more: (a, sorted(more)), ("1", ["b", "cls", "not a name", "self"])),
    (lambda c=9, /, b=0: (c, b), (9, ["2", "3"])),
    (lambda *, b: b, ["2", "3"]),
    (lambda a, *rest: (a, rest), ("1", ())),
    (lambda **more: more, FORM),
    (lambda self: self, "x"),
    (Python().method, ["2", "3"]),
    (Python().everything, {"a": "1", "b": ["2", "3"], **REST}),
    (Python.of_class, "1"),
    (Python.static, "1"),
    (Python(), ("1", ["2", "3"])),
    (wrap(lambda a: a), "1"),
    (functools.partial(lambda a, b: (a, b), b=0), ("1", ["2", "3"])),
    (functools.partial(lambda x, **more: (x, sorted(more)), 5), (5, ["a", "b", "cls", "not a name", "self"])),
    (dict, {}),
    (list, []),
    ("text".upper, "TEXT"),
    (functools.partial(max, 4), None),
]


@pytest.mark.parametrize(("function", "result"), CALLS)
def test_apply(function, result):
    """Fields go to the parameters of their names, built-in functions get none."""
    if result is None:  # called with nothing more, which it does not like
        with pytest.raises(TypeError, match="int"):
            apply_fs_data(function, FORM)
    else:
        assert apply_fs_data(function, FORM) == result


def test_apply_to_a_class():
    """A class is instantiated; what a client calls self does not get in the way."""
    assert apply_fs_data(Python, FORM).got == ("1", {"b": ["2", "3"], **REST})


def test_apply_arguments_win():
    """A client cannot replace what the program passes."""
    assert apply_fs_data(lambda a, req: (a, req), {"a": "1", "req": "forged"}, req="real") == ("1", "real")
    assert apply_fs_data(lambda a: a, {"a": "1"}, req="not wanted") == "1"


def test_apply_without_a_required_argument():
    """Python's own error names it."""
    with pytest.raises(TypeError, match="'missing'"):
        apply_fs_data(lambda missing: missing, FORM)
