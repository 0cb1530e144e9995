"""Who may have what: mod_python._publisher_access."""

# What only the publisher reads is of no use otherwise:
# ruff: noqa: E731, F841, RET504

import base64
import functools
import gc
import types
import weakref

import pytest

PASSED, UNAUTHORIZED, FORBIDDEN, BAD_REQUEST = "passed", 401, 403, 400


class Request:
    """What of a request is asked."""

    def __init__(self, authorization=None, user=None):
        self.headers_in = {} if authorization is None else {"Authorization": authorization}
        self.err_headers_out = {}
        self.user = user
        self.ap_auth_type = "Digest" if user else None


def name_of(value):
    """What a test is called by, the same in each process."""
    return f"{type(value).__name__}-{getattr(value, '__name__', '')}"


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode("iso-8859-1")).decode()


EGGS = basic("eggs", "spam")


@pytest.fixture
def enter(own):
    """Lets a request come to things, one after the other; what becomes of it."""
    refused = own("_errors").SERVER_RETURN
    make_gate = own("_publisher_access").Gate

    def enter(*things, authorization=None, user=None):
        req = Request(authorization, user)
        gate = make_gate(req)
        try:
            for thing in things:
                gate.enter(thing)
        except refused as error:
            return int(error.args[0]), req
        return PASSED, req

    return enter


def holder(kind, **members):
    """A module, an object, a class or a function with these attributes."""
    names = {f"__{name}__": value for name, value in members.items()}
    if kind == "module":
        thing = types.ModuleType("page")
    elif kind == "object":
        thing = type("Page", (), {})()
    elif kind == "class":
        return type("Page", (), {name: staticmethod(v) if callable(v) else v for name, v in names.items()})
    else:
        thing = eval("lambda: None")
    for name, value in names.items():
        setattr(thing, name, value)
    return thing


KINDS = ("module", "object", "class", "function")


def check_auth(req, user, password):
    return user == "eggs" and password == "spam"


async def check_auth_async(req, user, password):
    return check_auth(req, user, password)


def check_access(req, user):
    return user == "eggs"


async def check_access_async(req, user):
    return check_access(req, user)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("auth", [check_auth, check_auth_async, {"eggs": "spam", "joe": "eoj"}], ids=name_of)
def test_auth(enter, kind, auth):
    """A function of user and password, or a dict; the user is known afterwards."""
    thing = holder(kind, auth=auth, auth_realm="Members only")
    assert enter(thing)[0] == UNAUTHORIZED
    assert enter(thing, authorization=basic("eggs", "eoj"))[0] == UNAUTHORIZED
    assert enter(thing, authorization=basic("", ""))[0] == UNAUTHORIZED
    status, req = enter(thing, authorization=EGGS)
    assert (status, req.user, req.ap_auth_type) == (PASSED, "eggs", "Basic")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("constant", "result"),
    [
        (1, PASSED),
        (True, PASSED),
        (0, UNAUTHORIZED),
        (None, UNAUTHORIZED),
        ("", UNAUTHORIZED),
        (" ", UNAUTHORIZED),
    ],
)
def test_constant_auth(enter, kind, constant, result):
    """Counts as it is, whoever comes."""
    assert enter(holder(kind, auth=constant))[0] == result
    assert enter(holder(kind, auth=constant), authorization=EGGS)[0] == result


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "access",
    [check_access, check_access_async, ["eggs"], ("eggs",), {"eggs"}, frozenset(["eggs"]), {"eggs": 1}],
    ids=name_of,
)
def test_access(enter, kind, access):
    """A function of the user, or a collection of names."""
    thing = holder(kind, auth={"eggs": "spam", "joe": "eoj"}, access=access)
    assert enter(thing)[0] == UNAUTHORIZED
    assert enter(thing, authorization=EGGS)[0] == PASSED
    assert enter(thing, authorization=basic("joe", "eoj"))[0] == FORBIDDEN


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("constant", "result"),
    [(1, PASSED), (0, FORBIDDEN), (None, FORBIDDEN), ("", FORBIDDEN), (" ", FORBIDDEN)],
)
def test_constant_access(enter, kind, constant, result):
    """Counts as it is."""
    assert enter(holder(kind, access=constant))[0] == result


@pytest.mark.parametrize("access", [check_access, ["eggs"]], ids=["function", "list"])
def test_access_for_a_user_of_apaches(enter, access):
    """Whoever has authenticated; nothing else is read."""
    thing = holder("module", access=access)
    assert enter(thing, user="eggs", authorization="Digest username=x")[0] == PASSED
    assert enter(thing, user="joe", authorization="Digest username=x")[0] == FORBIDDEN


@pytest.mark.parametrize("access", [check_access, ["eggs"]], ids=["function", "list"])
def test_access_for_a_name_nobody_has_verified(enter, access):
    """Anybody can send one."""
    assert enter(holder("module", access=access), authorization=EGGS)[0] == FORBIDDEN
    assert enter(holder("module", auth=1, access=access), authorization=EGGS)[0] == FORBIDDEN


def test_access_list_without_auth_is_explained(enter, apache):
    """In the log."""
    enter(holder("module", access=["eggs"]), authorization=EGGS)
    assert [message[:6] for message, _ in apache.logged] == ["KK0130"]


def test_refused_password_is_logged(enter, apache):
    """With the name, and without the password; a first visit without any is none."""
    thing = holder("module", auth={"eggs": "spam"})
    enter(thing)
    assert apache.logged == []
    enter(thing, authorization=basic("eggs\n", "secret"))
    message, level = apache.logged[0]
    assert message.startswith(r"KK0131: user 'eggs\n'")
    assert "secret" not in message
    assert level == apache.APLOG_WARNING


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic ZWdncw==",
        "Basic \xe9",
        "basic ZWdnczpzcGFt!",
        "Basic ZWdnczpzcGF",
    ],
)
def test_malformed_authorization(enter, header):
    """The client's fault, where it is read; elsewhere nobody minds."""
    assert enter(holder("module", auth={"eggs": "spam"}), authorization=header)[0] == BAD_REQUEST
    assert enter(holder("module", auth=1), authorization=header)[0] == PASSED
    assert enter(holder("module"), authorization=header)[0] == PASSED


@pytest.mark.parametrize("header", ["", " ", "Digest username=eggs", "Bearer ZWdnczpzcGFt", "Basically ZWdn"])
def test_other_schemes_are_no_password(enter, header):
    """Somebody else's."""
    assert enter(holder("module", auth={"eggs": "spam"}), authorization=header)[0] == UNAUTHORIZED


def test_authorization_is_iso_8859_1(enter):
    """As LATER versions had it, and colons belong to the password; any case of the scheme."""
    seen = []
    thing = holder("module", auth=lambda req, user, password: seen.append((user, password)) or True)
    assert enter(thing, authorization=basic("josé", "a:b:ç").replace("Basic", "bASIC"))[0] == PASSED
    assert seen == [("josé", "a:b:ç")]


@pytest.mark.parametrize(
    ("realm", "header"),
    [
        ("Members only", 'Basic realm="Members only"'),
        ('a "b" \\', 'Basic realm="a \\"b\\" \\\\"'),
        ("Pässe", 'Basic realm="Pässe"'),
        ("Я", 'Basic realm="?"'),
        (7, 'Basic realm="7"'),
    ],
)
def test_realm(enter, realm, header):
    """Sent quoted."""
    _, req = enter(holder("module", auth=0, auth_realm=realm))
    assert req.err_headers_out == {"WWW-Authenticate": header}


def test_realm_by_default_and_from_further_out(enter):
    """The nearest on the way."""
    assert enter(holder("function", auth=0))[1].err_headers_out["WWW-Authenticate"] == 'Basic realm="unknown"'
    module = holder("module", auth_realm="outer")
    _, req = enter(module, holder("object"), holder("function", auth=0))
    assert req.err_headers_out["WWW-Authenticate"] == 'Basic realm="outer"'


def test_each_step_is_checked(enter):
    """What one lets pass, the next may refuse."""
    module = holder("module", auth={"eggs": "spam"})
    assert enter(module, holder("object", auth={"joe": "eoj"}), authorization=EGGS)[0] == UNAUTHORIZED
    assert enter(module, holder("object", access=["joe"]), authorization=EGGS)[0] == FORBIDDEN
    assert enter(module, holder("object", access=["eggs"]), authorization=EGGS)[0] == PASSED


@pytest.mark.parametrize(
    "members", [{"auth": ["eggs"]}, {"auth": object()}, {"access": object()}], ids=name_of
)
def test_what_means_nothing_is_an_error(enter, members):
    """Nobody is let in by mistake."""
    with pytest.raises(TypeError, match=next(iter(members))):
        enter(holder("module", **members), authorization=EGGS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["auth", "access"])
@pytest.mark.parametrize("text", ["eggs", b"eggs"])
def test_text_is_an_error(enter, kind, name, text):
    """`__access__ = ("eggs")` is no tuple: it lets nobody in, and the log says why."""
    with pytest.raises(TypeError, match=f"__{name}__ of .* is text"):
        enter(holder(kind, **{name: text}), user="eggs", authorization=EGGS)


def test_nested_text_is_an_error(enter):
    """In a function's body too."""

    def page(req):
        __access__ = "eggs"
        return __access__

    with pytest.raises(TypeError, match=r"__access__ of .* is text"):
        enter(page, user="eggs")


# In the body of a function

ALLOWED = {"eggs": "spam"}


def nested_function(req):
    __auth_realm__ = "Nested"

    def __auth__(req, user, passwd):
        return ALLOWED.get(user) == passwd

    def __access__(req, user):
        return user == "eggs"

    return "body", __auth__, __access__, __auth_realm__


def nested_annotated(req):
    def __auth__(req: object, user: str, passwd: str) -> bool:
        return ALLOWED.get(user) == passwd

    return __auth__


async def nested_async(req):
    async def __auth__(req, user, passwd):
        return ALLOWED.get(user) == passwd

    return __auth__


def nested_lambda(req):
    __auth__ = lambda req, user, passwd: ALLOWED.get(user) == passwd
    return __auth__


def nested_in_cell(req):
    def __auth__(req, user, passwd):
        return ALLOWED.get(user) == passwd

    return lambda: __auth__


def constant_true(req):
    __auth__ = 1
    return __auth__


class Page:
    def method(self, req):
        def __auth__(req, user, passwd):
            return ALLOWED.get(user) == passwd

        return __auth__

    __call__ = method


class Decorated:
    """A decorator that is a class."""

    def __init__(self, function):
        functools.update_wrapper(self, function)

    def __call__(self, *args):
        return self.__wrapped__(*args)

    def __get__(self, instance, owner):
        return types.MethodType(self, instance)


class DecoratedPage:
    method = Decorated(Page.method)


NESTED = [
    nested_function,
    nested_annotated,
    nested_async,
    nested_lambda,
    nested_in_cell,
    Page().method,
    Page(),
    functools.partial(nested_function),
    functools.cache(nested_function),
    functools.wraps(nested_function)(lambda *args: None),
    functools.wraps(nested_function)(functools.partial(print)),
    functools.cache(functools.wraps(nested_function)(lambda *args: None)),
    Decorated(nested_function),
    Decorated(functools.cache(nested_function)),
    functools.wraps(nested_function)(Decorated(constant_true)),
    DecoratedPage().method,
]


@pytest.mark.parametrize("function", NESTED, ids=name_of)
def test_nested_functions(enter, function):
    """Are evaluated without the body, with the module's globals."""
    assert enter(function)[0] == UNAUTHORIZED
    assert enter(function, authorization=basic("eggs", "x"))[0] == UNAUTHORIZED
    assert enter(function, authorization=EGGS)[0] == PASSED


def test_nested_in_what_a_class_decorates(enter):
    """Each of its objects has the checks of its own function."""
    assert enter(Decorated(constant_true))[0] == PASSED
    assert enter(Decorated(nested_function))[0] == UNAUTHORIZED
    assert enter(Decorated(constant_true))[0] == PASSED


def test_nothing_keeps_a_function(enter):
    """What is nested in its body has its globals, which have it."""
    names = {}
    exec("def page(req):\n    def __auth__(req, user, password):\n        return page", names)
    assert enter(names["page"], authorization=EGGS)[0] == PASSED
    reference = weakref.ref(names["page"])
    del names
    gc.collect()
    assert reference() is None


def test_nested_realm(enter):
    """Of the same function."""
    _, req = enter(nested_function)
    assert req.err_headers_out["WWW-Authenticate"] == 'Basic realm="Nested"'


def constant_false(req, name="x"):
    __auth__ = 0
    return name


def constant_none(req):
    __auth__ = None


def constant_access(req):
    __access__ = False
    return __access__


def constant_tuple(req):
    __access__ = ("eggs", "joe")
    return __access__


@pytest.mark.parametrize(
    ("function", "result"),
    [
        (constant_true, PASSED),
        (constant_false, UNAUTHORIZED),
        (constant_none, UNAUTHORIZED),
        (constant_access, FORBIDDEN),
    ],
)
def test_nested_constants(enter, function, result):
    """Count too."""
    assert enter(function)[0] == result


def test_nested_tuple(enter):
    """A tuple of constants is one."""
    assert enter(constant_tuple, user="joe")[0] == PASSED
    assert enter(constant_tuple, user="eva")[0] == FORBIDDEN


def test_parameters_are_not_nested(enter):
    """Of whatever name."""

    def page(req, __auth__=0, *__access__, **__auth_realm__):
        return __auth__, __access__, __auth_realm__

    assert enter(page)[0] == PASSED


def nested_dict(req):
    __auth__ = {"eggs": "spam"}
    return __auth__


def nested_list(req):
    __access__ = ["eggs"]
    return __access__


def nested_twice(req):
    __auth__ = 1
    if req:
        __auth__ = 0
    return __auth__


def nested_computed(req):
    __auth__ = bool(req)
    return __auth__


def nested_defaults(req):
    def __auth__(req, user, passwd, allowed=ALLOWED):
        return allowed.get(user) == passwd

    return __auth__


def nested_decorated(req):
    @functools.cache
    def __auth__(req, user, passwd):
        return True

    return __auth__


def nested_closure(req):
    allowed = ALLOWED

    def __auth__(req, user, passwd):
        return allowed.get(user) == passwd

    return __auth__


def nested_loop(req):
    for __auth__ in (1,):
        return __auth__
    return None


def nested_either(req):
    __auth__ = 0 if req.user else 1
    return __auth__


def nested_and(req):
    __access__ = req and 1
    return __access__


def nested_or(req):
    __auth__ = ALLOWED or 1
    return __auth__


def nested_either_function(req):
    __auth__ = (lambda req, user, passwd: False) if req else (lambda req, user, passwd: True)
    return __auth__


UNKNOWABLE = [
    nested_dict,
    nested_list,
    nested_twice,
    nested_computed,
    nested_defaults,
    nested_decorated,
    nested_closure,
    nested_loop,
    nested_either,
    nested_and,
    nested_or,
    nested_either_function,
]


@pytest.mark.parametrize("function", UNKNOWABLE)
def test_what_only_the_body_could_tell_is_an_error(enter, function):
    """It protects nothing by itself, so nobody is let in."""
    with pytest.raises(TypeError, match=f"in the body of {function.__name__}"):
        enter(function, authorization=EGGS)
