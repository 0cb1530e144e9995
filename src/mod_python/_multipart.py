"""From the body of a request to the fields of a form.

Taking multipart bodies apart is the work of the `multipart` package; here is what a
server adds: limits, temporary files, and what is done about bodies that are malformed.
Bytes come from a function like `req.read`, so nothing here knows of requests.

    Exception
     +-- FormError
          +-- MalformedForm    the client has sent what is no form
          +-- FormTooLarge     a limit was exceeded
          +-- SpoolError       a temporary file could not be written
"""

import contextlib
import errno
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import IO, TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote

from mod_python import _beside
from mod_python._fields import Field, FieldList, StringField, parse_header

if TYPE_CHECKING:
    from multipart import (  # type: ignore[import-untyped]
        MultipartError,
        MultipartSegment,
        ParserLimitReached,
        PushMultipartParser,
    )
else:
    multipart = _beside.load("multipart")
    MultipartError = multipart.MultipartError
    MultipartSegment = multipart.MultipartSegment
    ParserLimitReached = multipart.ParserLimitReached
    PushMultipartParser = multipart.PushMultipartParser

__all__ = [
    "BLOCK",
    "FormError",
    "FormTooLarge",
    "Limits",
    "MalformedForm",
    "MultipartReader",
    "SpoolError",
    "Tally",
]

#: Bytes read at a time. With 64 KiB an upload takes a third longer, with 1 MiB as long.
BLOCK = 1 << 18

#: Headers that a part may have; RFC 7578 knows three.
MAX_HEADERS = 16

PREFIX = "mod_python.form."

FileCallback = Callable[[str], IO[bytes]]
FieldCallback = Callable[[], IO[bytes]]


class FormError(Exception):
    """A form that could not be read."""


class MalformedForm(FormError):
    """The client has sent what is no form; the text says what is wrong."""


class FormTooLarge(FormError):
    """A limit was exceeded; the text says which."""

    def __init__(self, what: str, option: str, limit: int) -> None:
        super().__init__(f"{what}: PythonOption {PREFIX}{option} is {limit}")


class SpoolError(FormError):
    """A temporary file could not be written.

    Attributes:
        is_full: There is no room left where it was written to.
    """

    def __init__(self, directory: str, error: OSError) -> None:
        super().__init__(f"an upload cannot be kept in {directory}: {error}")
        self.is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Limits:
    """How large a form may be. The unit of sizes is the byte; a maximum of 0 is none.

    Each is an option, `mod_python.form.` and its name.
    """

    #: The whole body. Apache's LimitRequestBody holds first: 1 GiB unless it is set.
    max_body_size: int = 0
    #: Fields, those of the URL and uploads included.
    max_fields: int = 1000
    #: Uploads: each may need a file descriptor, of which a process has few.
    max_uploads: int = 100
    #: The value of one field that is no upload.
    max_field_size: int = 4 << 20
    #: All that is kept in memory: values of fields that are no uploads, and the headers
    #: of all parts; a urlencoded body as it was sent.
    max_text_size: int = 8 << 20
    #: One header of a part: as Apache's LimitRequestFieldSize.
    max_header_size: int = 8190
    #: What is larger goes to a temporary file.
    spool_size: int = 65536
    #: Where temporary files are; "" is Python's choice, which TMPDIR decides.
    directory: str = ""

    @classmethod
    def from_options(cls, get: Callable[[str], str | None]) -> "Limits":
        """Limits as PythonOption sets them; get() gives an option's value.

        Raises:
            ValueError: A value is no number, or negative.
        """
        given: dict[str, Any] = {}
        for field in fields(cls):
            value = get(PREFIX + field.name)
            if value is None:
                continue
            if field.name == "directory":
                given[field.name] = value
            elif value.isascii() and value.isdecimal():
                given[field.name] = int(value)
            else:
                raise ValueError(
                    f"PythonOption {PREFIX}{field.name} must be a number from 0 up, not '{value}'"
                )
        return cls(**given)


class Tally:
    """What a form has had so far, compared with its limits."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._fields = 0
        self._uploads = 0
        self._text = 0
        self._body = 0

    def _check(self, count: int, option: str, what: str) -> None:
        limit: int = getattr(self.limits, option)
        if limit and count > limit:
            raise FormTooLarge(f"{count} {what}", option, limit)

    def body(self, size: int) -> None:
        """So many bytes more of the body."""
        self._body += size
        self._check(self._body, "max_body_size", "bytes or more of form data")

    def fields(self, count: int = 1) -> None:
        """So many fields more."""
        self._fields += count
        self._check(self._fields, "max_fields", "fields or more in one form")

    def upload(self) -> None:
        """One upload more."""
        self._uploads += 1
        self._check(self._uploads, "max_uploads", "uploads or more in one form")

    def text(self, size: int, field_size: int = 0) -> None:
        """So many bytes more to be kept in memory; in one field field_size so far."""
        self._text += size
        self._check(self._text, "max_text_size", "bytes or more in values and headers")
        self._check(field_size, "max_field_size", "bytes or more in one field")


class _Parser(PushMultipartParser):  # type: ignore[misc]
    """Takes parts that have another Content-Disposition than a form's, or none."""

    def _on_segment_headerline(self, line: bytes) -> None:
        # Otherwise it would be one only where a block ends behind it.
        if b"\n" in line:
            raise MultipartError("Invalid line break in segment header")
        super()._on_segment_headerline(line)

    def _create_segment(self, headerlist: list[tuple[str, str]]) -> MultipartSegment:
        return MultipartSegment(headerlist)


def _text(value: str) -> str:
    """What a client meant by text of a header, which the parser reads as ISO-8859-1."""
    return value if value.isascii() else value.encode("latin-1").decode("utf-8", "surrogateescape")


def _extended(value: str) -> str | None:
    """The value of a parameter such as filename*; None if it is malformed. RFC 8187, 3.2."""
    charset, _, rest = value.partition("'")
    _, quote, quoted = rest.partition("'")
    if not quote or charset.lower() not in ("utf-8", "iso-8859-1"):
        return None
    return unquote(quoted, charset, "surrogateescape")


class _Part:
    """What a part's headers say."""

    def __init__(self, segment: MultipartSegment) -> None:
        self.headers = {name: _text(value) for name, value in segment.headerlist}
        self.type, self.type_options = parse_header(self.headers.get("Content-Type", "text/plain"))
        disposition, options = parse_header(self.headers.get("Content-Disposition", ""))
        self.disposition = disposition or None
        self.disposition_options = options
        # The parser knows how browsers quote these two; RFC 8187's way is for headers of
        # HTTP, not for these, but some clients use it.
        for name, value in (("name", segment.name), ("filename", segment.filename)):
            if value is not None:
                options[name] = _text(value)
            elif f"{name}*" in options:
                decoded = _extended(options[f"{name}*"])
                if decoded is not None:
                    options[name] = decoded

    @property
    def filename(self) -> str | None:
        return self.disposition_options.get("filename")

    def field(self, file: IO[bytes]) -> Field:
        """The upload whose content is in a file."""
        return Field(
            self.disposition_options.get("name", ""),
            file,
            self.type,
            self.type_options,
            self.disposition,
            self.disposition_options,
            self.headers,
        )

    def string_field(self, content: bytes, file: IO[bytes] | None) -> StringField:
        """The field with a value, which may have been written to a file too."""
        field = StringField(content, self.disposition_options.get("name", ""), file)
        field.type = self.type
        field.type_options = self.type_options
        field.disposition = self.disposition
        field.disposition_options = self.disposition_options
        field.headers = self.headers
        return field


class _Upload:
    """A part that becomes a Field."""

    def __init__(self, part: _Part, file: IO[bytes]) -> None:
        self._part = part
        self._file = file

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def finish(self) -> Field:
        self._file.seek(0)
        return self._part.field(self._file)


class _SpooledFile(tempfile.SpooledTemporaryFile[bytes]):
    """A file in memory that moves to disk when it grows. There it has no name, so that
    nothing is left of it however the process ends.

    It may go without having been closed: programs have never had to close uploads.
    """

    def __init__(self, max_size: int, directory: str) -> None:
        super().__init__(max_size, dir=directory)
        if max_size == 0:  # "never" to the base class
            self.rollover()

    def __del__(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # it may be half made
            self.close()


class _SpooledUpload(_Upload):
    """The same, in a temporary file, which may fail for want of room."""

    def __init__(self, part: _Part, limits: Limits) -> None:
        self._directory = limits.directory or tempfile.gettempdir()
        try:
            file = _SpooledFile(limits.spool_size, self._directory)
        except OSError as error:
            self._fail(error)
        super().__init__(part, file)

    def _fail(self, error: OSError) -> NoReturn:
        raise SpoolError(self._directory, error) from error

    def write(self, data: bytes) -> None:
        try:
            super().write(data)
        except OSError as error:
            self._fail(error)

    def finish(self) -> Field:
        try:
            return super().finish()
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        """Lets go of the disk; what could not be written there cannot be flushed either."""
        with contextlib.suppress(OSError):
            self._file.close()


class _Text:
    """A part that becomes a StringField."""

    def __init__(self, part: _Part, tally: Tally, file: IO[bytes] | None) -> None:
        self._part = part
        self._tally = tally
        self._file = file
        self._pieces: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        self._size += len(data)
        self._tally.text(len(data), self._size)
        self._pieces.append(data)
        if self._file is not None:
            self._file.write(data)

    def finish(self) -> StringField:
        if self._file is not None:
            self._file.seek(0)
        return self._part.string_field(b"".join(self._pieces), self._file)


class MultipartReader:
    """Reads the fields of a multipart body (RFC 7578) into a list.

    Args:
        boundary: As the Content-Type has it.
        tally: What the form has had so far.
        strict: Whether parts without a name are an error.
        file_callback: Called with an upload's file name; the file to write it to.
        field_callback: Called for another field; a file to write it to as well.
    """

    def __init__(
        self,
        boundary: str,
        tally: Tally,
        strict: bool,
        file_callback: FileCallback | None = None,
        field_callback: FieldCallback | None = None,
    ) -> None:
        self._tally = tally
        self._strict = strict
        self._file_callback = file_callback
        self._field_callback = field_callback
        self._part: _Upload | _Text | None = None
        self._open: list[_SpooledUpload] = []
        try:
            # The parser's own strict mode would refuse folded headers, and what may stand
            # before and behind the parts, some of it depending on where a block ends.
            self._parser = _Parser(
                boundary.encode("latin-1"),
                max_header_size=tally.limits.max_header_size or float("inf"),
                max_header_count=MAX_HEADERS,
                header_charset="latin-1",  # which cannot fail; see _text()
            )
        except (MultipartError, UnicodeError) as error:
            raise MalformedForm(str(error)) from None

    def read(self, read: Callable[[int], bytes], into: FieldList) -> None:
        """Read to the end of the body.

        Args:
            read: Gives at most so many bytes, b"" at the end.
            into: Fields are added here, as they are complete; after MalformedForm the
                one that was not is the last.

        Raises:
            MalformedForm: It breaks off, or is malformed from some place on.
            FormTooLarge: It exceeds a limit.
            SpoolError: A temporary file could not be written.
        """
        try:
            while block := read(BLOCK):
                self._tally.body(len(block))
                self._parse(block, into)
            self._parser.close()
        except ParserLimitReached as error:
            limit = self._tally.limits.max_header_size
            raise FormTooLarge(
                f"{error}; a part may have {MAX_HEADERS} headers", "max_header_size", limit
            ) from None
        except MultipartError as error:
            self._finish(into)
            raise MalformedForm(str(error)) from None

    def close(self) -> None:
        """Lets go of all temporary files."""
        for upload in self._open:
            upload.close()

    def _parse(self, block: bytes, into: FieldList) -> None:
        for event in self._parser.parse(block):
            if event is None:
                self._finish(into)
            elif isinstance(event, bytes):
                assert self._part is not None
                self._part.write(event)
            else:
                self._part = self._begin(_Part(event))

    def _begin(self, part: _Part) -> _Upload | _Text:
        """What takes the content of a part."""
        if self._strict and (part.disposition != "form-data" or "name" not in part.disposition_options):
            raise MalformedForm("a part is no form-data with a name")
        self._tally.fields()
        self._tally.text(sum(len(name) + len(value) for name, value in part.headers.items()))
        if part.filename is None:
            file = self._field_callback() if self._field_callback else None
            return _Text(part, self._tally, file)
        self._tally.upload()
        # Without a file name there is no file: none was chosen in the form.
        if self._file_callback and part.filename:
            return _Upload(part, self._file_callback(part.filename))
        upload = _SpooledUpload(part, self._tally.limits)
        self._open.append(upload)
        return upload

    def _finish(self, into: FieldList) -> None:
        if self._part is not None:
            part, self._part = self._part, None
            into.append(part.finish())
