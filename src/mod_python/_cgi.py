"""One run of a CGI script: what it is given of a request, and what it answers (RFC 3875)."""

import _io
import builtins
import contextlib
import functools
import gc
import io
import itertools
import os
import re
import sys
import tempfile
from sys import getrefcount
from types import CodeType, ModuleType
from typing import IO, TYPE_CHECKING, Any, TextIO
from urllib.parse import unquote

from mod_python import _errors, _importer, _script, _script_modules, apache
from mod_python._script import ENCODING, ON_ERROR, Script, current

if TYPE_CHECKING:
    from _apache import mp_request
    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = ["Run", "begin", "end_current"]

#: Bytes of a response's header; many times what browsers take.
MOST_HEADER = 65536

#: Bytes moved at a time.
BLOCK = 65536

#: Of the garbage collections at the ends of scripts, every which is a full one.
FULL_COLLECTION = 128
_collections = itertools.count(1)

_STATUS_LINE = re.compile(rb"\AHTTP/\d\.\d(?=[ \t])")

#: What `__main__` has at first: as ModuleType() gives it, in one step; and `__file__`.
_MAIN = {**vars(ModuleType("__main__")), "__file__": None, "__builtins__": builtins}

_SYS = vars(sys)

# Bound here once: each call of what is imported would do it anew.
_current_script = current.get
_set_current = current.set
_enter_directory = apache._enter_directory
_leave_directory = apache._leave_directory

_split = functools.lru_cache(1024)(os.path.split)


class _Body(io.RawIOBase):
    """The request's body, as a file."""

    def __init__(self, req: "mp_request") -> None:
        self._req = req
        self._file: IO[bytes] | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        data = self._read(len(view)) if self._file is None else os.read(self._file.fileno(), len(view))
        view[: len(data)] = data
        return len(data)

    def fileno(self) -> int:
        """A descriptor, of a temporary file that the rest of the body is put into."""
        if self._file is None:
            file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
            while data := self._read(BLOCK):
                file.write(data)
            file.seek(0)
            self._file = file
        return self._file.fileno()

    def _read(self, size: int) -> bytes:
        before = current.set(None)  # input filters are not the script's
        try:
            return self._req.read(size)
        finally:
            current.reset(before)


class _Response:
    """What a script prints: a header, and what goes to the client as it comes."""

    __slots__ = (
        "_file", "_file_end", "_header", "_is_in_body", "_is_raw", "_is_unsent", "_req",
        "is_broken", "is_ending", "is_over", "location", "status",
    )  # fmt: skip

    def __init__(self, req: "mp_request", is_raw: bool) -> None:
        """
        Args:
            req: The request.
            is_raw: The script sends a status line itself, and all of the header.
        """
        self._req = req
        self._is_raw = is_raw
        self._header = b""
        self._file: IO[bytes] | None = None
        self._file_end = 0
        self._is_in_body = False
        self._is_unsent = False
        #: Its header was none.
        self.is_broken = False
        #: Nothing more is wanted of it.
        self.is_over = False
        #: Its end goes with what is unsent: flush() need not.
        self.is_ending = False
        #: What to answer with instead; 0: with what it prints.
        self.status = 0
        #: The path of this server to answer with instead.
        self.location: str | None = None

    def write(self, data: "ReadableBuffer") -> int:
        """Take the next bytes.

        Raises:
            OSError: The client has gone, or no response can become of it.
        """
        if self._file is not None:
            self._send_file(self._file)
        return self._write(data)

    def _write(self, data: "ReadableBuffer") -> int:
        size = len(data) if isinstance(data, bytes) else memoryview(data).nbytes
        if self._is_in_body and not self.is_over:
            if not self._req._gather(data):
                before = current.set(None)  # output filters are not the script's
                try:
                    self._req.write(data, 0)
                finally:
                    current.reset(before)
            self._is_unsent = True
        elif self.is_broken:
            raise BrokenPipeError("the header printed before was malformed")
        elif not self.is_over:
            self._header = self._header + data if self._header else bytes(data)
            self._look_for_end()
        return size

    def flush(self) -> None:
        """Send what there is of the body to the client."""
        if self._file is not None:
            self._send_file(self._file)
        if self._is_unsent and not (self.is_over or self.is_ending):
            self._is_unsent = False
            before = current.set(None)
            try:
                self._req.flush()
            finally:
                current.reset(before)

    def fileno(self) -> int:
        """A descriptor, of a temporary file: what is written to it goes out at the next write()
        or flush(), and at the end."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
            self._file_end = 0
        return self._file.fileno()

    def _send_file(self, file: IO[bytes]) -> None:
        while data := os.pread(file.fileno(), BLOCK, self._file_end):
            self._file_end += len(data)
            self._write(data)

    def finish(self) -> None:
        """The script has ended."""
        if self._file is not None:
            self._send_file(self._file)
        if not (self._is_in_body or self.is_over):
            shown = f": '{self._header[-100:].decode('ascii', 'backslashreplace')}'" if self._header else ""
            self._fail(
                f"KK0141: {self._req.filename} ended before its header did{shown}: "
                "print an empty line behind the header"
            )
        self.is_over = True

    def abandon(self) -> None:
        """The script has failed: what it prints from now on is ignored."""
        self.is_over = True

    def _look_for_end(self) -> None:
        data = self._header
        if self._is_raw and self._req._send_raw():
            size = 0
        else:
            if self._is_raw:
                data = _STATUS_LINE.sub(b"Status:", data)
            size = self._take_header(data)
            if size < 0:
                return
        self._header = b""
        self._is_in_body = True
        if len(data) > size:
            self._write(data[size:])

    def _take_header(self, data: bytes) -> int:
        """The header's bytes, once it has ended and the body behind it is to be sent; or -1."""
        try:
            found = self._req._scan_header(data)
        except ValueError as error:
            self._malformed(str(error))
            return -1
        if found is None:
            if len(data) > MOST_HEADER:
                self._malformed(f"it is longer than {MOST_HEADER} bytes")
            return -1
        size, self.status, location = found
        if location is not None and not self.status:
            if location.startswith("/"):
                self.location = location
            else:
                self.status = apache.HTTP_MOVED_TEMPORARILY
        self.is_over = self.status != 0 or self.location is not None
        return -1 if self.is_over else size

    def _malformed(self, reason: str) -> None:
        self.is_broken = True
        self._fail(f"KK0140: malformed header from script {self._req.filename}: {reason}")

    def _fail(self, message: str) -> None:
        self._req.log_error(message, apache.APLOG_ERR)
        self.status = apache.HTTP_INTERNAL_SERVER_ERROR
        self.is_over = True


class _ResponseFile(io.BufferedIOBase):
    """The response as a file: sys.stdout.buffer."""

    def __init__(self, response: _Response) -> None:
        self._response = response

    def writable(self) -> bool:
        return True

    def write(self, data: "ReadableBuffer") -> int:
        return self._response.write(data)

    def flush(self) -> None:
        self._response.flush()

    def fileno(self) -> int:
        return self._response.fileno()


def _arguments(req: "mp_request") -> list[str]:
    """sys.argv: with the words of a search, if the query is one (RFC 3875, 4.4)."""
    words = req.args
    if not words or "=" in words or req.method not in ("GET", "HEAD"):
        return [req.filename or ""]
    return [req.filename or "", *(unquote(word, errors="surrogateescape") for word in words.split("+"))]


class Run(Script):
    """A script between its beginning and its end, in the thread that made this."""

    __slots__ = ("_before", "_file", "_is_raw", "_place", "_req", "_response")

    def __init__(self, req: "mp_request", file: str) -> None:
        """
        Args:
            req: The request.
            file: Its filename.
        """
        directory, name = _split(file)
        self._req = req
        self._file = file
        self._is_raw = name.startswith("nph-")
        #: None while nobody has asked for `output`.
        self._response: _Response | None = None
        self._before = _current_script()
        path = _SYS["path"] if self._before is None else sys.path
        Script.__init__(self, [directory, *_importer.path_without_handlers(path)])
        self._place: object | None = _enter_directory(directory)
        _set_current(self)

    @property
    def output(self) -> _Response:
        """Where what is printed goes."""
        if self._response is None:
            made = _Response(self._req, self._is_raw)
            if self._response is None:  # by another thread meanwhile
                self._response = made
            if self._place is None:  # the script is over: see _leave()
                self._response.abandon()
        return self._response

    def _make_argv(self) -> list[str]:
        return _arguments(self._req)

    def _make_environ(self) -> dict[str, str]:
        return self._req._cgi_environ()

    def _open_stdin(self) -> TextIO:
        return io.TextIOWrapper(io.BufferedReader(_Body(self._req)), ENCODING, ON_ERROR)

    def _open_stdout(self) -> TextIO:
        buffer: Any = _ResponseFile(self.output)
        return io.TextIOWrapper(buffer, ENCODING, ON_ERROR, "\n")

    def execute(self, code: CodeType) -> None:
        """Run a script's code as `__main__`.

        Raises:
            Exception: What the script did not catch, unless its own sys.excepthook did.
        """
        main = ModuleType.__new__(ModuleType)
        namespace = main.__dict__
        namespace.update(_MAIN)
        namespace["__file__"] = self._file
        self.namespace = namespace
        self.modules["__main__"] = main
        try:
            exec(code, namespace)
        except SystemExit as error:
            if error.code is not None and not isinstance(error.code, int):
                print(error.code, file=sys.stderr)
        except BrokenPipeError:
            if not self.output.is_broken:
                raise
        except BaseException as error:
            if self.excepthook is None or self._req.connection.aborted:
                raise
            self._req.log_error(f"KK0142: {_errors.describe(error)}", apache.APLOG_ERR)
            self.excepthook(type(error), error, error.__traceback__)

    def end(self) -> int:
        """The script has come to its end: what it printed is sent.

        Returns:
            The status for Apache.

        Raises:
            OSError: The client has gone.
        """
        try:
            self._finish()
            status = self._answer_at_once()
            if status is None:
                self._end_output()
        finally:
            self._leave()
        if status is not None:
            return status
        response = self.output
        if response.location is not None:
            self._req._redirect_locally(response.location)
        return response.status

    def _answer_at_once(self) -> int | None:
        """Answer with what was printed, where nothing else was done for a response, as in most
        scripts: the status for Apache. None: that is left to _end_output()."""
        printed = self.printed
        if not printed or self._response is not None or self._is_raw:
            return None
        status = self._req._answer(b"".join(printed))
        if status is not None:
            self.printed = None
        return status

    def _end_output(self) -> None:
        """Write what was printed last, and end the response."""
        response = self.output
        response.is_ending = True
        for stream in self._streams():
            self._flush(stream)
        printed = self._end_printing()
        try:
            if printed:
                response.write(printed)
            response.finish()
        except BrokenPipeError:
            if not response.is_broken:
                raise

    def _flush(self, stream: Any) -> None:
        try:
            stream.flush()
        except (AttributeError, ValueError):
            pass  # the script has put anything there, or closed it
        except BrokenPipeError:
            if not self.output.is_broken:
                raise

    def fail(self) -> None:
        """The script has raised an exception, which decides what is answered."""
        self.output.abandon()
        try:
            self._finish()
        finally:
            self._leave()

    def _leave(self) -> None:
        """Have everything be as it was before."""
        place = self._place
        if place is None:
            return
        self._place = None
        if self._response is not None:
            self._response.abandon()
        _set_current(self._before)
        _leave_directory(place)
        self.namespace = None
        if len(self.modules) > 1:
            _script_modules.release(self)
        _forget(self.modules)


def _forget(modules: dict[str, ModuleType]) -> None:
    """Let go of a script's modules, and of what they hold: files to be closed, locks."""
    main = modules.pop("__main__", None)
    if main is not None and not modules:
        namespaces, main = [main.__dict__], None
        if getrefcount(namespaces[0]) == 2:
            return  # nothing in it refers to it: it goes now
    else:
        namespaces = [vars(module) for module in (main, *modules.values()) if module is not None]
        main = None
        modules.clear()
    _flush_files(namespaces)
    namespaces.clear()
    # What is younger than the run; the collections of others that ran at once may have made
    # it older than that.
    gc.collect(1 if next(_collections) % FULL_COLLECTION else 2)


def _flush_files(namespaces: list[dict[str, Any]]) -> None:
    """In cycles the garbage collector may close first what is beneath a file."""
    for namespace in namespaces:
        for value in list(namespace.values()):
            if isinstance(value, _io._IOBase):
                with contextlib.suppress(Exception):
                    value.flush()


def begin(req: "mp_request") -> tuple[Any, Any, Any]:
    """apache.setup_cgi()."""
    Run(req, req.filename or "")
    return (os.environ, *_script.shared_streams())


def end_current() -> int:
    """Run.end() of the calling thread's script.

    Raises:
        RuntimeError: There is none.
    """
    run = current.get()
    if not isinstance(run, Run):
        raise RuntimeError("restore_nocgi() without setup_cgi() before it in this thread")
    return run.end()


_script.install()
_script_modules.install()
