"""Writing values into Apache's configuration language."""

import re

from kukulkan.errors import KukulkanError

_PLAIN = re.compile(r"[\w./:@%+,=~-]+")
# What <Directory> reads as a pattern, and what Apache replaces before it parses a line.
_SPECIAL = re.compile(r"[\x00-\x1f*?\[\]]|\$\{")


def quote(text: str) -> str:
    """One argument of a directive, in quotation marks where it needs them."""
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def plain_path(path: object) -> str:
    """The path as text.

    Raises:
        KukulkanError: Apache would read a part of the path as a pattern or a variable.
    """
    text = str(path)
    special = _SPECIAL.search(text)
    if special:
        raise KukulkanError(
            f"The path {text!r} contains {special.group()!r}, which means something else in Apache's "
            "configuration. Rename that directory, or use one with a plainer name."
        )
    return text


def quote_path(path: object) -> str:
    """A path as a directive's argument; what is refused is as for `plain_path`."""
    return quote(plain_path(path))
