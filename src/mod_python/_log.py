"""print(), sys.stderr and logging reach Apache's error log, under the current request."""

import io
import sys
import threading
from typing import TYPE_CHECKING

import _apache

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["LogStream", "redirect_streams"]


class _Bytes(io.BufferedIOBase):
    """The same for bytes."""

    def __init__(self, stream: "LogStream") -> None:
        super().__init__()
        self._stream = stream

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, data: "ReadableBuffer") -> int:
        """Log every complete line; bytes that are no UTF-8 are written as \\x and two digits."""
        view = memoryview(data)
        self._stream.write(str(view, self._stream.encoding, self._stream.errors))
        return view.nbytes

    def flush(self) -> None:
        """Log what is kept."""
        self._stream.flush()

    def close(self) -> None:
        """Do nothing: others write to it, too."""


class LogStream(io.TextIOBase):
    """A text stream whose lines become records of the error log.

    A line is kept until its end, or flush(), so that it is one record; each
    thread has its own.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, level: int) -> None:
        super().__init__()
        self._level = level
        self._pending = threading.local()
        #: What takes bytes.
        self.buffer = _Bytes(self)

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, text: str) -> int:
        """Log every complete line of text; keep the rest."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        lines = (getattr(self._pending, "text", "") + text).split("\n")
        self._pending.text = lines.pop()
        for line in lines:
            if line:
                _apache._log(line, self._level)
        return len(text)

    def flush(self) -> None:
        """Log what is kept."""
        text = getattr(self._pending, "text", "")
        if text:
            self._pending.text = ""
            _apache._log(text, self._level)


def redirect_streams() -> None:
    """Have sys.stdout and sys.stderr of this interpreter write to the error log."""
    # ERR: the least that the default LogLevel lets through, and what is printed is
    # meant to be seen.
    sys.stdout = LogStream(_apache.APLOG_ERR)
    sys.stderr = LogStream(_apache.APLOG_ERR)
