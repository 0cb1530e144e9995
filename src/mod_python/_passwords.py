"""Comparing a password with what is stored of it: its text, or a hash.

What is stored tells by its beginning which it is: `$id$`, as of crypt(3), bcrypt,
htpasswd and Argon2, or `{NAME}`, as of htpasswd -s. A hash is never compared as
text, so that it cannot be sent in the password's stead; a password that begins
like one is not accepted as text, whatever is sent.
"""

import hmac
import re
import sys
from collections.abc import Mapping

import _apache

__all__ = ["is_right", "is_user"]

_HASH = re.compile(r"\$[\w-]+\$|\{[\w-]+\}")


def is_user(users: Mapping[object, object], name: str, password: str) -> bool:
    """Whether this is a user and their password.

    A name that is unknown takes as long as a wrong password.

    Args:
        users: By name, str: the password, or its hash, str or bytes.
        name: ISO-8859-1.
        password: ISO-8859-1.
    """
    for reading in readings(name):
        if reading in users:
            return is_right(users[reading], password)
    if users:
        is_right(next(iter(users.values())), password)
    return False


def readings(text: str) -> list[str]:
    """What the bytes that a browser sent may stand for: ISO-8859-1, as HTTP has it, and
    UTF-8, which browsers send."""
    texts = [text]
    try:
        utf8 = text.encode("iso-8859-1").decode()
    except UnicodeError:
        return texts
    if utf8 != text:
        texts.append(utf8)
    return texts


def is_right(stored: object, password: str) -> bool:
    """Whether the password is that which is stored, as text or as hash.

    Raises:
        ImportError: It is stored by Argon2, and argon2-cffi is not installed.
    """
    if isinstance(stored, bytes):
        stored = stored.decode("utf-8", "surrogateescape")
    if not isinstance(stored, str):
        return False
    sent = password.encode("iso-8859-1")
    if stored.startswith("$argon2"):
        return _is_right_argon2(stored, sent)
    if _HASH.match(stored):
        # APR's bcrypt does not know the name 2b, which is the same as its 2y.
        return _is_right_crypt(re.sub(r"\A\$2b\$", "$2y$", stored), sent)
    text = stored.encode("utf-8", "surrogateescape")
    try:
        latin1 = stored.encode("iso-8859-1")
    except UnicodeEncodeError:
        latin1 = text
    # Both are made in any case, so that the time says nothing.
    return hmac.compare_digest(text, sent) | hmac.compare_digest(latin1, sent)


def _is_right_crypt(stored: str, sent: bytes) -> bool:
    try:
        return _apache._password_validate(sent, stored.encode("ascii"))
    except ValueError:  # NUL, or no ASCII: no hash has that, and no password that was hashed
        return False


def _is_right_argon2(stored: str, sent: bytes) -> bool:
    try:
        from argon2 import PasswordHasher
        from argon2.exceptions import InvalidHashError, VerificationError
    except ImportError as error:
        raise ImportError(
            f"a password is stored by Argon2, and argon2-cffi cannot be imported: {error}: "
            f"{sys.prefix}/bin/pip install argon2-cffi"
        ) from error
    try:
        return bool(PasswordHasher().verify(stored, sent))
    except (InvalidHashError, VerificationError):
        return False
