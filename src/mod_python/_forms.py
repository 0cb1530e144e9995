"""FieldStorage: the form of a request (manual, 4.6.1).

Bodies are read by _multipart; this is where they meet the request, and where what is
wrong with them becomes a status and a record in the log.
"""

from collections.abc import Iterator, MutableMapping
from typing import Any, NoReturn

from _apache import parse_qsl

from mod_python import apache
from mod_python._fields import Field, FieldList, StringField, parse_header
from mod_python._multipart import (
    FieldCallback,
    FileCallback,
    FormTooLarge,
    Limits,
    MalformedForm,
    MultipartReader,
    SpoolError,
    Tally,
)

__all__ = ["FieldStorage"]

_URLENCODED = "application/x-www-form-urlencoded"


class FieldStorage(MutableMapping[str, Any]):
    """The fields of a request's form: those of the URL, then those of a POST's body.

    As a mapping, a name gives a StringField, or a Field if it is an upload, or a list of
    them if there are several. Create it once in a request: it reads the whole body.

    Args:
        req: The request.
        keep_blank_values: Whether fields without a value count, in the URL and in
            urlencoded bodies; as "".
        strict_parsing: Whether malformed data are refused; else what is malformed is
            left out, and of a multipart body what came before it is kept.
        file_callback: Called with the file name of an upload; returns the binary file
            that it is to be written to, and that Field.file then is, rewound.
        field_callback: Called without arguments for other fields of a multipart body;
            returns a binary file that its value is written to as well.

    Attributes:
        list: All fields in order: StringField, or Field for uploads.

    Raises:
        SERVER_RETURN: HTTP_LENGTH_REQUIRED for a POST without Content-Length,
            HTTP_NOT_IMPLEMENTED for another type than forms have, HTTP_BAD_REQUEST
            for a multipart body without boundary or, with strict_parsing, malformed
            data, HTTP_REQUEST_ENTITY_TOO_LARGE where a limit (see docs/forms.md) is
            exceeded, HTTP_INSUFFICIENT_STORAGE or HTTP_INTERNAL_SERVER_ERROR where an
            upload could not be written.
        OSError: The body could not be read, as from req.read().
        ValueError: A mod_python.form option is no number.
    """

    def __init__(
        self,
        req: "apache.mp_request",
        keep_blank_values: int = 0,
        strict_parsing: int = 0,
        file_callback: FileCallback | None = None,
        field_callback: FieldCallback | None = None,
    ) -> None:
        self.list = FieldList()
        form = _FormReader(req, self.list, bool(keep_blank_values), bool(strict_parsing))
        try:
            form.read_url()
            if req.method == "POST":
                form.read_body(file_callback, field_callback)
        except FormTooLarge as error:
            req.log_error(f"KK0121: form refused: {error}", apache.APLOG_WARNING)
            raise apache.SERVER_RETURN(apache.HTTP_REQUEST_ENTITY_TOO_LARGE) from None
        except SpoolError as error:
            req.log_error(f"KK0122: form not read: {error}", apache.APLOG_ERR)
            status = apache.HTTP_INSUFFICIENT_STORAGE if error.is_full else apache.HTTP_INTERNAL_SERVER_ERROR
            raise apache.SERVER_RETURN(status) from None

    def add_field(self, name: str, value: Any) -> None:
        """Append a field: str, bytes, StringField, Field, or a list of them.

        Raises:
            TypeError: The value is something else.
        """
        self.list.extend(_make_fields(name, value))

    def get(self, name: str, default: Any = None) -> Any:
        """What form[name] gives; default if there is none."""
        try:
            return self[name]
        except KeyError:
            return default

    def getfirst(self, name: str, default: Any = None) -> Any:
        """The first field of a name; default if there is none."""
        return next((field for field in self.list if field.name == name), default)

    def getlist(self, name: str) -> list[StringField | Field]:
        """All fields of a name; may be empty."""
        return [field for field in self.list if field.name == name]

    def has_key(self, name: str) -> bool:
        """Whether there is a field of that name."""
        return name in self

    def clear(self) -> None:
        """Remove all fields."""
        self.list.clear()

    def keys(self) -> list[str]:  # type: ignore[override]  # a list, as it has always been
        """The names, each once."""
        return list(self)

    def items(self) -> list[tuple[str, StringField | Field]]:  # type: ignore[override]
        """A pair of name and field for each field, in order."""
        return [(field.name, field) for field in self.list]

    def values(self) -> list[StringField | Field]:  # type: ignore[override]
        """The fields, in order."""
        return list(self.list)

    def __getitem__(self, name: str) -> Any:
        found = self.getlist(name)
        if not found:
            raise KeyError(name)
        return found[0] if len(found) == 1 else found

    def __setitem__(self, name: str, value: Any) -> None:
        fields = _make_fields(name, value)
        self._remove(name)
        self.list.extend(fields)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self._remove(name)

    def __contains__(self, name: object) -> bool:
        return any(field.name == name for field in self.list)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(field.name for field in self.list))

    def __len__(self) -> int:
        return len({field.name for field in self.list})

    def __repr__(self) -> str:
        return f"FieldStorage({list(self.list)!r})"

    # Two forms are one only if they are the same object, as with other objects of a request.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def _remove(self, name: str) -> None:
        self.list[:] = [field for field in self.list if field.name != name]


def _make_fields(name: str, value: Any) -> list[StringField | Field]:
    """The fields that a program's value stands for."""
    if not isinstance(name, str):
        raise TypeError(f"a field's name must be str, not {type(name).__name__}")
    if isinstance(value, StringField | Field) and value.name == name:
        return [value]
    if isinstance(value, Field):
        options = value.disposition_options
        return [
            Field(
                name,
                value.file,
                value.type,
                value.type_options,
                value.disposition,
                options,
                value.headers,
            )
        ]
    if isinstance(value, str | bytes):
        return [StringField(value, name)]
    if isinstance(value, list | tuple):
        return [field for item in value for field in _make_fields(name, item)]
    raise TypeError(f"a field must be str, bytes, Field or a list of them, not {type(value).__name__}")


class _FormReader:
    """Reads the fields of one request into a list."""

    def __init__(
        self, req: "apache.mp_request", into: FieldList, keep_blank_values: bool, strict: bool
    ) -> None:
        self._req = req
        self._into = into
        self._keep_blank_values = keep_blank_values
        self._strict = strict
        self._limits = Limits.from_options(req.get_options().get)
        self._tally = Tally(self._limits)

    def read_url(self) -> None:
        """Adds the fields of the query string."""
        if self._req.args:
            self._add_urlencoded(self._req.args, "the query string")

    def read_body(self, file_callback: FileCallback | None, field_callback: FieldCallback | None) -> None:
        """Adds the fields of the body."""
        headers = self._req.headers_in
        length = headers.get("Content-Length")
        if length is None:
            self._refuse(apache.HTTP_LENGTH_REQUIRED, "a POST without Content-Length")
        if not (length.isascii() and length.isdecimal()):
            self._refuse(apache.HTTP_BAD_REQUEST, f"Content-Length {length!a}")
        # Before anything is read; a filter may still make more of it.
        Tally(self._limits).body(int(length))
        content_type, options = parse_header(headers.get("Content-Type") or _URLENCODED)
        if content_type == _URLENCODED:
            self._read_urlencoded(int(length))
        elif content_type.startswith("multipart/"):
            self._read_multipart(options.get("boundary", ""), file_callback, field_callback)
        else:
            self._refuse(apache.HTTP_NOT_IMPLEMENTED, f"a form of type {content_type!a}")

    def _refuse(self, status: int, what: str) -> NoReturn:
        self._req.log_error(f"KK0120: form refused: {what}", apache.APLOG_INFO)
        raise apache.SERVER_RETURN(status)

    def _read_urlencoded(self, length: int) -> None:
        Tally(self._limits).text(length)
        limit = self._limits.max_text_size
        content = self._req.read(limit + 1 if limit else -1)
        self._tally.body(len(content))
        self._tally.text(len(content))
        if content:
            self._add_urlencoded(content.decode("utf-8", "surrogateescape"), "the body")

    def _add_urlencoded(self, text: str, where: str) -> None:
        self._tally.fields(text.count("&") + 1)
        try:
            pairs = parse_qsl(text, self._keep_blank_values, self._strict, errors="surrogateescape")
        except ValueError as error:
            self._refuse(apache.HTTP_BAD_REQUEST, f"{where} is malformed: {error}")
        for name, value in pairs:
            self._tally.text(0, len(value))
            self._into.append(StringField(value, name))

    def _read_multipart(
        self, boundary: str, file_callback: FileCallback | None, field_callback: FieldCallback | None
    ) -> None:
        try:
            reader = MultipartReader(boundary, self._tally, self._strict, file_callback, field_callback)
        except MalformedForm as error:
            self._refuse(apache.HTTP_BAD_REQUEST, f"boundary {boundary!a}: {error}")
        try:
            reader.read(self._req.read, self._into)
        except MalformedForm as error:
            if self._strict:
                reader.close()
                self._refuse(apache.HTTP_BAD_REQUEST, f"the body is malformed: {error}")
            self._req.log_error(
                f"KK0120: form read in part: the body is malformed: {error}", apache.APLOG_INFO
            )
        except BaseException:
            reader.close()
            raise
