"""What a CGI script has of its own, while others run in other threads.

A script takes the environment, the standard streams, sys.argv, sys.path and
sys.excepthook to be its process's. Here they are the script's: what `os` and `sys`
have under these names is a proxy, or a property of the module `sys`, and asks which
script the calling context belongs to (a ContextVar, so that coroutines know it too;
a thread inherits it from the one that starts it). Outside of scripts everything is
as it was.
"""

import atexit
import contextvars
import functools
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from types import ModuleType
from typing import Any, Protocol, TextIO

__all__ = ["Known", "Script", "current", "install", "shared_streams"]

#: The script that the calling context belongs to.
current: contextvars.ContextVar["Script | None"] = contextvars.ContextVar("script", default=None)

# What Python has for the streams of a process in the locale of C.
ENCODING = "utf-8"
ON_ERROR = "surrogateescape"

_SYS = vars(sys)

_making_lock = threading.RLock()

#: Bytes that are kept until more is printed; as io.TextIOWrapper does.
MOST_PRINTED = 8192

# In place of a sys.stdout.
_UNASSIGNED: Any = object()


#: A sys.path, names that are no module of a script's with that, and since when: see _script_modules.
Known = tuple[list[str], set[str], float]


class Output(Protocol):
    """Where a script's response goes."""

    def fileno(self) -> int:
        """A descriptor for it, for child processes."""

    def write(self, data: bytes) -> int:
        """Take the next bytes."""


class Script:
    """One run of a script.

    What it need not have, as it may never ask for it, is made when it first does.
    """

    __slots__ = (
        "_argv", "_environ", "_first_stdin", "_first_stdout", "_importing", "_stdin", "_stdout", "excepthook",
        "exits", "first_stderr", "known", "modules", "namespace", "path", "printed", "printed_size",
        "stderr", "threads",
    )  # fmt: skip

    def __init__(self, path: list[str]) -> None:
        """
        Args:
            path: sys.path.
        """
        self._environ: dict[str, str] | None = None
        self._argv: Any = None
        self.path: Any = path
        # sys.__stdin__ and sys.__stdout__, once somebody has asked for them, and what the
        # script has assigned to sys.stdin and sys.stdout.
        self._first_stdin: Any = None
        self._stdin: Any = None
        self._first_stdout: Any = None
        self._stdout: Any = _UNASSIGNED
        #: What is printed before anybody asks for sys.stdout; None from then on. Its bytes.
        self.printed: list[bytes] | None = []
        self.printed_size = 0
        #: The log.
        self.first_stderr = self.stderr = _SYS["stderr"].outside
        #: None: as outside.
        self.excepthook: Any = None
        #: Its own modules by name, and what is none of them: see _script_modules.
        self.modules: dict[str, ModuleType] = {}
        #: Of `__main__`.
        self.namespace: dict[str, Any] | None = None
        self.known: Known | None = None
        self._importing: Any = None
        self.threads: list[threading.Thread] = []
        self.exits: list[Callable[[], object]] = []

    def _make_argv(self) -> list[str]:
        """What sys.argv is at first."""
        raise NotImplementedError

    def _make_environ(self) -> dict[str, str]:
        """What os.environ is at first."""
        raise NotImplementedError

    def _open_stdin(self) -> TextIO:
        """What sys.stdin is at first."""
        raise NotImplementedError

    def _open_stdout(self) -> TextIO:
        """What sys.stdout is at first; it ends in `output`."""
        raise NotImplementedError

    @property
    def output(self) -> Output:
        """What sys.stdout ends in."""
        raise NotImplementedError

    @property
    def argv(self) -> Any:
        """sys.argv."""
        if self._argv is None:
            self._argv = self._make_argv()
        return self._argv

    @argv.setter
    def argv(self, value: Any) -> None:
        self._argv = value

    @property
    def environ(self) -> dict[str, str]:
        """os.environ."""
        if self._environ is None:
            self._environ = self._make_environ()
        return self._environ

    @property
    def first_stdin(self) -> Any:
        """sys.__stdin__."""
        if self._first_stdin is None:
            self._first_stdin = self._open_stdin()
        return self._first_stdin

    @property
    def stdin(self) -> Any:
        """sys.stdin."""
        return self.first_stdin if self._stdin is None else self._stdin

    @stdin.setter
    def stdin(self, value: Any) -> None:
        self._stdin = value

    @property
    def first_stdout(self) -> Any:
        """sys.__stdout__."""
        if self._first_stdout is None:
            made = self._open_stdout()
            if self._first_stdout is None:  # by another thread meanwhile
                self._first_stdout = made
                made.write(self._end_printing().decode(ENCODING, ON_ERROR))
        return self._first_stdout

    @property
    def stdout(self) -> Any:
        """sys.stdout."""
        return self.first_stdout if self._stdout is _UNASSIGNED else self._stdout

    @stdout.setter
    def stdout(self, value: Any) -> None:
        if self.printed is not None:
            self.first_stdout  # noqa: B018 - it has what was printed before
        self._stdout = value

    def print(self, text: str) -> int:
        """sys.stdout.write(). Most scripts want nothing else of sys.stdout, and it takes its time
        to make: while nobody has asked for it, there is none."""
        if self.printed is None or text.__class__ is not str:
            return self.stdout.write(text)  # type: ignore[no-any-return]
        if not text:  # print(..., end="")
            return 0
        data = text.encode(ENCODING, ON_ERROR)
        # Again: another thread may have come in between; but none does from here to append().
        if (printed := self.printed) is None:
            return self.stdout.write(text)
        printed.append(data)
        self.printed_size += len(data)
        if self.printed_size >= MOST_PRINTED and self.printed is printed:
            self.printed, self.printed_size = [], 0
            self.output.write(b"".join(printed))
        return len(text)

    def _end_printing(self) -> bytes:
        """What was printed without sys.stdout and is not written yet."""
        printed, self.printed = self.printed, None
        return b"".join(printed) if printed else b""

    def _streams(self) -> list[Any]:
        """What there is of sys.stdout and sys.__stdout__."""
        if self._first_stdout is None:
            return []
        return [self.stdout, self._first_stdout]

    @property
    def importing(self) -> Any:
        """The lock that is held while a module of the script's own is loaded."""
        if self._importing is None:
            with _making_lock:
                if self._importing is None:
                    self._importing = threading.RLock()
        return self._importing

    def owns(self, namespace: Mapping[str, Any] | None) -> bool:
        """Whether these are the globals of the script, or of one of its modules."""
        if namespace is None:
            return False
        module = self.modules.get(namespace.get("__name__", ""))
        return module is not None and vars(module) is namespace

    def _finish(self) -> None:
        """What ends a process: threads are waited for, and what atexit was given runs."""
        for thread in self.threads:
            if thread.is_alive():
                thread.join()
        while self.exits:
            try:
                self.exits.pop()()
            except Exception as error:
                sys.excepthook(type(error), error, error.__traceback__)


def _caller_is_own(script: Script) -> bool:
    """Whether the function that this one's caller replaces was called by the script itself."""
    return script.owns(sys._getframe(2).f_globals)


def _is_for_good(script: Script) -> bool:
    """Whether what is asked for is kept by a module that outlives the script: an installed one
    that is imported just now."""
    frame = sys._getframe(2)
    return frame.f_code.co_name == "<module>" and not script.owns(frame.f_globals)


# sys


class _Stream:
    """sys.stdin, sys.stdout, sys.stderr: the script's, or else what it was before."""

    def __init__(self, name: str, outside: Any) -> None:
        self._name = name
        self.outside = outside

    def _find(self) -> Any:
        script = current.get()
        return self.outside if script is None else getattr(script, self._name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._find(), name)

    @property
    def buffer(self) -> Any:
        """The stream of bytes; for who keeps it (Mercurial does), one that is each script's."""
        script = current.get()
        return _Buffer(self) if script is not None and _is_for_good(script) else self._find().buffer

    def write(self, text: str) -> int:
        """Write, as print() does; without __getattr__, which would take longer."""
        return self._find().write(text)  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[str]:
        return iter(self._find())

    def __next__(self) -> str:
        line: str = next(self._find())
        return line

    def __enter__(self) -> Any:
        return self._find().__enter__()

    def __exit__(self, *exc_info: object) -> None:
        self._find().__exit__(*exc_info)

    def __repr__(self) -> str:
        return repr(self._find())


class _Stdout(_Stream):
    """sys.stdout."""

    def write(self, text: str) -> int:
        """Write; where all that a script does is print, there is no stream beneath this one."""
        script = current.get()
        return self.outside.write(text) if script is None else script.print(text)


class _Buffer:
    """The bytes of a _Stream."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream._find().buffer, name)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream._find().buffer)

    def close(self) -> None:
        """Do nothing: it is not one script's."""


io.TextIOBase.register(_Stream)
io.BufferedIOBase.register(_Buffer)


def _stream(name: str) -> property:
    """A script's own; for a module that keeps it, what is each script's."""

    def get(module: ModuleType) -> Any:
        script = current.get()
        if script is None:
            return _SYS[name].outside
        return _SYS[name] if _is_for_good(script) else getattr(script, name)

    def assign(module: ModuleType, value: Any) -> None:
        script = current.get()
        if script is None:
            _SYS[name].outside = value
        else:
            setattr(script, name, value if value is not _SYS[name] else getattr(script, f"first_{name}"))

    return property(get, assign)


def _first_stream(name: str) -> property:
    """sys.__stdout__ and the like."""

    def get(module: ModuleType) -> Any:
        script = current.get()
        return _SYS[f"__{name}__"] if script is None else getattr(script, f"first_{name}")

    return property(get, lambda module, value: _SYS.__setitem__(f"__{name}__", value))


def _attribute(name: str) -> property:
    """What a script has of its own from its start, or once it has assigned it."""

    def get(module: ModuleType) -> Any:
        script = current.get()
        value = None if script is None else getattr(script, name)
        return _SYS[name] if value is None else value

    def assign(module: ModuleType, value: Any) -> None:
        script = current.get()
        if script is None:
            _SYS[name] = value
        else:
            setattr(script, name, value)

    return property(get, assign)


class _Sys(ModuleType):
    """The class of the module sys."""

    stdin = _stream("stdin")
    stdout = _stream("stdout")
    stderr = _stream("stderr")
    __stdin__ = _first_stream("stdin")
    __stdout__ = _first_stream("stdout")
    __stderr__ = _first_stream("stderr")
    argv = _attribute("argv")
    path = _attribute("path")
    excepthook = _attribute("excepthook")


# os


class _Environ(MutableMapping[str, str]):
    """os.environ: the script's, or else the process's."""

    def __init__(self, outside: MutableMapping[str, str]) -> None:
        self._outside = outside

    def _find(self) -> MutableMapping[str, str]:
        script = current.get()
        return self._outside if script is None else script.environ

    def __getitem__(self, key: str) -> str:
        return self._find()[key]

    def __setitem__(self, key: str, value: str) -> None:
        for text in (key, value):
            if not isinstance(text, str):
                raise TypeError(f"str expected, not {type(text).__name__}")
        self._find()[key] = value

    def __delitem__(self, key: str) -> None:
        del self._find()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._find()))

    def __len__(self) -> int:
        return len(self._find())

    def __contains__(self, key: object) -> bool:
        return key in self._find()

    def __repr__(self) -> str:
        return f"environ({dict(self)!r})"

    def copy(self) -> dict[str, str]:
        """A dict of it."""
        return dict(self._find())

    def __or__(self, other: Mapping[str, str]) -> dict[str, str]:
        return {**self, **other}

    def __ror__(self, other: Mapping[str, str]) -> dict[str, str]:
        return {**other, **self}

    def __ior__(self, other: Mapping[str, str]) -> "_Environ":
        self.update(other)
        return self


class _EnvironBytes(MutableMapping[bytes, bytes]):
    """os.environb: the same as bytes."""

    def __getitem__(self, key: bytes) -> bytes:
        return os.fsencode(os.environ[os.fsdecode(key)])

    def __setitem__(self, key: bytes, value: bytes) -> None:
        os.environ[os.fsdecode(key)] = os.fsdecode(value)

    def __delitem__(self, key: bytes) -> None:
        del os.environ[os.fsdecode(key)]

    def __iter__(self) -> Iterator[bytes]:
        return map(os.fsencode, os.environ)

    def __len__(self) -> int:
        return len(os.environ)


# Functions that know the process only


def _replace(owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    original = getattr(owner, name)
    setattr(owner, name, functools.wraps(original)(make(original)))


def _popen_init(original: Callable[..., None]) -> Callable[..., None]:
    """subprocess.Popen(): a script's children have its environment, and its output."""
    names = original.__code__.co_varnames[1 : original.__code__.co_argcount]

    def __init__(self: Any, *args: Any, **keywords: Any) -> None:
        script = current.get()
        if script is not None:
            given = {**dict(zip(names, args, strict=False)), **keywords}
            if given.get("env") is None:
                given["env"] = script.environ
            if given.get("stdout") is None:
                given["stdout"] = script.output.fileno()
            return original(self, **given)
        return original(self, *args, **keywords)

    return __init__


def _system(original: Callable[[Any], int]) -> Callable[[Any], int]:
    """os.system(): the same."""

    def system(command: Any) -> int:
        if current.get() is None:
            return original(command)
        code = subprocess.call(command, shell=True)
        return code << 8 if code >= 0 else -code

    return system


def _thread_init(original: Callable[..., None]) -> Callable[..., None]:
    """Thread(): Apache's threads count as daemons, a process's first one does not, and others
    inherit it."""

    def __init__(self: Any, *args: Any, **keywords: Any) -> None:
        if current.get() is not None and keywords.get("daemon") is None:
            keywords["daemon"] = False
        original(self, *args, **keywords)

    return __init__


def _thread_start(original: Callable[..., None]) -> Callable[..., None]:
    """Thread.start(): a script's threads are the script's, which does not end before them."""

    def start(self: threading.Thread) -> None:
        script = current.get()
        if script is None:
            return original(self)
        # print() without a sys.stdout is for one thread only, and the request is for this one.
        script.first_stdout, script.argv  # noqa: B018
        context, run = contextvars.copy_context(), self.run

        def run_in_script() -> None:
            try:
                context.run(run)
            finally:
                vars(self).pop("run", None)

        if not self.daemon and _caller_is_own(script):
            script.threads.append(self)
        self.run = run_in_script  # type: ignore[method-assign]
        return original(self)

    return start


def _atexit_register(original: Callable[..., Any]) -> Callable[..., Any]:
    """atexit.register(): at the end of the script, if it is called by the script itself."""

    def register(function: Callable[..., object], *args: Any, **keywords: Any) -> Callable[..., object]:
        script = current.get()
        if script is None or not _caller_is_own(script):
            return original(function, *args, **keywords)  # type: ignore[no-any-return]
        script.exits.append(functools.partial(function, *args, **keywords))
        return function

    return register


def _atexit_unregister(original: Callable[..., None]) -> Callable[..., None]:
    def unregister(function: Callable[..., object]) -> None:
        script = current.get()
        if script is not None:
            script.exits[:] = [call for call in script.exits if call.func != function]  # type: ignore[attr-defined]
        original(function)

    return unregister


def shared_streams() -> tuple[Any, Any]:
    """What stands for every script's sys.stdin and sys.stdout, and outside for the server's."""
    return _SYS["stdin"], _SYS["stdout"]


def install() -> None:
    """Prepare this interpreter for scripts; once."""
    if isinstance(sys, _Sys):
        return
    for name, kind in (("stdin", _Stream), ("stdout", _Stdout), ("stderr", _Stream)):
        _SYS[name] = kind(name, _SYS[name])
    sys.__class__ = _Sys
    os.environ = _Environ(os.environ)  # type: ignore[assignment]  # noqa: B003
    os.environb = _EnvironBytes()  # type: ignore[assignment]
    _replace(subprocess.Popen, "__init__", _popen_init)
    _replace(os, "system", _system)
    _replace(threading.Thread, "__init__", _thread_init)
    _replace(threading.Thread, "start", _thread_start)
    _replace(atexit, "register", _atexit_register)
    _replace(atexit, "unregister", _atexit_unregister)
