"""Sessions: dicts that a browser finds again at its next request.

A store is a subclass of BaseSession with do_load(), do_save(), do_delete() and
do_cleanup(). Those that need more than this module are imported when first asked for.
"""

import functools
import importlib
import random
import re
import secrets
import time
import urllib.parse
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

import _apache

from mod_python import Cookie, _options

if TYPE_CHECKING:
    from mod_python._session_cache import MemcachedSession as MemcachedSession
    from mod_python._session_cache import RedisSession as RedisSession
    from mod_python._session_dbm import DbmSession as DbmSession
    from mod_python._session_file import FileSession as FileSession

__all__ = [
    "CLEANUP_CHANCE",
    "COOKIE_NAME",
    "DFT_LOCK",
    "DFT_TIMEOUT",
    "BaseSession",
    "DbmSession",
    "FileSession",
    "MemorySession",
    "Session",
]

COOKIE_NAME = "pysid"
#: Seconds, from one save() on.
DFT_TIMEOUT = 1800
DFT_LOCK = True
#: Old sessions are removed after one request in so many.
CLEANUP_CHANCE = 1000

#: How many ids a new session tries until one has a lock that is free.
_ATTEMPTS = 100

#: What browsers do not encode in a path (WHATWG URL, path percent-encode set).
_SENT_AS_THEY_ARE = "/!$&'()*+,:=@[]|~"

_is_sid = re.compile("[0-9a-f]{32}").fullmatch

_MODULES = {
    "DbmSession": "mod_python._session_dbm",
    "FileSession": "mod_python._session_file",
    "MemcachedSession": "mod_python._session_cache",
    "RedisSession": "mod_python._session_cache",
}


class Record(TypedDict):
    """What a store keeps of a session: times in seconds since 1970, the timeout in seconds."""

    _data: dict[Any, Any]
    _created: float
    _accessed: float
    _timeout: float


class BaseSession(dict[Any, Any]):
    """A session without a store."""

    _sid: str
    _created: float
    _accessed: float
    _new = False
    _locked = False
    _invalid = False

    def __init__(
        self,
        req: "_apache.mp_request",
        sid: str | int = 0,
        secret: str | bytes | None = None,
        lock: object = DFT_LOCK,
        timeout: float = 0,
    ) -> None:
        """Load the session of the request's cookie, or begin one and send its cookie.

        Args:
            req: The request.
            sid: The session's id, instead of the cookie's.
            secret: Sign the cookie with it, and take no other.
            lock: Keep other requests away from this session until unlock() or the end of
                the request.
            timeout: Seconds from the last save() on; 0 is DFT_TIMEOUT. That of a session
                that was loaded is what it was saved with.

        Raises:
            ValueError: sid is not 32 of the digits 0-9a-f.
            OSError: The store cannot be used.
        """
        # Most requests with a session do this much: it is kept short.
        self._req = req
        self._secret = secret
        self._lock = lock
        self._timeout: float = timeout or DFT_TIMEOUT
        if sid and not (isinstance(sid, str) and _is_sid(sid)):
            raise ValueError("a session's id is 32 of the digits 0-9a-f")
        known = str(sid) if sid else self._sid_of_cookie()
        self.init_lock()
        if known is None or not self._find(known):
            self._begin()
        if random.random() * CLEANUP_CHANCE < 1:
            self.cleanup()

    def _find(self, sid: str) -> bool:
        """Load the session of this id, if there is one."""
        self._sid = sid
        if self._lock:
            self.lock()
        if self.load():
            return True
        self.unlock()
        return False

    def _begin(self) -> None:
        """A new session, under an id that no client has chosen."""
        self._sid = secrets.token_hex(16)
        self._new = True
        self._created = self._accessed = time.time()
        if self._lock:
            self._lock_new()
        Cookie.add_cookie(self._req, self.make_cookie())

    # The cookie

    def _cookie_name(self) -> str:
        options = self._req.get_options()
        if not options:
            return COOKIE_NAME
        name: str = _options.text(options, "mod_python.session.cookie_name", COOKIE_NAME)
        return name

    def _sid_of_cookie(self) -> str | None:
        """The id that the client has sent, if it can be one."""
        req = self._req
        name = self._cookie_name()
        if self._secret:
            cookie = Cookie.get_cookie(
                req, name, Cookie.SignedCookie, secret=self._secret, mismatch=Cookie.IGNORE
            )
            value = cookie and cookie.value
        else:
            value = Cookie.get_value(req, name)
        return value if value and _is_sid(value) else None

    def make_cookie(self) -> Cookie.Cookie:
        """The cookie with the session's id."""
        req = self._req
        options = req.get_options()
        attributes = {
            "path": _options.text(options, "mod_python.session.application_path") or _path_of(req),
            "domain": options.get("mod_python.session.application_domain"),
            "httponly": True,
            "samesite": "Lax",
            "secure": bool(req.is_https()),
        }
        if self._secret:
            return Cookie.SignedCookie(self._cookie_name(), self._sid, self._secret, **attributes)
        return Cookie.Cookie(self._cookie_name(), self._sid, **attributes)

    # What programs ask

    def is_new(self) -> bool:
        """Whether it began with this request."""
        return self._new

    def id(self) -> str:
        """32 hexadecimal digits."""
        return self._sid

    def created(self) -> float:
        """When it began: seconds since 1970."""
        return self._created

    def last_accessed(self) -> float:
        """When it was last saved, or else began: seconds since 1970."""
        return self._accessed

    def timeout(self) -> float:
        """Seconds from the last save() on until it expires."""
        return self._timeout

    def set_timeout(self, secs: float) -> None:
        """Have it expire so many seconds after it was last saved; save() stores that."""
        self._timeout = secs

    # Load and save

    def load(self) -> bool:
        """Replace the contents by what is stored; False if there is nothing or it has expired."""
        record = self.do_load()
        if record is None or time.time() - record["_accessed"] > record["_timeout"]:
            return False
        if self:
            self.clear()
        self.update(record["_data"])
        self._created = record["_created"]
        self._accessed = record["_accessed"]
        self._timeout = record["_timeout"]
        return True

    def save(self) -> None:
        """Store the contents, and have the timeout begin anew.

        Raises:
            OSError: The store cannot be used.
        """
        if not self._invalid:
            self._accessed = time.time()
            self.do_save(
                {
                    "_data": dict(self),
                    "_created": self._created,
                    "_accessed": self._accessed,
                    "_timeout": self._timeout,
                }
            )

    def delete(self) -> None:
        """Remove it from the store, and empty it."""
        self.do_delete()
        self.clear()

    def invalidate(self) -> None:
        """The same; have the browser forget the cookie, and save() do nothing."""
        cookie = self.make_cookie()
        cookie.expires = 0
        Cookie.add_cookie(self._req, cookie)
        self.delete()
        self._invalid = True

    def cleanup(self) -> None:
        """Have expired sessions removed from the store."""
        self.do_cleanup()

    # Locks

    def init_lock(self) -> None:
        """For stores that have a lock of their own; called before the first lock()."""

    def lock(self) -> None:
        """Wait until no other request has this session locked, and lock it."""
        if not self._locked:
            self._take_lock()
            self._locked = True

    def unlock(self) -> None:
        """Let others have it before the request's end."""
        if self._locked:
            self._locked = False
            self._give_lock()

    def _lock_new(self) -> None:
        """Lock a session that nobody knows yet, under another id if others have this one's lock.

        Ids share a few locks: two requests that have one each, and begin a session under the
        lock of the other, would wait forever.
        """
        for _ in range(_ATTEMPTS):
            if self._try_lock():
                try:
                    self.lock()
                finally:
                    self._give_lock()
                return
            self._sid = secrets.token_hex(16)
        self.lock()

    def _take_lock(self) -> None:
        _apache._global_lock(self._req.server, self._sid)

    def _try_lock(self) -> bool:
        return _apache._global_trylock(self._req.server, self._sid)

    def _give_lock(self) -> None:
        _apache._global_unlock(self._req.server, self._sid)

    # For stores

    def do_load(self) -> Record | None:
        """What do_save() was given last for this id, or None."""
        raise NotImplementedError(f"{type(self).__name__} has no do_load()")

    def do_save(self, record: Record, /) -> None:
        """Store a record under this id."""
        raise NotImplementedError(f"{type(self).__name__} has no do_save()")

    def do_delete(self) -> None:
        """Remove this id's record, if there is one."""
        raise NotImplementedError(f"{type(self).__name__} has no do_delete()")

    def do_cleanup(self) -> None:
        """Have expired records removed; now, or by req.register_cleanup()."""


class MemorySession(BaseSession):
    """Sessions in the memory of this interpreter of this process: the values themselves, not
    copies."""

    #: Records by session id. Single operations of a dict are atomic.
    sdict: ClassVar[dict[str, Record]] = {}

    def __init__(
        self,
        req: "_apache.mp_request",
        sid: str | int = 0,
        secret: str | bytes | None = None,
        timeout: float = 0,
        lock: object = DFT_LOCK,
    ) -> None:
        """See BaseSession."""
        BaseSession.__init__(self, req, sid, secret, lock, timeout)  # super() takes longer

    # Where there is one process, no other needs to be kept away, and a lock needs no file.

    def _take_lock(self) -> None:
        if _is_one_process():
            _apache._process_lock(self._sid)
        else:
            BaseSession._take_lock(self)

    def _try_lock(self) -> bool:
        return _apache._process_trylock(self._sid) if _is_one_process() else BaseSession._try_lock(self)

    def _give_lock(self) -> None:
        if _is_one_process():
            _apache._process_unlock(self._sid)
        else:
            BaseSession._give_lock(self)

    def do_load(self) -> Record | None:
        """See BaseSession."""
        return self.sdict.get(self._sid)

    def do_save(self, record: Record, /) -> None:
        """See BaseSession."""
        self.sdict[self._sid] = record

    def do_delete(self) -> None:
        """See BaseSession."""
        self.sdict.pop(self._sid, None)

    def do_cleanup(self) -> None:
        """See BaseSession: after the response."""
        self._req.register_cleanup(_clean_memory, self.sdict)


def _clean_memory(sdict: dict[str, Record]) -> None:
    now = time.time()
    for sid, record in list(sdict.items()):
        if now - record["_accessed"] > record["_timeout"]:
            sdict.pop(sid, None)


def _path_of(req: "_apache.mp_request") -> str:
    """The path of the handler's directory as browsers send it, which is what they compare;
    "/" where that is none."""
    handler = req._running
    if handler is None or handler.is_location or handler.directory is None:
        return "/"
    root = req.document_root().rstrip("/") + "/"
    if not handler.directory.startswith(root):
        return "/"
    path = "/" + handler.directory[len(root) :].rstrip("/")
    if path == "/" or ";" in path or not (req.uri + "/").startswith(path + "/"):
        return "/"  # browsers send ";" as it is, and cookies cannot have it
    return urllib.parse.quote(path, safe=_SENT_AS_THEY_ARE, errors="surrogateescape")


@functools.cache
def _is_one_process() -> bool:
    return bool(_apache.mpm_query(_apache.AP_MPMQ_MAX_DAEMONS) == 1)


@functools.cache
def _default_type() -> str:
    """Where all requests see one memory, that; else a file."""
    is_one = _is_one_process() and _apache._members <= 1
    return "MemorySession" if is_one and _apache.mpm_query(_apache.AP_MPMQ_IS_THREADED) else "DbmSession"


def Session(
    req: "_apache.mp_request",
    sid: str | int = 0,
    secret: str | bytes | None = None,
    timeout: float = 0,
    lock: object = DFT_LOCK,
) -> BaseSession:
    """The session of a request, in the store that PythonOption mod_python.session.session_type
    names: MemorySession, FileSession, DbmSession, RedisSession, MemcachedSession.

    Without, it is MemorySession if Apache runs one process with threads, and this interpreter is
    none of a pool; else DbmSession.
    Arguments and errors are those of BaseSession; ValueError if there is no such store.
    """
    name = _options.text(req.get_options(), "mod_python.session.session_type") or _default_type()
    if name == "MemorySession":
        return MemorySession(req, sid, secret, timeout, lock)
    if name not in _MODULES:
        known = ", ".join(sorted([*_MODULES, "MemorySession"]))
        raise ValueError(f"PythonOption mod_python.session.session_type: {name!r} is none of {known}")
    store = __getattr__(name)
    session: BaseSession = store(req, sid=sid, secret=secret, timeout=timeout, lock=lock)
    return session


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        store = getattr(importlib.import_module(_MODULES[name]), name)
        globals()[name] = store
        return store
    raise AttributeError(f"module 'mod_python.Session' has no attribute {name!r}")
