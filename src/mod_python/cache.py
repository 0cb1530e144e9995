"""Caches that build what they do not have.

    pages = FileCache(max_size=100)
    pages["/srv/www/top.html"]    # read once, and again when the file has changed

A subclass of Cache says what is built, and when it is no longer fresh. Threads may share a
cache: of several that ask for one key, one builds and the others wait for it. It works
outside httpd, too.
"""

import email.utils
import os
import threading
import time
import urllib.error
import urllib.request
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.message import Message
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

__all__ = [
    "NOT_INITIALIZED",
    "Cache",
    "Entry",
    "FileCache",
    "FunctionCache",
    "HTTPCache",
    "HTTPEntity",
    "ModuleCache",
    "WeakCache",
    "parseRFC822Time",
]


class _NotInitialized:
    def __repr__(self) -> str:
        return "NOT_INITIALIZED"


#: The value of an entry that has not been built.
NOT_INITIALIZED: Any = _NotInitialized()


class Entry:
    """What a cache keeps for a key; check() and build() may add attributes."""

    #: The version of a file.
    stamp: Any = None
    #: Until when a response is fresh: seconds since 1970.
    expires: float = 0

    def __init__(self, key: Any) -> None:
        self.key = key
        self.lock = threading.RLock()
        #: Threads that have asked for it, and have no answer yet.
        self.users = 0
        self.has_failed = False
        self._value: Any = NOT_INITIALIZED

    @property
    def value(self) -> Any:
        """What build() returned, or NOT_INITIALIZED."""
        return self._value

    @value.setter
    def value(self, value: Any) -> None:
        self._value = value


class _WeakEntry(Entry):
    """An entry that goes when nobody else has its value."""

    @property
    def value(self) -> Any:
        """The value while it lives, or NOT_INITIALIZED."""
        value = self._value
        if value is NOT_INITIALIZED:
            return value
        value = value()
        return NOT_INITIALIZED if value is None else value

    @value.setter
    def value(self, value: Any) -> None:
        self._value = value if value is NOT_INITIALIZED else weakref.ref(value)


class Cache:
    """A cache of what build() makes of a name."""

    entry_type: type[Entry] = Entry

    def __init__(self, max_size: int = 0) -> None:
        """
        Args:
            max_size: Most entries; 0 is as many as there are. Beyond, the one that was not
                asked for the longest leaves.
        """
        self.max_size = max_size
        #: The one asked for last is at the end.
        self._entries: OrderedDict[Any, Entry] = OrderedDict()
        #: A collection of garbage may run what asks this very cache.
        self._lock = threading.RLock()

    # What a subclass may say

    def key(self, name: Any) -> Any:
        """What a name is kept under."""
        return name

    def check(self, key: Any, name: Any, entry: Entry) -> Any:
        """Whether what is kept is still good.

        Returns:
            None if it is; else what build() is given as `opened`.
        """
        return None if entry.value is not NOT_INITIALIZED else True

    def build(self, key: Any, name: Any, opened: Any, entry: Entry) -> Any:
        """The value.

        Args:
            key: Of the entry.
            name: That was asked for.
            opened: What check() has returned.
            entry: Where attributes for check() may be kept.
        """
        raise NotImplementedError(f"{type(self).__name__} has no build()")

    def commit(self) -> None:
        """Called after the entries have changed."""

    # What a program asks

    def __getitem__(self, name: Any) -> Any:
        key = self.key(name)
        while True:
            entry, is_changed = self._enter(key)
            try:
                with entry.lock:
                    if entry.has_failed:
                        continue  # for the thread that this one has waited for
                    try:
                        opened = self.check(key, name, entry)
                        if opened is None:
                            return entry.value
                        is_changed = True
                        value = self.build(key, name, opened, entry)
                        entry.value = value
                        return value
                    except BaseException:
                        self._drop(key, entry)
                        raise
            finally:
                self._leave(entry)
                if is_changed:
                    self.commit()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return self.key(name) in self._entries

    def __delitem__(self, name: Any) -> None:
        key = self.key(name)
        with self._lock:
            dropped = self._entries.pop(key)
        del dropped  # without the lock: its end may run anything
        self.commit()

    def clear(self) -> None:
        """Drop all entries."""
        with self._lock:
            dropped, self._entries = self._entries, OrderedDict()
        dropped.clear()
        self.commit()

    def mru(self) -> Iterator[Any]:
        """The keys, that which was asked for last first."""
        return iter(self._keys()[::-1])

    def lru(self) -> Iterator[Any]:
        """The keys, that which was not asked for the longest first."""
        return iter(self._keys())

    __iter__ = mru

    def _keys(self) -> list[Any]:
        with self._lock:
            entries = list(self._entries.items())
        return [key for key, entry in entries if entry.value is not NOT_INITIALIZED]

    def _enter(self, key: Any) -> tuple[Entry, bool]:
        """The entry of a key, now the last one asked for; and whether that is new."""
        with self._lock:
            entry = self._entries.get(key)
            is_new = entry is None
            if entry is None:
                entry = self._entries[key] = self.entry_type(key)
            self._entries.move_to_end(key)
            entry.users += 1
            dropped = self._shrink()
        del dropped
        return entry, is_new

    def _leave(self, entry: Entry) -> None:
        with self._lock:
            entry.users -= 1
            dropped = self._shrink()
        del dropped

    def _shrink(self) -> list[Entry]:
        """Take out what is too much, but nothing that some thread is building: another would build
        it, too. The caller lets go of it without the lock: a value's end may run anything."""
        surplus = len(self._entries) - self.max_size if self.max_size > 0 else 0
        if surplus <= 0:
            return []
        dropped: list[Entry] = []
        for key in list(self._entries):  # which a collection may change meanwhile
            entry = self._entries.get(key)
            if entry is not None and not entry.users and len(dropped) < surplus:
                del self._entries[key]
                dropped.append(entry)
        return dropped

    def _drop(self, key: Any, entry: Entry) -> None:
        """Forget an entry that could not be built, if it still is the one of its key."""
        entry.has_failed = True
        with self._lock:
            if self._entries.get(key) is entry:
                del self._entries[key]  # entry itself stays with the caller


class WeakCache(Cache):
    """A cache whose values live as long as somebody else has them."""

    entry_type = _WeakEntry
    #: Entries at which those without value are looked for.
    _many = 64

    def __getitem__(self, name: Any) -> Any:
        while (value := super().__getitem__(name)) is NOT_INITIALIZED:
            pass  # it went between check() and here
        with self._lock:
            if len(self._entries) > self._many:
                for key, entry in list(self._entries.items()):
                    if entry.value is NOT_INITIALIZED and not entry.users:
                        self._entries.pop(key, None)
                self._many = max(2 * len(self._entries), WeakCache._many)
        return value


class FileCache(Cache):
    """The contents of files, by name; read again when a file has changed."""

    def __init__(self, max_size: int = 0, mode: str = "rb") -> None:
        """
        Args:
            max_size: As for Cache.
            mode: As for open(); text is UTF-8.
        """
        super().__init__(max_size)
        self.mode = mode

    def key(self, name: Any) -> Any:
        """The absolute name."""
        return os.path.abspath(name)

    def check(self, key: Any, name: Any, entry: Entry) -> Any:
        """The open file, if it has changed.

        Raises:
            OSError: It cannot be opened.
        """
        stamp = _stamp_of(os.stat(key))
        if entry.value is not NOT_INITIALIZED and entry.stamp == stamp:
            return None
        opened = open(key, self.mode, encoding=None if "b" in self.mode else "utf-8")  # noqa: SIM115
        entry.stamp = _stamp_of(os.fstat(opened.fileno()))
        return opened

    def build(self, key: Any, name: Any, opened: Any, entry: Entry) -> Any:
        """What is in the file."""
        with opened:
            return opened.read()


def _stamp_of(status: os.stat_result) -> tuple[int, int, int]:
    return (status.st_mtime_ns, status.st_size, status.st_ino)


class ModuleCache(FileCache):
    """Modules made from files, by name; they are not in sys.modules."""

    def __init__(self, max_size: int = 0) -> None:
        """
        Args:
            max_size: As for Cache.
        """
        super().__init__(max_size)

    def build(self, key: Any, name: Any, opened: Any, entry: Entry) -> Any:
        """The module, its code executed."""
        source = super().build(key, name, opened, entry)
        module = ModuleType(os.path.splitext(os.path.basename(key))[0])
        module.__file__ = key
        exec(compile(source, key, "exec", dont_inherit=True), vars(module))
        return module


class FunctionCache(Cache):
    """What a function returns, by its arguments: call it as the function."""

    def __init__(self, f: Callable[..., Any], max_size: int = 0) -> None:
        """
        Args:
            f: Its arguments must be hashable.
            max_size: As for Cache.
        """
        super().__init__(max_size)
        self.function = f

    def __call__(self, *args: Any, **kw: Any) -> Any:
        return self[args, tuple(sorted(kw.items()))]

    def build(self, key: Any, name: Any, opened: Any, entry: Entry) -> Any:
        """What the function returns."""
        args, keywords = key
        return self.function(*args, **dict(keywords))


# HTTP


class HTTPEntity(NamedTuple):
    """What a server has sent."""

    entity: bytes
    metadata: Message


#: Seconds to wait for a server.
TIMEOUT = 60


class _HTTPOnly(urllib.request.HTTPRedirectHandler):
    """Redirects lead to http and https only."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class HTTPCache(Cache):
    """What is at http and https addresses; asked for again when its server wants that."""

    def key(self, name: Any) -> Any:
        """The address.

        Raises:
            ValueError: It is none of http or https.
        """
        _check_scheme(name)
        return name

    def check(self, key: Any, name: Any, entry: Entry) -> Any:
        """The response, if there is a new one.

        Raises:
            OSError: The server cannot be reached, or refuses.
        """
        kept = entry.value
        request = urllib.request.Request(key)
        if kept is not NOT_INITIALIZED:
            if time.time() < entry.expires:
                return None
            for header, condition in (("ETag", "If-None-Match"), ("Last-Modified", "If-Modified-Since")):
                if kept.metadata[header]:
                    request.add_header(condition, kept.metadata[header])
        try:
            response = _opener.open(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            if error.code == 304 and kept is not NOT_INITIALIZED:
                with error:
                    # What a 304 says of its freshness counts from now on (RFC 9111, 3.2 and 4.3.4).
                    for header in ("Cache-Control", "Date", "Expires", "ETag", "Age"):
                        if error.headers[header] is not None:
                            del kept.metadata[header]
                            kept.metadata[header] = error.headers[header]
                entry.expires = _expires(kept.metadata)
                return None
            raise
        return response

    def build(self, key: Any, name: Any, opened: Any, entry: Entry) -> Any:
        """The response as HTTPEntity."""
        with opened:
            entity = HTTPEntity(opened.read(), opened.headers)
        entry.expires = _expires(entity.metadata)
        return entity


def _check_scheme(url: str) -> None:
    scheme = urlsplit(url).scheme
    if scheme not in ("http", "https"):
        raise ValueError(
            f"only addresses of http and https are fetched, not {scheme or 'none'}: {url!r:.200}"
        )


# Without file:, ftp: and data:.
_opener = urllib.request.OpenerDirector()
for _handler in (
    urllib.request.ProxyHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPDefaultErrorHandler,
    _HTTPOnly,
    urllib.request.HTTPErrorProcessor,
):
    _opener.add_handler(_handler())


def _expires(metadata: Message) -> float:
    """Until when a response is fresh, in seconds since 1970; 0: it has to be asked for."""
    directives: dict[str, str] = {}
    for field in metadata.get_all("Cache-Control", []):
        for directive in field.split(","):
            name, _, value = directive.strip().partition("=")
            directives.setdefault(name.lower(), value.strip('"'))
    if "no-cache" in directives or "no-store" in directives:
        return 0
    now = time.time()
    if "max-age" in directives:
        seconds = directives["max-age"]
        age = metadata.get("Age", "0").strip()
        return now + int(seconds) - (int(age) if age.isdecimal() else 0) if seconds.isdecimal() else 0
    try:
        expires = parseRFC822Time(metadata.get("Expires", ""))
    except ValueError:
        return 0
    try:
        # By the server's clock, which need not be ours.
        return now + expires - parseRFC822Time(metadata.get("Date", ""))
    except ValueError:
        return expires


def parseRFC822Time(t: str) -> float:
    """The time that an e-mail or an HTTP header names, in seconds since 1970.

    Raises:
        ValueError: It names none.
    """
    parsed = email.utils.parsedate_tz(t)
    if parsed is None:
        raise ValueError(f"no time as RFC 822 writes it: {t!r:.100}")
    try:
        return datetime(*parsed[:6], tzinfo=UTC).timestamp() - (parsed[9] or 0)
    except OverflowError as error:
        raise ValueError(f"no time as RFC 822 writes it: {t!r:.100}") from error
