"""Atheris: the parsers of what clients send that are written in Python.

python parsers.py TARGET [options of libFuzzer] [directories of inputs]
"""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

import contextlib

from unit.conftest import stand_in

sys.modules["_apache"] = stand_in()
with atheris.instrument_imports(include=["mod_python", "multipart"]):
    from mod_python import _fields, _multipart, _passwords  # noqa: F401
    from mod_python._fields import FieldList, parse_header
    from mod_python._multipart import FormError, Limits, MultipartReader, Tally

BOUNDARY = "b"


def fields_of(body: bytes, size: int) -> tuple[list[object], str]:
    """The fields of a body that comes in blocks of this size, and what was wrong with it."""
    into = FieldList()
    reader = MultipartReader(BOUNDARY, Tally(Limits()), False)
    position = 0

    def read(most: int) -> bytes:
        nonlocal position
        block = body[position : position + min(size, most)]
        position += len(block)
        return block

    try:
        reader.read(read, into)
        error = ""
    except FormError as failure:
        error = type(failure).__name__
    found: list[object] = []
    for field in into:
        value = field if isinstance(field, str) else field.file.read()
        found.append((field.name, field.filename, field.type, value))
    reader.close()
    # Of the part at which it was found to be malformed there may be more or less.
    return found[:-1] if error else found, error


def multipart(data: bytes) -> None:
    """Where blocks end makes no difference; nothing but FormError is raised."""
    if data:
        # Whether something may stand before the first delimiter depends on the blocks.
        body = b"--b\r\n" + data[1:].replace(b"\xfe", b"\r\n--b\r\n")
        whole = fields_of(body, 1 << 20)
        split = fields_of(body, 1 + data[0] % 64)
        assert whole == split, (whole, split)


def header(data: bytes) -> None:
    """A line of a header is taken apart whatever it is."""
    value, options = parse_header(data.decode("latin-1"))
    assert value == value.lower()
    assert all(name == name.lower() and isinstance(text, str) for name, text in options.items())


def cookie(data: bytes) -> None:
    """What a client sends is a dict of cookies, which can be sent back unless CookieError says why not."""
    text = data.decode("latin-1")
    for name, found in Cookie.parse(text).items():
        assert name == found.name
        try:
            sent = str(found)
        except CookieError:
            continue
        assert not set("\r\n\0") & set(sent)
        again = Cookie.parse(sent)
        assert not name or again[name].value == found.value, (found, again)
    with contextlib.suppress(CookieError):
        Signed.parse(text, "secret", mismatch=3)


def load_cookies() -> None:
    """The module that only that target needs."""
    global Cookie, CookieError, Signed
    with atheris.instrument_imports(include=["mod_python"]):
        from mod_python.Cookie import Cookie, CookieError
        from mod_python.Cookie import SignedCookie as Signed


if __name__ == "__main__":
    target = {"multipart": multipart, "header": header, "cookie": cookie}[sys.argv[1]]
    if target is cookie:
        load_cookies()
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target)
    atheris.Fuzz()
