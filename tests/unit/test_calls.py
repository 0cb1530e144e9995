"""Calling objects with the fields of a form: mod_python._calls."""

import functools
import gc
import weakref

import pytest

REQ = object()


@pytest.fixture
def calls(own):
    return own("_calls")


@pytest.fixture
def call(calls):
    """Calls an object as the publisher does, with fields given by name."""

    def call(function, **fields):
        positional, keywords = calls.parameters_of(function).arguments(fields, {"req": REQ})
        return function(*positional, **keywords)

    return call


def name_of(value):
    """What a test is called by, the same in each process."""
    return f"{type(value).__name__}-{getattr(value, '__name__', '')}"


def plain(req, name, size="1"):
    return req, name, size


def keyword_only(*, req, name, size="1"):
    return req, name, size


def positional_only(req, name, size="1", /):
    return req, name, size


def without_request(name, size="1"):
    return REQ, name, size


def request_last(name, size="1", req=None):
    return req, name, size


async def asynchronous(req, name, size="1"):
    return req, name, size


class Callable:
    def __call__(self, req, name, size="1"):
        return req, name, size

    def method(self, req, name, size="1"):
        return req, name, size

    @classmethod
    def class_method(cls, req, name, size="1"):
        return req, name, size

    @staticmethod
    def static_method(req, name, size="1"):
        return req, name, size


@functools.wraps(plain)
def generic(*args, **kwargs):
    assert args[0] is REQ
    return plain(*args, **kwargs)


@functools.wraps(plain)
def request_and_keywords(req, **kwargs):
    return plain(req, **kwargs)


FORMS_OF_ONE = [
    plain,
    keyword_only,
    positional_only,
    without_request,
    request_last,
    asynchronous,
    Callable(),
    Callable().method,
    Callable().class_method,
    Callable.class_method,
    Callable.static_method,
    Callable().static_method,
    functools.partial(plain),
    functools.cache(plain),
    generic,
    request_and_keywords,
]


@pytest.mark.parametrize("function", FORMS_OF_ONE, ids=name_of)
def test_fields_go_to_parameters_of_their_names(calls, call, function):
    """However the callable is written; other fields, and one named req, are dropped."""
    result = functools.partial(call, function)
    assert calls.settled(result(name="a")) == (REQ, "a", "1")
    assert calls.settled(result(name="a", size="2", other="x", req="x", self="x")) == (REQ, "a", "2")


@pytest.mark.parametrize("function", FORMS_OF_ONE, ids=name_of)
def test_missing_arguments_are_named(calls, call, function):
    """Those that have no default."""
    with pytest.raises(calls.MissingArguments) as caught:
        call(function, size="2")
    assert caught.value.names == ["name"]
    assert "name" in str(caught.value)


def test_all_missing_arguments_are_named(calls, call):
    """Not the first only."""
    with pytest.raises(calls.MissingArguments) as caught:
        call(lambda a, b, c, *, d: None, c="1")
    assert caught.value.names == ["a", "b", "d"]


def test_what_a_class_decorates(call):
    """Each of its objects takes the fields of its own function."""

    class Decorated:
        def __init__(self, function):
            functools.update_wrapper(self, function)

        def __call__(self, *args, **kwargs):
            return self.__wrapped__(*args, **kwargs)

    first = Decorated(lambda req, name: (req, name))
    second = Decorated(lambda size="1", **rest: (size, rest))
    for _ in range(2):
        assert call(first, name="x", size="2", self="s") == (REQ, "x")
        assert call(second, name="x", size="2", self="s") == ("2", {"name": "x", "req": REQ})


def test_rest_goes_to_kwargs(call):
    """With the request, if it has no parameter of its own."""
    assert call(lambda name, **rest: (name, rest), name="a", b="1", **{"c-d": "2"}) == (
        "a",
        {"b": "1", "c-d": "2", "req": REQ},
    )
    assert call(lambda req, **rest: rest, b="1") == {"b": "1"}


def test_fields_never_take_the_place_of_self(call):
    """Nor of a class method's class."""

    class Page:
        def method(self, **rest):
            return sorted(rest)

        @classmethod
        def class_method(cls, **rest):
            return sorted(rest)

    assert call(Page().method, self="x", a="1") == ["a", "req"]
    assert call(Page.class_method, cls="x", a="1") == ["a", "req"]


def test_positional_only_names_stay_out_of_kwargs(call):
    """They are filled by name, though no caller could."""

    def page(name, /, **rest):
        return name, sorted(rest)

    assert call(page, name="a", b="1") == ("a", ["b", "req"])


def test_star_args_get_nothing(call):
    """There is nothing that they could."""
    assert call(lambda *args, **rest: (args, sorted(rest)), args="x") == ((), ["args", "req"])


def test_default_between_positional_only(call):
    """It is passed in its place."""

    def page(a="1", b="2", /):
        return a, b

    assert call(page, b="x") == ("1", "x")


@pytest.mark.parametrize("function", [len, "".join, print, dict.fromkeys, int.__add__], ids=name_of)
def test_built_in_functions_get_nothing(calls, function):
    """Some have signatures, but for Python's use."""
    assert calls.parameters_of(function).arguments({"obj": "x", "iterable": "x"}, {"req": REQ}) == ([], {})


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda req: None, False),
        (lambda: None, False),
        (lambda name: None, True),
        (lambda req, name: None, True),
        (lambda **rest: None, True),
        (keyword_only, True),
    ],
)
def test_whether_a_form_is_needed(calls, function, expected):
    """To call a function with the request only, none is."""
    assert calls.parameters_of(function).takes_fields is expected


def test_fields_by_name(calls):
    """Several of one name are a list; one that is a list stays what it is."""
    pairs = [("a", "1"), ("b", "2"), ("a", "3"), ("a", "4"), ("c", ["5"])]
    assert calls.by_name(pairs) == {"a": ["1", "3", "4"], "b": "2", "c": ["5"]}


def test_nothing_keeps_a_function(calls):
    """What was found out about it goes with it."""

    def make():
        def page(req, name):
            return name

        return page

    page = make()
    calls.parameters_of(page)
    reference = weakref.ref(page)
    del page
    gc.collect()
    assert reference() is None


def with_default(own):
    def page(req, name=own):
        return name

    return page


def with_positional_default(own):
    def page(req, name=own, /):
        return name

    return page


def with_annotation(own):
    def page(req, name: own) -> own:
        return name

    return page


@pytest.mark.parametrize("is_instance", [False, True])
@pytest.mark.parametrize("make", [with_default, with_positional_default, with_annotation], ids=name_of)
def test_what_a_function_leads_to_does_not_keep_it(calls, make, is_instance):
    """Defaults and annotations are the module's own, which has the function."""

    class Own:
        pass

    own = Own() if is_instance else Own
    page = own.page = make(own)
    positional, _ = calls.parameters_of(page).arguments({}, {"req": 1, "name": 2})
    assert positional[0] == 1
    reference = weakref.ref(page)
    del page, own, Own
    gc.collect()
    assert reference() is None


def test_results_that_can_be_awaited_are(calls):
    """A coroutine, and any object with __await__."""

    class Awaitable:
        def __await__(self):
            yield from asynchronous(REQ, "b").__await__()
            return "b"

    assert calls.settled(asynchronous(REQ, "a")) == (REQ, "a", "1")
    assert calls.settled(Awaitable()) == "b"
    assert calls.settled("text") == "text"
