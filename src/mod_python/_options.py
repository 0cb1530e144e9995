"""The keys of PythonOption that are reserved, and what they were called before."""

from collections.abc import Mapping
from typing import Any

__all__ = ["flag", "number", "path", "path_of", "text"]

_SESSION = "mod_python.session."
_FILE = "mod_python.file_session."

_ALIASES = {
    _SESSION + "session_type": "session",
    _SESSION + "cookie_name": "session_cookie_name",
    _SESSION + "application_path": "ApplicationPath",
    _SESSION + "database_directory": "session_directory",
    "mod_python.dbm_session.database_filename": "session_dbm",
    _FILE + "enable_fast_cleanup": "session_fast_cleanup",
    _FILE + "verify_session_timeout": "session_verify_cleanup",
    _FILE + "cleanup_grace_period": "session_grace_period",
    _FILE + "cleanup_time_limit": "session_cleanup_time_limit",
}

_FLAGS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


def text(options: Mapping[str, Any], key: str, default: str | None = None) -> Any:
    """The value of a reserved key, else of its old name, else default."""
    value = options.get(key)
    if value is None:
        alias = _ALIASES.get(key)
        if alias is not None:
            value = options.get(alias)
    return default if value is None else value


def path_of(value: str) -> str:
    """The file name that a value, which is a table's and so ISO-8859-1, stands for."""
    return value if value.isascii() else value.encode("latin-1").decode("utf-8", "surrogateescape")


def path(options: Mapping[str, Any], key: str) -> str | None:
    """The same as text() for what names a file or a directory."""
    value = text(options, key)
    return None if value is None else path_of(value)


def flag(options: Mapping[str, Any], key: str, default: bool) -> bool:
    """The same for yes, true, 1, no, false, 0 in any case.

    Raises:
        ValueError: It is something else.
    """
    value = text(options, key)
    if value is None:
        return default
    try:
        return _FLAGS[value.lower()]
    except KeyError:
        raise ValueError(f"PythonOption {key}: {value!r} is none of yes, true, 1, no, false, 0") from None


def number(options: Mapping[str, Any], key: str, default: int) -> int:
    """The same for a whole number from 0 on.

    Raises:
        ValueError: It is something else.
    """
    value = text(options, key)
    if value is None:
        return default
    if not (value.isascii() and value.isdecimal()):
        raise ValueError(f"PythonOption {key}: {value!r} is no whole number")
    return int(value)
