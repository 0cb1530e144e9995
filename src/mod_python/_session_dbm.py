"""DbmSession: one database for all sessions."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

import _apache

from mod_python import _options, _private_files, _session_records
from mod_python._session_file import directory_option
from mod_python.Session import DFT_LOCK, BaseSession, Record

__all__ = ["DbmSession"]

_DBM = "mod_python.dbm_session."
#: The global lock that is kept for the database.
_LOCK = 0
#: What the modules of the standard library add to a database's name.
_ENDINGS = ("", ".db", ".dir", ".pag", ".dat", ".bak")


class DbmSession(BaseSession):
    """Sessions in one file, which all processes of the server share."""

    def __init__(
        self,
        req: "_apache.mp_request",
        dbm: str | None = None,
        sid: str | int = 0,
        secret: str | bytes | None = None,
        dbmtype: ModuleType | None = None,
        timeout: float = 0,
        lock: object = DFT_LOCK,
    ) -> None:
        """See BaseSession.

        Args:
            dbm: Path of the database; None: as PythonOption says.
            dbmtype: A module like `dbm.gnu`, whose open() opens it; None: SQLite. With one, the
                directory must not be one where others may make files.

        Raises:
            ValueError: sid is no id.
            OSError: The directory, or a file, is one that others could change, or it cannot
                be used.
        """
        options = req.get_options()
        folder = directory_option(options, _DBM + "database_directory")
        name = dbm or _options.path(options, _DBM + "database_filename") or "mp_sess.dbm"
        self._path = os.path.join(folder, name)
        self._type = dbmtype
        super().__init__(req, sid, secret, lock, timeout)

    @contextlib.contextmanager
    def _open(self) -> Iterator[tuple[Any, bytes]]:
        """The database, and the key of its records; nobody else has it meanwhile."""
        with _locked(self._req.server), _database(self._path, self._type) as opened:
            yield opened

    def do_load(self) -> Record | None:
        """See BaseSession."""
        with self._open() as (database, key):
            data = database.get(self.id().encode())
        return None if data is None else _session_records.from_bytes(data, self.id(), key, self._path)

    def do_save(self, record: Record, /) -> None:
        """See BaseSession."""
        with self._open() as (database, key):
            database[self.id().encode()] = _session_records.to_bytes(record, self.id(), key)

    def do_delete(self) -> None:
        """See BaseSession."""
        with self._open() as (database, _), contextlib.suppress(KeyError):
            del database[self.id().encode()]

    def do_cleanup(self) -> None:
        """See BaseSession: after the response."""
        self._req.register_cleanup(_clean, (self._req.server, self._path, self._type))


@contextlib.contextmanager
def _locked(server: "_apache.mp_server") -> Iterator[None]:
    _apache._global_lock(server, None, _LOCK)
    try:
        yield
    finally:
        _apache._global_unlock(server, None, _LOCK)


@contextlib.contextmanager
def _database(path: str, kind: ModuleType | None) -> Iterator[tuple[Any, bytes]]:
    """The database and the key, after a look at their files. Call it locked."""
    key = _session_records.key_in(path + ".key")
    with contextlib.closing(_Sqlite(path) if kind is None else _open_as(kind, path)) as database:
        yield database, key


def _open_as(kind: ModuleType, path: str) -> Any:
    # It opens, and makes, whatever a link of that name points to.
    _private_files.require_guarded(os.path.dirname(path))
    for ending in _ENDINGS:
        _private_files.check_file(path + ending)
    return kind.open(path, "c", 0o600)


def _clean(where: tuple["_apache.mp_server", str, ModuleType | None]) -> None:
    """Remove what has expired, and what is no record."""
    server, path, kind = where
    now = time.time()
    with _locked(server), _database(path, kind) as (database, key):
        for sid in list(database.keys()):
            record = _session_records.from_bytes(database[sid], sid.decode("latin-1"), key, path)
            if record is None or now - record["_accessed"] > record["_timeout"]:
                del database[sid]


class _Sqlite:
    """A database of SQLite, as much of it as a dict of bytes.

    Its journal is made beforehand and never removed, like the database: where others may make
    files, they can put nothing in the place of either.
    """

    def __init__(self, path: str) -> None:
        if not _private_files.check_file(path):
            with contextlib.closing(sqlite3.connect(":memory:")) as empty:
                empty.execute(
                    "CREATE TABLE sessions (sid BLOB PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID"
                )
                empty.commit()
                _private_files.place(path, empty.serialize())
            _private_files.check_file(path)
        if not _private_files.check_file(path + "-journal"):
            _private_files.place(path + "-journal", b"")
            _private_files.check_file(path + "-journal")
        for ending in ("-wal", "-shm"):
            _private_files.check_file(path + ending)
        self._path = path
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._run("PRAGMA journal_mode=PERSIST")
        # The kernel keeps what was written when a process dies; sessions need no more.
        self._run("PRAGMA synchronous=OFF")

    def _run(self, statement: str, *values: bytes) -> Any:
        try:
            return self._connection.execute(statement, values)
        except sqlite3.DatabaseError as error:
            raise OSError(f"the database of sessions, {self._path}, cannot be used: {error}") from error

    def get(self, sid: bytes) -> bytes | None:
        row = self._run("SELECT record FROM sessions WHERE sid = ?", sid).fetchone()
        return None if row is None else row[0]

    def __getitem__(self, sid: bytes) -> bytes:
        record = self.get(sid)
        if record is None:
            raise KeyError(sid)
        return record

    def __setitem__(self, sid: bytes, record: bytes) -> None:
        self._run("INSERT OR REPLACE INTO sessions VALUES (?, ?)", sid, record)

    def __delitem__(self, sid: bytes) -> None:
        self._run("DELETE FROM sessions WHERE sid = ?", sid)

    def keys(self) -> Iterable[bytes]:
        return [row[0] for row in self._run("SELECT sid FROM sessions")]

    def close(self) -> None:
        self._connection.close()
