"""Atheris: the parsers of what clients send that are written in Python.

python parsers.py TARGET [options of libFuzzer] [directories of inputs]
"""

import shlex
import sys
from io import BytesIO
from pathlib import Path
from types import ModuleType, SimpleNamespace
from urllib.parse import parse_qsl

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


STATUSES = {
    "HTTP_BAD_REQUEST": 400,
    "HTTP_LENGTH_REQUIRED": 411,
    "HTTP_REQUEST_ENTITY_TOO_LARGE": 413,
    "HTTP_INTERNAL_SERVER_ERROR": 500,
    "HTTP_NOT_IMPLEMENTED": 501,
    "HTTP_INSUFFICIENT_STORAGE": 507,
}
#: Small, so that they are met.
LIMITS = {
    "max_body_size": "2000",
    "max_fields": "8",
    "max_uploads": "3",
    "max_field_size": "100",
    "max_text_size": "400",
    "max_header_size": "200",
    "spool_size": "50",
}


class Refused(Exception):
    """Instead of SERVER_RETURN."""


def form_of(data: bytes, block: int) -> tuple[object, list[str]]:
    """The fields, or the status, of a request whose body comes in blocks; and what was logged.

    The input is a byte of arguments, a line of Content-Type, a line of the query string, and
    the body.
    """
    head, _, rest = data[1:].partition(b"\n")
    args, _, content = rest.partition(b"\n")
    body, logged = BytesIO(content), []
    req = SimpleNamespace(
        method="POST" if data[0] & 1 else "GET",
        args=args.decode("utf-8", "surrogateescape"),
        headers_in={"Content-Length": str(len(content)), "Content-Type": head.decode("latin-1")},
        get_options=lambda: {f"mod_python.form.{name}": value for name, value in LIMITS.items()},
        log_error=lambda message, level: logged.append(message),
        read=lambda size=-1: body.read(min(size, block) if size >= 0 else -1),
    )
    try:
        form = FieldStorage(req, data[0] & 2, data[0] & 4)
    except Refused as refused:
        return refused.args[0], logged
    found = []
    for name, field in form.items():
        assert name == field.name and name in form and form.getfirst(name).name == name
        value = field if isinstance(field, str) else field.file.read()
        found.append((name, field.filename, field.type, field.disposition_options, value))
    assert len(form.list) == len(found) and len(form) <= len(found)
    return found, logged


def form(data: bytes) -> None:
    """A request has the fields of its form, or is refused with one of a few statuses; what it
    is refused for is logged, and the limits hold."""
    if not data:
        return
    # Where blocks end is what the target multipart is about.
    found, logged = form_of(data, 1 + (data[0] >> 3) * 7)
    if isinstance(found, int):
        assert found in (400, 411, 413, 501) and len(logged) == 1, (found, logged)
        return
    assert len(found) <= 8, found
    assert sum(isinstance(field[-1], bytes) for field in found) <= 3, found


def load_forms() -> None:
    """The module that only that target needs, over stand-ins for what there is inside httpd."""
    global FieldStorage
    sys.modules["_apache"].parse_qsl = parse_qsl  # type: ignore[attr-defined]
    apache = ModuleType("mod_python.apache")
    vars(apache).update(STATUSES, APLOG_INFO=6, APLOG_WARNING=4, APLOG_ERR=3, SERVER_RETURN=Refused)
    import mod_python

    mod_python.apache = sys.modules["mod_python.apache"] = apache  # type: ignore[attr-defined]
    with atheris.instrument_imports(include=["mod_python"]):
        from mod_python._forms import FieldStorage


def load_cookies() -> None:
    """The module that only that target needs."""
    global Cookie, CookieError, Signed
    with atheris.instrument_imports(include=["mod_python"]):
        from mod_python.Cookie import Cookie, CookieError
        from mod_python.Cookie import SignedCookie as Signed


if __name__ == "__main__":
    targets = {"form": form, "multipart": multipart, "header": header, "cookie": cookie}
    target = targets[sys.argv[1]]
    loads = {form: load_forms, cookie: load_cookies}
    if target in loads:
        loads[target]()
    # What libFuzzer runs again, by the shell, to merge inputs.
    command = shlex.join([sys.executable, *sys.argv[:2]])
    atheris.Setup([command, *sys.argv[2:]], target)
    atheris.Fuzz()
