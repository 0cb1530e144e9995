"""Records of sessions as bytes.

Pickle runs what it reads, so what is pickled is sealed: an HMAC-SHA256 under a secret key, of
the session's id too, so that no record passes for another's. Without a key there is no pickle
but the tagged JSON of _tagged.
"""

import hmac
import pickle
import secrets
from typing import cast

import _apache

from mod_python import _private_files, _tagged
from mod_python.Session import Record

__all__ = ["from_bytes", "key_in", "to_bytes"]

_KEY_SIZE = 32
_MARK = b"KK1\n"
_SEAL_SIZE = 32
_NUMBERS = ("_created", "_accessed", "_timeout")


def key_in(name: str, parent: int | None = None) -> bytes:
    """The key in a file of ours, made at random if it is not there.

    Raises:
        OSError: The file cannot be used.
    """
    key = _private_files.read(name, parent)
    if key is None:
        _private_files.place(name, secrets.token_bytes(_KEY_SIZE), parent)
        key = _private_files.read(name, parent)
    if key is None or len(key) < _KEY_SIZE:
        raise _private_files.RefusedError(f"{name} is too short for a key: remove it")
    return key


def _seal(key: bytes, sid: str, content: bytes) -> bytes:
    return hmac.digest(key, sid.encode() + content, "sha256")


def to_bytes(record: Record, sid: str, key: bytes | None) -> bytes:
    """The record of a session, sealed with key if there is one.

    Raises:
        ValueError: Without key: it contains what JSON cannot be made of.
        pickle.PicklingError, TypeError, AttributeError: It contains what cannot be pickled.
    """
    if key is None:
        return _tagged.dumps(record).encode()
    content = pickle.dumps(record, pickle.HIGHEST_PROTOCOL)
    return _MARK + _seal(key, sid, content) + content


def _open(data: bytes, sid: str, key: bytes) -> object:
    start = len(_MARK) + _SEAL_SIZE
    content = data[start:]
    if not hmac.compare_digest(data[:start], _MARK + _seal(key, sid, content)):
        raise ValueError("it is damaged, or was not written by this server")
    return pickle.loads(content)


def from_bytes(data: bytes, sid: str, key: bytes | None, where: str) -> Record | None:
    """The record of a session; None, and a record in the log, if it is not genuine.

    Args:
        data: What to_bytes() has made.
        sid: The session's id.
        key: As for to_bytes().
        where: Names it in the log.
    """
    try:
        record = _tagged.loads(data) if key is None else _open(data, sid, key)
        if not isinstance(record, dict) or not (
            isinstance(record.get("_data"), dict)
            and all(isinstance(record.get(name), int | float) for name in _NUMBERS)
        ):
            raise ValueError("it is no record of a session")
    except Exception as error:  # what a genuine one needs may be gone: a class, for instance
        reason = f"{type(error).__name__}: {error}"
        _apache._log(f"KK0182: a session in {where} is left out: {reason}", _apache.APLOG_WARNING)
        return None
    return cast(Record, record)
