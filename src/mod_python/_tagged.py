"""Python values as text and back, exactly: JSON in which what JSON lacks is tagged.

None, bool, int, float, str, bytes, list, tuple and dict; no subclasses of them, since those
would come back as something else. A JSON object is always a tag: {"t": [...]} a tuple,
{"d": [[key, value], ...]} a dict, {"b": base64} bytes, {"u": base64} str with surrogates,
which JSON would join to one character.
"""

import base64
import json
from typing import Any

__all__ = ["dumps", "from_base64", "loads", "to_base64"]


def _tag(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in (bool, int, float):
        return value
    if kind is str:
        if value.isascii():
            return value
        try:
            value.encode()
            return value
        except UnicodeEncodeError:
            return {"u": base64.b64encode(value.encode("utf-8", "surrogatepass")).decode()}
    if kind is list:
        return [_tag(item) for item in value]
    if kind is tuple:
        return {"t": [_tag(item) for item in value]}
    if kind is dict:
        return {"d": [[_tag(key), _tag(item)] for key, item in value.items()]}
    if kind is bytes:
        return {"b": base64.b64encode(value).decode()}
    raise ValueError(
        f"None, bool, int, float, str, bytes, list, tuple and dict can be stored, not {kind.__name__}"
    )


def _untag(value: Any) -> Any:
    if type(value) is list:
        return [_untag(item) for item in value]
    if type(value) is not dict:
        return value
    ((kind, content),) = value.items()
    if kind == "t":
        return tuple([_untag(item) for item in content])
    if kind == "d":
        return {_untag(key): _untag(item) for key, item in content}
    if kind == "b":
        return base64.b64decode(content, validate=True)
    if kind == "u":
        return base64.b64decode(content, validate=True).decode("utf-8", "surrogatepass")
    raise ValueError(f"unknown tag {kind!r}")


def dumps(value: Any) -> str:
    """The text for a value.

    Raises:
        ValueError: It is, or contains, another type; contains itself; is nested too deeply.
    """
    try:
        return json.dumps(_tag(value), separators=(",", ":"))
    except RecursionError:
        raise ValueError("a value that is nested too deeply, or contains itself") from None


def loads(text: str | bytes) -> Any:
    """The value for a text that dumps() has made.

    Raises:
        ValueError: It is none.
    """
    try:
        return _untag(json.loads(text))
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def to_base64(value: Any) -> str:
    """The same as text without blanks, quotes, commas and semicolons."""
    return base64.b64encode(dumps(value).encode()).decode()


def from_base64(text: str) -> Any:
    """The value for a text that to_base64() has made; ValueError as loads()."""
    return loads(base64.b64decode(text, validate=True))
