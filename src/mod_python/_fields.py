"""The fields of a form: what they are once they have been read.

Nothing here knows of requests, and nothing reads from a client.
"""

import io
import re
from typing import IO, Any, Self

__all__ = ["Field", "FieldList", "StringField", "parse_header"]

_PARAMETER = re.compile(r';\s*([^\s=;]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)', re.DOTALL)
_QUOTED_PAIR = re.compile(r'\\([\\"])')


def parse_header(line: str) -> tuple[str, dict[str, str]]:
    """Take apart a header such as Content-Type: the value, and its parameters.

    Args:
        line: What follows the header's name and colon.

    Returns:
        The lower-cased value, and a dict of lower-cased names to unquoted values; the
        first of several of one name. What is no parameter is left out. RFC 9110, 5.6.6.
    """
    value, _, _ = line.partition(";")
    options: dict[str, str] = {}
    for name, text in _PARAMETER.findall(line, len(value)):
        text = text.strip()
        if len(text) > 1 and text[0] == text[-1] == '"':
            text = _QUOTED_PAIR.sub(r"\1", text[1:-1])
        options.setdefault(name.lower(), text)
    return value.strip().lower(), options


class StringField(str):
    """The value of a field that is no upload: a str, with the attributes of a Field
    (manual, 4.6.1).

    Bytes are taken for UTF-8; those that are none become surrogates, so that
    `field.encode("utf-8", "surrogateescape")` gives back what the client sent.

    Attributes:
        name: The field's name.
        filename: None.
        type: The content type that the client gave, else "text/plain".
        type_options, disposition, disposition_options, headers: As Field has them.
    """

    name: str
    filename: None
    type: str
    type_options: dict[str, str]
    disposition: str | None
    disposition_options: dict[str, str]
    headers: dict[str, str]
    _file: IO[Any] | None

    def __new__(cls, value: str | bytes = "", name: str = "", file: IO[Any] | None = None) -> Self:
        text = value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
        self = super().__new__(cls, text)
        self.name = name
        self.filename = None
        self.type = "text/plain"
        self.type_options = {}
        self.disposition = None
        self.disposition_options = {}
        self.headers = {}
        self._file = file
        return self

    @property
    def value(self) -> str:
        """The str itself, as Field has it too."""
        return str(self)

    @property
    def file(self) -> IO[Any]:
        """A StringIO to read the value from; with `field_callback` the file it gave."""
        if self._file is None:
            self._file = io.StringIO(str(self))
        return self._file

    def __repr__(self) -> str:
        return f"Field({self.name!r}, {str(self)!r})"


class Field:
    """An upload (manual, 4.6.2).

    Attributes:
        name: The input's name.
        file: A binary file with the content, at its beginning; a temporary one, which
            has no name on disk and goes with the object, unless `file_callback` gave it.
        filename: The name that the client gave the file: not to be trusted as a path.
            It is "" if the form was sent without one chosen.
        type: The content type that the client gave, lower-cased, else "text/plain".
        type_options: The parameters of that header, such as `charset`.
        disposition: "form-data", or what else the part's Content-Disposition begins with.
        disposition_options: The parameters of that header.
        headers: All headers of the part; the names are written Like-This.
    """

    def __init__(
        self,
        name: str,
        file: IO[bytes] | None = None,
        type: str = "text/plain",
        type_options: dict[str, str] | None = None,
        disposition: str | None = None,
        disposition_options: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self.file: IO[bytes] = io.BytesIO() if file is None else file
        self.type = type
        self.type_options = {} if type_options is None else type_options
        self.disposition = disposition
        self.disposition_options = {} if disposition_options is None else disposition_options
        self.headers = {} if headers is None else headers
        self.filename: str | None = self.disposition_options.get("filename")

    @property
    def value(self) -> bytes:
        """The whole content, read into memory; the file is at its beginning again."""
        self.file.seek(0)
        content = self.file.read()
        self.file.seek(0)
        return content

    def __repr__(self) -> str:
        return f"Field({self.name!r}, filename={self.filename!r})"


class FieldList(list[StringField | Field]):
    """The fields of a form, in the order they came in."""

    def table(self) -> dict[str, list[StringField | Field]]:
        """The fields by name: a dict of lists, made of what is in the list now."""
        table: dict[str, list[StringField | Field]] = {}
        for field in self:
            table.setdefault(field.name, []).append(field)
        return table
