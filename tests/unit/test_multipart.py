"""Multipart bodies to fields, without a server: mod_python._multipart."""

import os
from collections.abc import Callable

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from mod_python._fields import Field, FieldList, StringField
from mod_python._multipart import (
    FormError,
    FormTooLarge,
    Limits,
    MalformedForm,
    MultipartReader,
    SpoolError,
    Tally,
)

BOUNDARY = "=_bound=ary"
DELIMITER = f"\r\n--{BOUNDARY}".encode()

#: What a parser that looks for the delimiter could stumble over.
PIECES = [
    b"\r",
    b"\n",
    b"\r\n",
    b"-",
    b"--",
    b"\r\n--",
    DELIMITER[:-1],
    BOUNDARY.encode(),
    b"x",
    b"\0",
    b"\xff",
]
CONTENTS = st.lists(st.sampled_from(PIECES) | st.binary(max_size=30), max_size=12).map(b"".join)
NAMES = st.text(
    st.characters(exclude_characters='"\\%\r\n\0', exclude_categories=["Cs"]), min_size=1, max_size=9
)


def part(name: str, content: bytes, filename: str | None = None, *headers: str) -> bytes:
    """One part, with the delimiter before it."""
    line = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        line += f'; filename="{filename}"'
    return DELIMITER + "\r\n".join(["", line, *headers, "", ""]).encode() + content


def body(*parts: bytes) -> bytes:
    """A whole body."""
    return (b"".join(parts) + DELIMITER + b"--\r\n")[2:]


def cut(data: bytes, places: list[int]) -> Callable[[int], bytes]:
    """A read() that gives the data in pieces."""
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    pieces = [data[start:end] for start, end in zip([0, *ends], ends, strict=False) if start < end]
    return lambda size: pieces.pop(0) if pieces else b""


def read(data: bytes, places: tuple[int, ...] = (), limits: Limits | None = None, **options) -> FieldList:
    """The fields of a body."""
    fields = FieldList()
    reader = MultipartReader(BOUNDARY, Tally(limits or Limits()), options.pop("strict", False), **options)
    try:
        reader.read(cut(data, list(places)), fields)
    except FormError:
        reader.close()
        raise
    return fields


def content(field: StringField | Field) -> bytes:
    """What a field holds, as it was sent."""
    return field.value if isinstance(field, Field) else field.encode("utf-8", "surrogateescape")


FORMS = st.lists(st.tuples(NAMES, CONTENTS, st.none() | NAMES), max_size=5)
PLACES = st.lists(st.integers(0, 10_000), max_size=30)


@given(FORMS, PLACES)
@example([("a", b"\r", "f"), ("b", b"\n\r\n--", None)], list(range(200)))
def test_every_byte_arrives(form, places):
    """Whatever the content, and wherever it is cut, the fields are what was sent; strict
    parsing has nothing against it."""
    assume(all(DELIMITER not in b"\r\n" + value + b"\r\n" for _, value, _ in form))
    fields = read(body(*(part(*field) for field in form)), tuple(places), Limits(spool_size=20), strict=True)
    assert [(f.name, content(f), f.filename) for f in fields] == form


@given(CONTENTS, CONTENTS, st.integers(0, 10_000), PLACES)
def test_truncated(first, second, length, places):
    """What was read before the body breaks off is kept; but for what may have been the
    beginning of a delimiter."""
    assume(DELIMITER not in b"\r\n" + first + b"\r\n" and DELIMITER not in b"\r\n" + second + b"\r\n")
    whole = body(part("a", first, "f"), part("b", second))
    cut_at = length % (len(whole) - 3)
    data = whole[:cut_at]
    fields = FieldList()
    with pytest.raises(MalformedForm):
        MultipartReader(BOUNDARY, Tally(Limits()), False).read(cut(data, places), fields)
    start = len(part("a", b"", "f")) - 2
    if cut_at >= start:
        kept = content(fields[0])
        assert first.startswith(kept) and len(kept) >= min(len(first), cut_at - start - len(DELIMITER) - 1)
    if len(fields) > 1:
        assert content(fields[0]) == first and second.startswith(content(fields[1]))


@given(st.binary(max_size=300) | CONTENTS, PLACES, st.booleans())
def test_garbage(data, places, strict):
    """Nothing that a client sends is an error of another kind."""
    for prefix in (b"", f"--{BOUNDARY}\r\n".encode(), part("a", b"", "f")[2:]):
        with pytest.raises(MalformedForm):
            read(prefix + data, tuple(places), strict=strict)


def test_no_parts():
    """An empty form is a form."""
    assert read(body()) == []


@pytest.mark.parametrize("before", [b"", b"\r\n", b"This is a message in MIME format.\r\n"])
@pytest.mark.parametrize("behind", [b"", b"\r\n", b"\r\nand this is its end", b"\r\n" * 1000])
@pytest.mark.parametrize("places", [(), range(5000)])
def test_around_the_parts(before, behind, places):
    """What stands before and behind the parts is ignored, also by strict parsing."""
    data = before + body(part("a", b"1")) + behind
    assert read(data, places, strict=True) == ["1"]


HEADERS = [
    ('form-data; name="a"; filename="x.txt"', "a", "x.txt"),
    ("form-data; name=a; filename=x.txt", "a", "x.txt"),
    ("Form-Data;\r\n name=a;\r\n\tfilename=x.txt", "a", "x.txt"),
    ('form-data; name="a;b=c"; filename="x; y=\'z\'.txt"', "a;b=c", "x; y='z'.txt"),
    ('form-data; filename="q%22q.txt"; name="%0D%0A"', "\r\n", 'q"q.txt'),
    ('form-data; name="a"; filename="q\\"q.txt"', "a", 'q"q.txt'),
    (r'form-data; name="a"; filename="C:\Users\me\x.txt"', "a", "x.txt"),
    ('form-data; name="ä"; filename="日本.txt"', "ä", "日本.txt"),
    ("form-data; name=\"a\"; filename*=utf-8''na%C3%AFve.txt", "a", "naïve.txt"),
    ("form-data; name*=iso-8859-1'de'%E4; filename=x", "ä", "x"),
    ('form-data; name="a"; filename="x"; filename*=utf-8\'\'y', "a", "x"),
    ("form-data; name=\"a\"; filename*=rot13''y", "a", None),
    ('form-data; name="a"; filename=""', "a", ""),
    ('form-data; name="a"', "a", None),
    ("form-data", "", None),
    ("attachment; filename=x", "", "x"),
]


@pytest.mark.parametrize(("disposition", "name", "filename"), HEADERS)
def test_content_disposition(disposition, name, filename):
    """Names as browsers and other clients write them, folded headers too."""
    data = DELIMITER[2:] + f"\r\ncontent-disposition: {disposition}\r\n\r\nhello".encode()
    [field] = read(data + DELIMITER + b"--")
    assert (field.name, field.filename, content(field)) == (name, filename, b"hello")
    assert isinstance(field, StringField if filename is None else Field)
    assert field.disposition == disposition.partition(";")[0].lower()


def test_bytes_that_are_no_text():
    """Names that are no UTF-8 make the round trip."""
    data = body(part("a", b"\xe4", "f")).replace(b'"a"', b'"\xe4"').replace(b'"f"', b'"\xff.txt"')
    [field] = read(data)
    assert field.name == "\udce4" and field.filename == "\udcff.txt"
    assert field.headers["Content-Disposition"].encode("utf-8", "surrogateescape").endswith(b'"\xff.txt"')


def test_headers_of_a_part():
    """All headers are kept, and the content type is taken apart."""
    data = body(part("a", b"<p>", "f", 'Content-type: Text/HTML;\r\n charset="UTF-8"', "X-spam: eggs"))
    [field] = read(data)
    assert isinstance(field, Field)
    assert (field.type, field.type_options) == ("text/html", {"charset": "UTF-8"})
    assert field.disposition_options == {"name": "a", "filename": "f"}
    assert field.headers == {
        "Content-Disposition": 'form-data; name="a"; filename="f"',
        "Content-Type": 'Text/HTML; charset="UTF-8"',
        "X-Spam": "eggs",
    }


def test_a_part_without_disposition():
    """It is a field without a name; strict parsing refuses it."""
    data = DELIMITER[2:] + b"\r\nContent-Type: text/plain\r\n\r\nhello" + DELIMITER + b"--"
    [field] = read(data)
    assert (field, field.name, field.disposition) == ("hello", "", None)
    with pytest.raises(MalformedForm):
        read(data, strict=True)


MALFORMED = [
    body(part("a", b"1")).replace(b"\r\n", b"\n"),
    body(part("a", b"1", None, "no header")),
    body(part("a", b"1", None, "spaced name: x")),
    body(part("a", b"1", None, "Content-Length: 5")),
    body(part("a", b"1", None, "Content-Length: x")),
    body(part("a", b"1", None, "X-One: 1\nX-Two: 2")),
    body(part("a", b"1")).replace(b"--\r\n", b"spam\r\n"),
    b"a=1&b=2",
    b"",
]


@pytest.mark.parametrize("data", MALFORMED)
def test_malformed(data):
    """What is no form is said to be none, and what came before it is kept."""
    good = part("good", b"yes")
    with pytest.raises(MalformedForm):
        read(data)
    fields = FieldList()
    with pytest.raises(MalformedForm):
        MultipartReader(BOUNDARY, Tally(Limits()), False).read(cut(good[2:] + b"\r\n" + data, []), fields)
    assert fields[0].name == "good" and fields[0].startswith("yes")


@pytest.mark.parametrize("boundary", ["", "a\nb", "a\u20ac"])
def test_bad_boundary(boundary):
    """A boundary that there cannot be."""
    with pytest.raises(MalformedForm):
        MultipartReader(boundary, Tally(Limits()), False)


TOO_LARGE = [
    (Limits(max_body_size=100), body(part("a", b"x" * 100)), "max_body_size"),
    (Limits(max_fields=2), body(part("a", b"1"), part("b", b"", "f"), part("c", b"1")), "max_fields"),
    (Limits(max_uploads=1), body(part("a", b"1", "f"), part("b", b"1", "f")), "max_uploads"),
    (Limits(max_field_size=10), body(part("a", b"x" * 10), part("b", b"x" * 11)), "max_field_size"),
    (Limits(max_text_size=176), body(part("a", b"x" * 51), part("b", b"x" * 50)), "max_text_size"),
    (Limits(max_text_size=200), body(part("a", b"", "f", "X: " + "x" * 200)), "max_text_size"),
    (Limits(max_header_size=99), body(part("a", b"1", "f" * 100)), "max_header_size"),
    (
        Limits(max_header_size=99),
        body(part("a", b"1", None, *["X: " + "y" * 80 + "\r\n z" * 9])),
        "max_header_size",
    ),
    (Limits(), body(part("a", b"1", None, *["X-Spam: eggs"] * 16)), "16 headers"),
    (Limits(), body().replace(b"--\r\n", b"\r\nX-Endless: " + b"x" * 9000), "max_header_size"),
]


@pytest.mark.parametrize(("limits", "data", "words"), TOO_LARGE)
@pytest.mark.parametrize("places", [(), range(20_000)])
def test_limits(limits, data, words, places):
    """Each limit holds, however the body comes, and the error names the option."""
    with pytest.raises(FormTooLarge, match=words):
        read(data, tuple(places), limits)


def test_at_the_limits():
    """What is just as large as allowed is taken; 0 is no limit."""
    data = body(part("a", b"x" * 10), part("b", b"x" * 11, "f"))
    exact = Limits(max_body_size=len(data), max_fields=2, max_uploads=1, max_field_size=10, max_text_size=100)
    none = Limits(0, 0, 0, 0, 0, 0)
    for limits in (exact, none):
        assert [content(field) for field in read(data, (), limits)] == [b"x" * 10, b"x" * 11]


def test_limits_from_options():
    """Options are numbers of bytes, and a directory."""
    options = {"mod_python.form.max_fields": "7", "mod_python.form.directory": "/var/tmp"}
    limits = Limits.from_options(options.get)
    assert (limits.max_fields, limits.directory) == (7, "/var/tmp")
    assert limits.max_uploads == Limits().max_uploads
    for value in ("-1", "1M", "", "٣", "1.5"):
        with pytest.raises(ValueError, match=r"mod_python.form.max_fields must be a number from 0 up"):
            Limits.from_options({"mod_python.form.max_fields": value}.get)


@pytest.mark.parametrize("spool_size", [0, 10, 1000])
def test_temporary_files(tmp_path, spool_size):
    """An upload is a file that can be read, has no name on disk, and is there as long as
    its field."""
    before = set(os.listdir("/proc/self/fd"))
    data = body(part("a", b"x" * 100, "f"))
    fields = read(data, (), Limits(spool_size=spool_size, directory=str(tmp_path)))
    assert list(tmp_path.iterdir()) == []
    opened = set(os.listdir("/proc/self/fd")) - before
    assert bool(opened) == (spool_size < 100)
    [field] = fields
    assert isinstance(field, Field)
    assert field.file.read(5) == b"xxxxx" and field.file.tell() == 5
    assert field.value == field.value == b"x" * 100
    field.file.close()


def test_no_room_for_temporary_files(tmp_path):
    """The error says where, and why."""
    missing = Limits(spool_size=10, directory=str(tmp_path / "missing"))
    with pytest.raises(SpoolError, match=r"cannot be kept in .*missing.*No such file") as caught:
        read(body(part("a", b"x" * 100, "f")), (), missing)
    assert not caught.value.is_full


def test_everything_is_closed_after_an_error(tmp_path):
    """No file stays open when a form is refused."""
    before = set(os.listdir("/proc/self/fd"))
    data = body(part("a", b"x" * 100, "f"), part("b", b"x" * 100, "f"))
    with pytest.raises(FormTooLarge):
        read(data, (), Limits(spool_size=10, max_uploads=1, directory=str(tmp_path)))
    assert set(os.listdir("/proc/self/fd")) == before


def test_callbacks(tmp_path):
    """A callback's file gets the content, and is rewound."""
    names = []

    def upload(filename):
        names.append(filename)
        return (tmp_path / filename).open("wb+")

    data = body(part("a", b"eggs"), part("b", b"spam", "f.bin"), part("c", b"", ""))
    fields = read(data, (), None, file_callback=upload, field_callback=lambda: upload("text"))
    assert names == ["text", "f.bin"]  # where no file was chosen there is none
    assert [field.file.read() for field in fields] == [b"eggs", b"spam", b""]
    assert fields[0] == "eggs" and isinstance(fields[0], StringField)
    assert (tmp_path / "f.bin").read_bytes() == b"spam"
    for field in fields:
        field.file.close()
