"""Cookies, plain and signed (RFC 6265).

Nothing is quoted or added: what a client sent goes back as it came. A signed value is
preceded by 64 hexadecimal digits, the HMAC-SHA256 over name, separator and value.

Exceptions:

    Exception
     +-- CookieError    a cookie that cannot be sent, or whose signature is wrong
"""

import datetime
import hmac
import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

from mod_python import _tagged

if TYPE_CHECKING:
    from mod_python import apache

__all__ = [
    "DOWNGRADE",
    "EXCEPTION",
    "IGNORE",
    "Cookie",
    "CookieError",
    "MarshalCookie",
    "SignedCookie",
    "add_cookie",
    "get_cookie",
    "get_cookies",
]

#: What becomes of a cookie whose signature is wrong: a plain Cookie, nothing, an exception.
DOWNGRADE, IGNORE, EXCEPTION = 0, 1, 3

#: In the order in which they are sent.
_ATTRIBUTES = (
    "version",
    "path",
    "domain",
    "secure",
    "comment",
    "expires",
    "max_age",
    "samesite",
    "commentURL",
    "discard",
    "port",
    "httponly",
)
_BY_KEYWORD = {name.lower(): name for name in _ATTRIBUTES}
_BARE = frozenset({"secure", "discard", "httponly"})
_RENDERED = [(name, name.replace("_", "-"), name in _BARE) for name in _ATTRIBUTES]

#: Parts are separated by the semicolons that stand outside double quotes. What begins with a
#: quote that is never closed is no quoted text. It never goes back over what it has read.
_PART = re.compile(r'(?>"[^"]*"|[^;])*+')
_BLANK = " \t"
#: Between two Cookie headers of HTTP/1, as Apache joins them: no value that RFC 6265 allows has
#: a comma. Quoted text is matched to be left alone.
_JOINED = re.compile(r'"[^"]*"|, (?=[!#$%&\'*+.^_`|~0-9A-Za-z-]+=)')
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_SIGNATURE = re.compile(r"[0-9a-f]{64}")
#: Between name and value under the signature: no name contains it.
_SEPARATOR = "\0"

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE = re.compile(rf"(?:{'|'.join(_DAYS)}), (\d\d)-({'|'.join(_MONTHS)})-(\d{{4}}) (\d\d):(\d\d):(\d\d) GMT")


class CookieError(Exception):
    """A cookie that cannot be sent, or whose signature is missing or wrong."""


def _render_date(seconds: float) -> str:
    """Seconds since 1970 as cookies have a date, whatever the locale."""
    t = time.gmtime(seconds)
    return (
        f"{_DAYS[t.tm_wday]}, {t.tm_mday:02}-{_MONTHS[t.tm_mon - 1]}-{t.tm_year:04} "
        f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} GMT"
    )


def _check_date(value: object) -> str:
    """The text of an expires attribute.

    Raises:
        ValueError: It is neither a number of seconds nor such a text.
    """
    if isinstance(value, int | float):
        try:
            return _render_date(value)
        except (OverflowError, OSError):
            raise ValueError(f"expires: {value!r} seconds after 1970 is no date") from None
    match = _DATE.fullmatch(value) if isinstance(value, str) else None
    if match:
        day, month, year, *clock = match.groups()
        # It knows how many days a month has.
        hour, minute, second = map(int, clock)
        datetime.datetime(int(year), _MONTHS.index(month) + 1, int(day), hour, minute, second)
        return match[0]
    raise ValueError(f"expires: {value!r} is neither seconds since 1970 nor 'Wdy, DD-Mon-YYYY HH:MM:SS GMT'")


def _check_part(text: str) -> str:
    """Text for a header.

    Raises:
        CookieError: It has a control character, or a semicolon outside double quotes.
    """
    if _CONTROL.search(text):
        raise CookieError(f"a cookie has no control characters: {text!r}")
    if ";" in text and _PART.match(text).end() != len(text):  # type: ignore[union-attr]
        raise CookieError(f"a semicolon would end the cookie: {text!r}; put it in double quotes")
    return text


class Cookie:
    """A cookie: name, value, and the attributes of Set-Cookie.

    An attribute that was not given is None. All can be assigned to; others than
    `version path domain secure comment expires max_age samesite commentURL discard port
    httponly name value __data__` raise AttributeError. `__data__` is a dict for the program.
    """

    DOWNGRADE = DOWNGRADE
    IGNORE = IGNORE
    EXCEPTION = EXCEPTION

    __slots__ = (
        "__data__",
        "_expires",
        "comment",
        "commentURL",
        "discard",
        "domain",
        "httponly",
        "max_age",
        "name",
        "path",
        "port",
        "samesite",
        "secure",
        "value",
        "version",
    )

    def __init__(self, name: str, value: Any, **attributes: Any) -> None:
        """
        Args:
            name: Its name.
            value: Its value, sent as str() has it.
            attributes: Keywords in any case. expires is seconds since 1970, or
                "Wdy, DD-Mon-YYYY HH:MM:SS GMT"; secure, discard and httponly are flags.

        Raises:
            AttributeError: There is no such attribute.
            ValueError: expires is no date.
        """
        self.name = name
        self.value = value
        self.__data__: dict[Any, Any] = {}
        self._expires: str | None = None
        self.version = self.path = self.domain = self.secure = self.comment = None
        self.max_age = self.samesite = self.commentURL = self.discard = self.port = self.httponly = None
        for keyword, given in attributes.items():
            attribute = _BY_KEYWORD.get(keyword.lower())
            if attribute is None:
                raise AttributeError(f"a cookie has no attribute {keyword!r}")
            setattr(self, attribute, given)

    @classmethod
    def parse(cls, text: str, names: Iterable[str] | None = None) -> dict[str, Self]:
        """The cookies in the value of a Cookie header, by name; the last of a name wins.

        Args:
            text: The header's value.
            names: Which to look at; None is all.
        """
        return {name: cls(name, value) for name, value in _pairs(text, names)}

    @property
    def expires(self) -> str | None:
        """As sent, or None; assigned seconds since 1970, or such a text."""
        return self._expires

    @expires.setter
    def expires(self, value: float | str | None) -> None:
        self._expires = None if value is None else _check_date(value)

    def _text(self) -> str:
        """What is sent as the value."""
        return str(self.value)

    def __str__(self) -> str:
        """The value of a Set-Cookie header.

        Raises:
            CookieError: It has a control character, or a semicolon outside double quotes.
        """
        text = _check_part(f"{self.name}={self._text()}")
        for attribute, name, is_bare in _RENDERED:
            value = getattr(self, attribute)
            if value is None or (is_bare and not value):
                continue
            text += f"; {name}" if is_bare else f"; {_check_part(f'{name}={value}')}"
        return text

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.name}={self.value!r}>"


class SignedCookie(Cookie):
    """A cookie whose value the client can read, and cannot change unnoticed."""

    __slots__ = ("_secret",)

    def __init__(self, name: str, value: Any, secret: str | bytes | None = None, **attributes: Any) -> None:
        """
        Args:
            secret: What the signature is made with; needed to send it.
        """
        super().__init__(name, value, **attributes)
        self._secret = secret

    @classmethod
    def parse(  # type: ignore[override]
        cls,
        text: str,
        secret: str | bytes,
        mismatch: int = DOWNGRADE,
        names: Iterable[str] | None = None,
    ) -> dict[str, Cookie]:
        """The cookies in the value of a Cookie header, by name.

        Args:
            text: The header's value.
            secret: What they were signed with.
            mismatch: What becomes of those that were not: DOWNGRADE, IGNORE or EXCEPTION.
            names: Which to look at; None is all.

        Raises:
            CookieError: A signature is wrong, and mismatch is EXCEPTION; or there is no secret.
        """
        _key(secret)
        cookies: dict[str, Cookie] = {}
        for name, value in _pairs(text, names):
            cookie = cls(name, value)
            try:
                cookie._open(secret)
                cookies[name] = cookie
            except CookieError:
                if mismatch == EXCEPTION:
                    raise
                if mismatch == DOWNGRADE:
                    cookies[name] = Cookie(name, value)
        return cookies

    def _open(self, secret: str | bytes) -> None:
        """Take the signature off a value that came from a client."""
        self.unsign(secret)

    def hexdigest(self, text: str) -> str:
        """The signature of text as this cookie's value: 64 hexadecimal digits.

        Raises:
            CookieError: The cookie has no secret.
        """
        message = f"{self.name}{_SEPARATOR}{text}".encode("utf-8", "surrogatepass")
        return hmac.digest(_key(self._secret), message, "sha256").hex()

    def unsign(self, secret: str | bytes) -> None:
        """Take the signature off the value, and keep the secret.

        Raises:
            CookieError: It is not this secret's.
        """
        self._secret = secret
        text = str(self.value)
        signature, value = text[:64], text[64:]
        if not _SIGNATURE.fullmatch(signature) or not hmac.compare_digest(signature, self.hexdigest(value)):
            raise CookieError(f"the signature of the cookie {self.name!r} is wrong")
        self.value = value

    def _signed(self, text: str) -> str:
        return self.hexdigest(text) + text

    def _text(self) -> str:
        return self._signed(str(self.value))


class MarshalCookie(SignedCookie):
    """A signed cookie whose value is None, bool, int, float, str, bytes, list, tuple or dict.

    It is sent as base64 of JSON in which types that JSON lacks are tagged; never marshal or
    pickle, which run what they are given.
    """

    __slots__ = ()

    def _text(self) -> str:
        return self._signed(_tagged.to_base64(self.value))

    def _open(self, secret: str | bytes) -> None:
        self.unmarshal(secret)

    def unmarshal(self, secret: str | bytes) -> None:
        """Take the signature off the value, and make of it what was sent.

        Raises:
            CookieError: It is not this secret's, or no such value.
        """
        self.unsign(secret)
        try:
            self.value = _tagged.from_base64(self.value)
        except ValueError as error:
            raise CookieError(f"the cookie {self.name!r} has no such value: {error}") from None


def _key(secret: str | bytes | None) -> bytes:
    if not secret:
        raise CookieError("a signed cookie needs a secret")
    return secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret


def _parts(text: str) -> list[str]:
    """What is between semicolons outside double quotes; some are empty."""
    return _PART.findall(text) if '"' in text else text.split(";")


def _pairs(text: str, names: Iterable[str] | None) -> Iterable[tuple[str, str]]:
    """Name and value of what a Cookie header has; without "=" the value is empty."""
    wanted = names if names is None else (names,) if isinstance(names, str) else tuple(names)
    for part in _parts(text):
        name, _, value = part.partition("=")
        name = name.strip(_BLANK)
        if part and (name or value) and (wanted is None or name in wanted) and name[:1] != "$":
            yield name, value.strip(_BLANK)


def add_cookie(req: "apache.mp_request", cookie: Cookie | str, value: Any = "", **attributes: Any) -> None:
    """Send a cookie with the response.

    Args:
        req: The request.
        cookie: A cookie, or the name of one to be made of the other arguments.
        value: Its value.
        attributes: As Cookie has them.

    Raises:
        CookieError: It cannot be sent: see Cookie.
    """
    if not isinstance(cookie, Cookie):
        cookie = Cookie(cookie, value, **attributes)
    text = str(cookie)
    headers = req.headers_out
    if "Set-Cookie" not in headers:
        headers.add("Cache-Control", 'no-cache="set-cookie"')
    headers.add("Set-Cookie", text)


def _text_of(req: "apache.mp_request") -> str | None:
    """What the request's Cookie headers say, as one."""
    table = req.headers_in
    if "Cookie" not in table:
        return None
    headers = table["Cookie"]
    text = headers if isinstance(headers, str) else "; ".join(headers)
    if ", " in text:
        text = _JOINED.sub(lambda found: "; " if found[0] == ", " else found[0], text)
    return text


def get_value(req: "apache.mp_request", name: str) -> str | None:
    """The value of get_cookie(req, name), or None, in less time."""
    text = _text_of(req)
    if text is None or name not in text:
        return None
    for part in reversed(_parts(text)):
        found, _, value = part.partition("=")
        if found.strip(_BLANK) == name:
            return value.strip(_BLANK)
    return None


def get_cookies(req: "apache.mp_request", Class: type[Cookie] = Cookie, **options: Any) -> dict[str, Any]:
    """The cookies of a request, by name.

    Args:
        req: The request.
        Class: Which cookies to make.
        options: Arguments of its parse(): secret, mismatch, names.

    Raises:
        CookieError: A signature is wrong, and mismatch is Cookie.EXCEPTION.
    """
    text = _text_of(req)
    return Class.parse(text, **options) if text is not None else {}


def get_cookie(req: "apache.mp_request", name: str, Class: type[Cookie] = Cookie, **options: Any) -> Any:
    """One cookie of a request, or None; arguments as get_cookies() has them."""
    return get_cookies(req, Class, names=(name,), **options).get(name)
