"""mod_python.Cookie without a server (LATER, section 7)."""

import base64
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

#: What a cookie's name and value may be so that they are found again as they were.
NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters=';="$\x7f'), min_size=1)
NAMES = NAMES.filter(lambda name: name == name.strip())
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters=';"\x7f')).map(
    lambda value: value.strip(" \t")
)
QUOTED = VALUES.map(lambda value: f'"{value};{value}"')
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.binary()
SCALARS |= st.text(st.characters(exclude_categories=()))
KEYS = st.recursive(SCALARS, lambda inner: st.lists(inner).map(tuple), max_leaves=5)
OBJECTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(KEYS, inner),
    max_leaves=20,
)
ORDER = (
    "a=b; version=1; path=/x; domain=.example.com; secure; comment=spam eggs; "
    "expires=Thu, 01-Jan-1970 00:00:00 GMT; max-age=0; samesite=Lax; commentURL=http://x/; "
    "discard; port=80; httponly"
)


@pytest.fixture(scope="module")
def Cookie():
    """The module."""
    import sys
    from types import ModuleType

    sys.modules.setdefault("_apache", ModuleType("_apache"))
    try:
        from mod_python import Cookie
    finally:
        if not hasattr(sys.modules["_apache"], "OK"):
            del sys.modules["_apache"]
    return Cookie


def exactly(value):
    """A value with its types, for comparison: 1, True and 1.0 are equal."""
    if isinstance(value, dict):
        return dict, [(exactly(key), exactly(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [exactly(item) for item in value]
    if isinstance(value, float):
        return float, value.hex()
    return type(value), value


def test_order_and_names(Cookie):
    """Attributes are sent in one order, under the names of Set-Cookie; flags bare."""
    cookie = Cookie.Cookie(
        "a", "b", httponly=True, port=80, discard=1, commenturl="http://x/", SameSite="Lax", MAX_AGE=0,
        Expires=0, comment="spam eggs", secure=True, domain=".example.com", path="/x", version=1,
    )  # fmt: skip
    assert str(cookie) == ORDER


def test_flags_that_are_false(Cookie):
    """Flags that are false are left out, and so is what is None."""
    assert str(Cookie.Cookie("a", "b", secure=False, httponly=0, discard="", path=None)) == "a=b"


def test_attributes(Cookie):
    """There are these and no others."""
    cookie = Cookie.Cookie("a", "b")
    with pytest.raises(AttributeError, match="spam"):
        Cookie.Cookie("a", "b", spam=1)
    with pytest.raises(AttributeError):
        cookie.spam = 1
    with pytest.raises(AttributeError):
        cookie.spam  # noqa: B018
    assert (cookie.path, cookie.expires, cookie.__data__) == (None, None, {})
    cookie.__data__["mine"] = 1
    cookie.path = "/x"
    cookie.expires = 86400 * 365
    assert cookie.expires == "Fri, 01-Jan-1971 00:00:00 GMT"
    cookie.expires = "Fri, 01-Jan-2038 10:20:30 GMT"
    assert str(cookie) == "a=b; path=/x; expires=Fri, 01-Jan-2038 10:20:30 GMT"


@pytest.mark.parametrize(
    "date",
    [
        "yesterday",
        "Fri, 01 Jan 2038 10:20:30 GMT",
        "Fri, 31-Feb-2038 10:20:30 GMT",
        "Fri, 01-Jan-2038 25:20:30 GMT",
        "Fri, 01-Jan-2038 10:20:30 CET",
        "Fre, 01-Jan-2038 10:20:30 GMT",
        math.inf,
        math.nan,
        1e20,
        (1,),
    ],
)
def test_dates_that_are_none(Cookie, date):
    """expires is seconds, or a date as cookies have it."""
    with pytest.raises(ValueError):
        Cookie.Cookie("a", "b", expires=date)


@pytest.mark.parametrize(
    "text", ["a;b", "a\nb", "a\r\nSet-Cookie: x=y", "a\0", "\x7f", 'a"b;c', '"a";b', "\t"]
)
def test_what_cannot_be_sent(Cookie, text):
    """Control characters, and semicolons outside double quotes, in any part."""
    for cookie in (
        Cookie.Cookie("a", text),
        Cookie.Cookie(text, "a"),
        Cookie.Cookie("a", "b", path=text),
        Cookie.Cookie("a", "b", comment=text),
        Cookie.Cookie("a", "b", domain=text),
    ):
        with pytest.raises(Cookie.CookieError):
            str(cookie)


def test_a_semicolon_in_quotes(Cookie):
    """Inside double quotes a semicolon is part of the value."""
    assert str(Cookie.Cookie("a", '"b;c"')) == 'a="b;c"'
    assert Cookie.Cookie.parse('a="b;c"; d="e')["a"].value == '"b;c"'


@given(st.dictionaries(NAMES, VALUES | QUOTED))
def test_parsed_and_sent_back(Cookie, pairs):
    """A cookie that was parsed and is sent back is unchanged."""
    text = "; ".join(f"{name}={value}" for name, value in pairs.items())
    cookies = Cookie.Cookie.parse(text)
    assert {name: cookie.value for name, cookie in cookies.items()} == pairs
    assert "; ".join(map(str, cookies.values())) == text


@given(st.text(st.characters(max_codepoint=255), max_size=300))
def test_any_text_can_be_parsed(Cookie, text):
    """Whatever a client sends, parsing ends, with strings."""
    for name, cookie in Cookie.Cookie.parse(text).items():
        assert name == cookie.name
        assert not name.startswith("$")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        (" ; ;; ", {}),
        ("a=b", {"a": "b"}),
        ("a=b; a=c", {"a": "c"}),
        ("a=b=c", {"a": "b=c"}),
        ("  a = b  ;c=d", {"a": "b", "c": "d"}),
        ("$Version=1; a=b; $Path=/x", {"a": "b"}),
        ("a=b; path=/x; expires=y", {"a": "b", "path": "/x", "expires": "y"}),
        ("a=; b", {"a": "", "b": ""}),
        ('a="b; c=d', {"a": '"b', "c": "d"}),
    ],
)
def test_parse(Cookie, text, expected):
    """Empty parts are skipped, attributes count, $ is dropped, the last of a name wins."""
    assert {name: cookie.value for name, cookie in Cookie.Cookie.parse(text).items()} == expected


def test_names(Cookie):
    """Only the cookies named are looked at."""
    parse = Cookie.Cookie.parse
    assert set(parse("a=1; b=2; c=3", ["a", "c"])) == {"a", "c"}
    assert set(parse("a=1; b=2; ab=3", "ab")) == {"ab"}


@pytest.mark.parametrize("evil", ['"\\' * 50_000, '";' * 50_000, '"' * 99_999, "=" * 100_000])
def test_parsing_is_linear(Cookie, evil):
    """Text made to be slow is not."""
    assert isinstance(Cookie.Cookie.parse("a=" + evil), dict)


@given(NAMES, VALUES, st.text(min_size=1) | st.binary(min_size=1))
def test_signed(Cookie, name, value, secret):
    """A signed cookie comes back as it was; its signature is 64 hexadecimal digits."""
    cookie = Cookie.SignedCookie(name, value, secret)
    text = str(cookie)
    assert re.fullmatch("[0-9a-f]{64}", text.removeprefix(f"{name}=")[:64])
    assert text == f"{name}={cookie.hexdigest(value)}{value}"
    back = Cookie.SignedCookie.parse(text, secret)[name]
    assert (type(back), back.value, str(back)) == (Cookie.SignedCookie, value, text)


@given(st.data())
def test_forged(Cookie, data):
    """One character changed anywhere, and it is none."""
    text = str(Cookie.SignedCookie("name", "value", "secret")).removeprefix("name=")
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("0123456789abcdefghxyzABC").filter(lambda c: c != text[place]))
    forged = text[:place] + other + text[place + 1 :]
    [cookie] = Cookie.SignedCookie.parse(f"name={forged}", "secret").values()
    assert type(cookie) is Cookie.Cookie
    assert cookie.value == forged


@pytest.mark.parametrize(
    "text", ["name=", "name=ab", "name=" + "0" * 63, "name=" + "0" * 64, "name=" + "\xe9" * 64, "name"]
)
def test_mismatch(Cookie, text):
    """What is not signed becomes a plain cookie, vanishes, or raises."""
    parse = Cookie.SignedCookie.parse
    assert type(parse(text, "secret")["name"]) is Cookie.Cookie
    assert parse(text, "secret", Cookie.IGNORE) == {}
    assert parse(text, "secret", mismatch=Cookie.Cookie.IGNORE) == {}
    with pytest.raises(Cookie.CookieError):
        parse(text, "secret", Cookie.EXCEPTION)
    assert (Cookie.Cookie.DOWNGRADE, Cookie.Cookie.IGNORE, Cookie.Cookie.EXCEPTION) == (0, 1, 3)


def test_a_signature_is_for_one_name(Cookie):
    """A signed value under another name is none; nor is one whose border was moved."""
    digits = Cookie.SignedCookie("a", "bc", "secret").hexdigest("bc")
    with pytest.raises(Cookie.CookieError):
        Cookie.SignedCookie("x", f"{digits}bc").unsign("secret")
    with pytest.raises(Cookie.CookieError):
        Cookie.SignedCookie("ab", f"{digits}c").unsign("secret")


@pytest.mark.parametrize("secret", [None, "", b""])
def test_no_secret(Cookie, secret):
    """Without a secret nothing is signed and nothing is believed."""
    with pytest.raises(Cookie.CookieError, match="secret"):
        str(Cookie.SignedCookie("a", "b", secret))
    with pytest.raises(Cookie.CookieError):
        Cookie.SignedCookie.parse("a=b", secret)
    with pytest.raises(Cookie.CookieError):
        Cookie.SignedCookie("a", "0" * 64).unsign(secret)


@given(OBJECTS)
def test_objects(Cookie, value):
    """Values come back with their types."""
    text = str(Cookie.MarshalCookie("a", value, "secret"))
    cookie = Cookie.MarshalCookie.parse(text, "secret")["a"]
    assert exactly(cookie.value) == exactly(value)
    assert str(cookie) == text


class Number(int):
    """No int."""


@pytest.mark.parametrize("value", [Number(1), {1}, object(), range(3), [Number(1)], {(1, Number(2)): 3}])
def test_other_objects(Cookie, value):
    """Other types, subclasses too, are refused."""
    with pytest.raises(ValueError):
        str(Cookie.MarshalCookie("a", value, "secret"))


def test_objects_without_end(Cookie):
    """A list in itself is refused."""
    value = []
    value.append(value)
    with pytest.raises(ValueError, match="contains itself"):
        str(Cookie.MarshalCookie("a", value, "secret"))


@pytest.mark.parametrize(
    "content", [b"{", b'{"x": 1}', b"{}", b'{"t": 1}', b'{"d": [[[], 1]]}', b'{"b": "?"}', b"\xff"]
)
def test_signed_nonsense(Cookie, content):
    """What was signed with the secret, and is no such value, is CookieError."""
    text = str(Cookie.SignedCookie("a", base64.b64encode(content).decode(), "secret"))
    with pytest.raises(Cookie.CookieError):
        Cookie.MarshalCookie.parse(text, "secret", Cookie.EXCEPTION)


def test_unsign_and_unmarshal(Cookie):
    """They work on a cookie's own value."""
    signed = str(Cookie.MarshalCookie("a", [1], "secret")).removeprefix("a=")
    cookie = Cookie.MarshalCookie("a", signed)
    cookie.unmarshal("secret")
    assert cookie.value == [1]
    signed = str(Cookie.SignedCookie("a", "b", "secret")).removeprefix("a=")
    cookie = Cookie.SignedCookie("a", signed)
    cookie.unsign("secret")
    assert cookie.value == "b"
