"""Sessions in Redis or memcached, which several servers share.

cachelib keeps the records. Their locks are the store's own and end by themselves after a
while, since a server can die with them; a session whose lock has ended cannot be saved, so that
no update is lost unnoticed.
"""

import contextlib
import functools
import math
import secrets
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Protocol

import _apache

from mod_python import _options, _session_records
from mod_python.Session import DFT_LOCK, BaseSession, Record

try:
    import cachelib
    import pymemcache
    import redis
    import redis.backoff
    import redis.retry
except ImportError as error:
    raise ImportError(
        f"{error.msg}: sessions in Redis or memcached need it; "
        f"{sys.prefix}/bin/pip install cachelib pymemcache redis",
        name=error.name,
    ) from None

__all__ = ["MemcachedSession", "RedisSession", "StoreError"]

_SESSION = "mod_python.session."
#: Before the id, for the keys of records and of locks.
_RECORD = "mp_sess:"
_LOCK = "mp_sess.lock:"
#: How long the store may take to answer: seconds.
_ANSWER = 5.0
#: Between two attempts to get a lock: seconds.
_PAUSE = 0.01
#: The least that a key file must have: bytes.
_KEY_SIZE = 32


class StoreError(OSError):
    """The store does not answer, or a session's lock was not to be had, or has ended."""


class _Lock(Protocol):
    """A lock in the store; each ends by itself when its time is over."""

    def acquire(self) -> bool: ...
    def release(self) -> None: ...

    def renew(self) -> bool:
        """Whether it is still ours; then its time begins anew."""


class _Store(Protocol):
    """A server of records and locks."""

    cache: Any  # of cachelib

    def lock(self, name: str, duration: int, patience: float) -> _Lock: ...


class _Held:
    """A lock that a request has, and by how many sessions."""

    def __init__(self, lock: _Lock) -> None:
        self.lock = lock
        self.count = 0


class _CacheSession(BaseSession):
    """A session in a store of cachelib's."""

    _default_url: ClassVar[str]
    _connect: ClassVar[Callable[[str], _Store]]

    def __init__(
        self,
        req: "_apache.mp_request",
        sid: str | int = 0,
        secret: str | bytes | None = None,
        timeout: float = 0,
        lock: object = DFT_LOCK,
    ) -> None:
        """See BaseSession.

        Raises:
            ValueError: sid is no id; an option has no such value.
            OSError: The store does not answer; the session is locked for too long.
        """
        options = req.get_options()
        url = _options.text(options, _SESSION + "cache_url", self._default_url)
        self._duration = _options.number(options, _SESSION + "cache_lock_timeout", 30) or 30
        self._key = _read_key(_options.path(options, _SESSION + "cache_key_file"))
        self._store = type(self)._connect(url)
        self._shown = _without_password(url)
        super().__init__(req, sid, secret, lock, timeout)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except (redis.RedisError, pymemcache.MemcacheError, OSError) as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"the store of sessions, {self._shown}, cannot be used: {error}") from None

    def do_load(self) -> Record | None:
        """See BaseSession."""
        with self._asking():
            data = self._store.cache.get(_RECORD + self.id())
        return None if data is None else _session_records.from_bytes(data, self.id(), self._key, self._shown)

    def do_save(self, record: Record, /) -> None:
        """See BaseSession.

        Raises:
            StoreError: The session's lock has ended, and others may have it.
        """
        data = _session_records.to_bytes(record, self.id(), self._key)
        held = self._held().get(self.id()) if self._locked else None
        with self._asking():
            if held is not None and not held.lock.renew():
                raise StoreError(
                    f"a session was locked for longer than {self._duration} s, and is not saved: unlock() "
                    f"or save() earlier, or set PythonOption {_SESSION}cache_lock_timeout"
                )
            lifetime = max(1, math.ceil(record["_timeout"]))
            self._store.cache.set(_RECORD + self.id(), data, timeout=lifetime)

    def do_delete(self) -> None:
        """See BaseSession."""
        with self._asking():
            self._store.cache.delete(_RECORD + self.id())

    # Locks: a second session of this id, in the same request, has the same.

    def _held(self) -> dict[str, _Held]:
        req = self._req
        while first := req.main or req.prev:
            req = first
        try:
            held: dict[str, _Held] = req._session_locks
        except AttributeError:
            held = req._session_locks = {}
        return held

    def _lock_new(self) -> None:
        self.lock()  # no two ids have the same

    def _take_lock(self) -> None:
        held = self._held()
        mine = held.get(self.id())
        if mine is None:
            patience = float(self._req.server.timeout)
            mine = _Held(self._store.lock(_LOCK + self.id(), self._duration, patience))
            with self._asking():
                if not mine.lock.acquire():
                    raise StoreError(f"a session was locked by others for {patience:g} s")
            held[self.id()] = mine
            self._req.register_cleanup(_release, mine)
        mine.count += 1

    def _give_lock(self) -> None:
        held = self._held()
        mine = held[self.id()]
        mine.count -= 1
        if not mine.count:
            del held[self.id()]
            _release(mine)


def _release(held: _Held) -> None:
    """Give a lock back, once. If the store is gone, so is the lock, by itself."""
    lock, held.lock = held.lock, _Given()
    with contextlib.suppress(redis.RedisError, pymemcache.MemcacheError, OSError):
        lock.release()


class _Given:
    """What was a lock."""

    def acquire(self) -> bool:
        return False

    def release(self) -> None:
        pass

    def renew(self) -> bool:
        return False


def _read_key(path: str | None) -> bytes | None:
    if path is None:
        return None
    with open(path, "rb") as file:
        key = file.read()
    if len(key) < _KEY_SIZE:
        raise ValueError(f"PythonOption {_SESSION}cache_key_file: {path} has less than {_KEY_SIZE} bytes")
    return key


def _without_password(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


class _Bytes:
    """Instead of cachelib's serializers, which unpickle whatever a store has."""

    def dumps(self, value: bytes, *args: Any) -> bytes:
        return value

    def loads(self, value: bytes | None) -> bytes | None:
        return value


# Redis


class _Redis:
    def __init__(self, url: str) -> None:
        # Once more at once: a connection that was kept may be one to a server that was restarted.
        retry = redis.retry.Retry(redis.backoff.NoBackoff(), 1)
        self._client = redis.Redis.from_url(
            url, socket_timeout=_ANSWER, socket_connect_timeout=_ANSWER, retry=retry
        )
        self.cache = cachelib.RedisCache(self._client)
        self.cache.serializer = _Bytes()

    def lock(self, name: str, duration: int, patience: float) -> _Lock:
        return _RedisLock(
            self._client.lock(
                name, timeout=duration, sleep=_PAUSE, blocking_timeout=patience, thread_local=False
            )
        )


class _RedisLock:
    def __init__(self, lock: Any) -> None:
        self._lock = lock

    def acquire(self) -> bool:
        return bool(self._lock.acquire())

    def release(self) -> None:
        self._lock.release()

    def renew(self) -> bool:
        try:
            return bool(self._lock.reacquire())
        except redis.exceptions.LockError:
            return False


class RedisSession(_CacheSession):
    """Sessions in Redis, or what speaks its protocol."""

    _default_url = "redis://127.0.0.1:6379/0"
    _connect = staticmethod(functools.cache(_Redis))


# memcached


class _Memcached:
    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "memcached" or not parts.hostname:
            shown = _without_password(url)
            raise ValueError(f"PythonOption {_SESSION}cache_url: {shown!r} is no memcached://HOST:PORT")
        self._client = pymemcache.PooledClient(
            (parts.hostname, parts.port or 11211),
            connect_timeout=_ANSWER,
            timeout=_ANSWER,
            no_delay=True,
            default_noreply=False,
        )
        self.cache = cachelib.MemcachedCache(self._client)

    def lock(self, name: str, duration: int, patience: float) -> _Lock:
        return _MemcachedLock(self._client, name, duration, patience)


class _MemcachedLock:
    """A key that only one can add; it contains whose it is."""

    def __init__(self, client: Any, name: str, duration: int, patience: float) -> None:
        self._client = client
        self._name = name
        self._duration = duration
        self._patience = patience
        self._token = secrets.token_bytes(16).hex().encode()

    def acquire(self) -> bool:
        deadline = time.monotonic() + self._patience
        while not self._client.add(self._name, self._token, expire=self._duration):
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE)
        return True

    def _set_expiry(self, seconds: int) -> bool:
        token, version = self._client.gets(self._name)
        return token == self._token and bool(
            self._client.cas(self._name, self._token, version, expire=seconds)
        )

    def release(self) -> None:
        self._set_expiry(-1)

    def renew(self) -> bool:
        return self._set_expiry(self._duration)


class MemcachedSession(_CacheSession):
    """Sessions in memcached, which forgets them when it is restarted or has no room."""

    _default_url = "memcached://127.0.0.1:11211"
    _connect = staticmethod(functools.cache(_Memcached))
