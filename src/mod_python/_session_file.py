"""FileSession: a file for each session."""

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from typing import NamedTuple

import _apache

from mod_python import _options, _private_files, _session_records
from mod_python.Session import DFT_LOCK, BaseSession, Record

__all__ = ["FileSession"]

_FILE = "mod_python.file_session."
_FOLDER = "mp_sess"
_KEY = "key"
#: Locked while somebody cleans up; contains the id where the time limit stopped it.
_PROGRESS = "cleanup"
#: Files of a session that is being written, and was not when its process died: seconds.
_ABANDONED = 3600


class FileSession(BaseSession):
    """Sessions in files, which all processes of the server share."""

    def __init__(
        self,
        req: "_apache.mp_request",
        sid: str | int = 0,
        secret: str | bytes | None = None,
        timeout: float = 0,
        lock: object = DFT_LOCK,
        fast_cleanup: int = -1,
        verify_cleanup: int = -1,
    ) -> None:
        """See BaseSession.

        Args:
            fast_cleanup: Whether cleanup skips files younger than timeout and grace period
                without a look into them; -1: as PythonOption says.
            verify_cleanup: Whether a record's own timeout decides, not this session's;
                -1: as PythonOption says. Not fast implies it.

        Raises:
            ValueError: sid is no id; an option has no such value.
            OSError: The directory or a file in it is not ours alone, or cannot be used.
        """
        options = req.get_options()
        self._base = directory_option(options, _FILE + "database_directory")
        self._fast = _flag(options, fast_cleanup, _FILE + "enable_fast_cleanup")
        self._verify = _flag(options, verify_cleanup, _FILE + "verify_session_timeout") or not self._fast
        self._grace = _options.number(options, _FILE + "cleanup_grace_period", 240)
        self._limit = _options.number(options, _FILE + "cleanup_time_limit", 2)
        super().__init__(req, sid, secret, lock, timeout)

    def lock_file(self) -> None:
        """Keep others, and the cleanup, from this session's file."""
        _apache._global_lock(self._req.server, self.id())

    def unlock_file(self) -> None:
        """The end of that."""
        _apache._global_unlock(self._req.server, self.id())

    @contextlib.contextmanager
    def _folder(self) -> Iterator[tuple[int, bytes]]:
        """The directory of this session's file, and the key."""
        with (
            _private_files.directory(os.path.join(self._base, _FOLDER)) as base,
            _private_files.directory(self.id()[:2], base) as folder,
        ):
            yield folder, _session_records.key_in(_KEY, base)

    def do_load(self) -> Record | None:
        """See BaseSession."""
        with self._folder() as (folder, key):
            data = _private_files.read(self.id(), folder)
        return None if data is None else _session_records.from_bytes(data, self.id(), key, self._name())

    def do_save(self, record: Record, /) -> None:
        """See BaseSession."""
        with self._folder() as (folder, key):
            _private_files.replace(self.id(), _session_records.to_bytes(record, self.id(), key), folder)

    def do_delete(self) -> None:
        """See BaseSession."""
        with self._folder() as (folder, _), contextlib.suppress(FileNotFoundError):
            os.unlink(self.id(), dir_fd=folder)

    def _name(self) -> str:
        return os.path.join(self._base, _FOLDER, self.id()[:2], self.id())

    def do_cleanup(self) -> None:
        """See BaseSession: after the response."""
        how = _Cleanup(
            self._req.server, self._base, self._fast, self._verify, self._timeout, self._grace, self._limit
        )
        self._req.register_cleanup(_Cleanup.run, how)


def directory_option(options: "_apache.mp_table", key: str) -> str:
    """The directory that an option names, or the one for all stores, or that for temporary files."""
    common = _options.path(options, "mod_python.session.database_directory")
    return os.path.abspath(_options.path(options, key) or common or tempfile.gettempdir())


def _flag(options: "_apache.mp_table", argument: int, key: str) -> bool:
    return bool(argument) if argument != -1 else _options.flag(options, key, True)


class _Cleanup(NamedTuple):
    """The removal of expired sessions' files."""

    server: "_apache.mp_server"
    base: str
    is_fast: bool
    verifies: bool
    timeout: float  # seconds, as the next two
    grace: float
    limit: float  # 0: none

    def run(self) -> None:
        """Do it, unless another is at it; from where the time limit stopped the last."""
        with _private_files.directory(os.path.join(self.base, _FOLDER)) as base:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(_PROGRESS, flags, 0o600, dir_fd=base), "r+") as progress:
                try:
                    fcntl.flock(progress, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return
                stopped_at = self._clean(base, progress.read())
                progress.seek(0)
                progress.truncate()
                progress.write(stopped_at)

    def _clean(self, base: int, start: str) -> str:
        """Clean up from an id on; the one where the time limit stopped it, or ""."""
        deadline = time.monotonic() + self.limit if self.limit else float("inf")
        key = _session_records.key_in(_KEY, base)
        for name in sorted(os.listdir(base)):
            if len(name) != 2 or name < start[:2]:
                continue
            with _private_files.directory(name, base) as folder:
                for file in sorted(os.listdir(folder)):
                    if file > start or file.startswith("."):
                        self._clean_file(file, folder, key)
                        if time.monotonic() > deadline:
                            return file if not file.startswith(".") else name
        return ""

    def _clean_file(self, name: str, folder: int, key: bytes) -> None:
        if name.startswith("."):
            if _age(name, folder) > _ABANDONED:
                os.unlink(name, dir_fd=folder)
        elif not self._is_young(name, folder) and _apache._global_trylock(self.server, name):
            # Else it is in use, hence not expired, or will be next time.
            try:
                if self._is_expired(name, folder, key):
                    os.unlink(name, dir_fd=folder)
            except FileNotFoundError:
                pass
            finally:
                _apache._global_unlock(self.server, name)

    def _is_young(self, name: str, folder: int) -> bool:
        return self.is_fast and _age(name, folder) < self.timeout + self.grace

    def _is_expired(self, name: str, folder: int, key: bytes) -> bool:
        if not self.verifies:
            return not self._is_young(name, folder)
        data = _private_files.read(name, folder)
        record = _session_records.from_bytes(data, name, key, name) if data is not None else None
        return record is None or time.time() - record["_accessed"] > record["_timeout"]


def _age(name: str, folder: int) -> float:
    """Seconds since a file was written; 0 if it is gone."""
    try:
        return time.time() - os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
    except FileNotFoundError:
        return 0.0
