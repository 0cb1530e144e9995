"""Who may have what is published: __auth__, __access__ and __auth_realm__ (manual, 6.1.2).

They are looked for in each object on the way, the module included, and of functions in
their attributes and in their code too: what stands in a function's body runs before
the function is called, hence is taken from its compiled code and evaluated with the
module's globals. What cannot be found out without running the body is an error, never
a door left open; and so is an __auth__ of a type that means nothing, and text that means
nothing, as in `__access__ = ("eggs")`, whose comma was forgotten.

The name that __access__ is asked about is one that somebody has verified: an __auth__
on the way, or Apache before. What is in an Authorization header that nobody has looked
at is no name.
"""

import base64
import dis
import functools
from collections.abc import Iterator, Mapping, Set
from http import HTTPStatus
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import _apache

from mod_python import _passwords
from mod_python._calls import OF_C, settled
from mod_python._errors import SERVER_RETURN

__all__ = ["Gate", "nested_in"]

NAMES = ("__auth__", "__access__", "__auth_realm__")
DEFAULT_REALM = "unknown"

_ABSENT: Any = object()
_CONSTANT = (bool, int, float, complex, str, bytes, type(None))
#: By function, what its body assigns, as _assigned() has it: no function, whose globals would
#: keep the module, and so this one, for good.
_nested: "WeakKeyDictionary[Any, dict[str, tuple[Any, bool]]]" = WeakKeyDictionary()


class Gate:
    """The checks of one request, on its way from the module to what is published."""

    __slots__ = ("_credentials", "_realm", "_req", "_user")

    def __init__(self, req: Any) -> None:
        self._req = req
        self._realm = DEFAULT_REALM
        #: What an __auth__ has verified.
        self._user: str | None = None
        self._credentials: tuple[str, str] | None = _ABSENT

    def enter(self, thing: Any) -> None:
        """Let the request come to this object.

        Raises:
            SERVER_RETURN: It may not: HTTP_UNAUTHORIZED, HTTP_FORBIDDEN; HTTP_BAD_REQUEST
                for an Authorization header that cannot be read.
            TypeError: What is to be checked is nothing that can be.
        """
        if isinstance(thing, ModuleType):
            members = vars(thing)
            if "__auth__" in members or "__access__" in members or "__auth_realm__" in members:
                self._check(members.get("__file__") or thing.__name__, members)
            return
        found = {}
        for name in NAMES:
            value = getattr(thing, name, _ABSENT)
            if value is not _ABSENT:
                found[name] = value
        if found:
            self._check(_title(thing), found)
        nested = nested_in(thing)
        if nested:
            self._check(_title(thing), nested)

    def _check(self, where: str, members: Mapping[str, Any]) -> None:
        self._realm = members.get("__auth_realm__", self._realm)
        auth = members.get("__auth__", _ABSENT)
        if auth is not _ABSENT and not self._is_authentic(where, auth):
            raise self._unauthorized()
        access = members.get("__access__", _ABSENT)
        if access is not _ABSENT and not self._has_access(where, access):
            raise SERVER_RETURN(HTTPStatus.FORBIDDEN)

    def _is_authentic(self, where: str, auth: Any) -> bool:
        if isinstance(auth, _CONSTANT):
            return _is_true("__auth__", where, auth)
        if not callable(auth) and not isinstance(auth, Mapping):
            raise TypeError(
                f"__auth__ of {where} is a {type(auth).__name__}: make it a function of "
                "(req, user, password), a dict of passwords by user, or a constant"
            )
        credentials = self._read_credentials()
        if credentials is None:
            return False
        user, password = credentials
        if callable(auth):
            is_authentic = bool(settled(auth(self._req, user, password)))
        else:
            is_authentic = _passwords.is_user(auth, user, password)
        if is_authentic:
            self._user = self._req.user = user
            self._req.ap_auth_type = "Basic"
        else:
            _apache._log(
                f"KK0131: user {user!r} and the password sent were refused by __auth__ of {where}",
                _apache.APLOG_WARNING,
            )
        return is_authentic

    def _has_access(self, where: str, access: Any) -> bool:
        if isinstance(access, _CONSTANT):
            return _is_true("__access__", where, access)
        user = self._user or self._req.user
        if callable(access):
            return bool(settled(access(self._req, user)))
        if not isinstance(access, list | tuple | Set | Mapping):
            raise TypeError(
                f"__access__ of {where} is a {type(access).__name__}: make it a function of "
                "(req, user), a list of users, or a constant"
            )
        if user is None:
            _apache._log(
                f"KK0130: __access__ of {where} names users, but nobody has verified who this is: "
                "give it an __auth__ too, or let Apache authenticate",
                _apache.APLOG_WARNING,
            )
            return False
        return any(reading in access for reading in _passwords.readings(user))

    def _read_credentials(self) -> tuple[str, str] | None:
        """User and password of the Authorization header, if it is of HTTP Basic (RFC 7617)."""
        if self._credentials is _ABSENT:
            header = self._req.headers_in.get("Authorization")
            scheme, _, encoded = (header or "").strip().partition(" ")
            self._credentials = _decode(encoded.strip()) if scheme.lower() == "basic" else None
        return self._credentials

    def _unauthorized(self) -> SERVER_RETURN:
        realm = str(self._realm).encode("iso-8859-1", "replace").decode("iso-8859-1")
        quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
        self._req.err_headers_out["WWW-Authenticate"] = f'Basic realm="{quoted}"'
        return SERVER_RETURN(HTTPStatus.UNAUTHORIZED)


def _is_true(name: str, where: str, constant: Any) -> bool:
    """What a constant says; blank text is false, as in the manual."""
    if not isinstance(constant, str | bytes):
        return bool(constant)
    if constant.strip():
        cure = "a function, a dict" if name == "__auth__" else "a function, a list"
        comma = "" if name == "__auth__" else '; one name in a tuple has a comma, ("name",)'
        raise TypeError(
            f"{name} of {where} is text, and would let everybody in: make it {cure}, True or False{comma}"
        )
    return False


def _decode(encoded: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(encoded, validate=True).decode("iso-8859-1")
    except ValueError:
        text = ""
    user, colon, password = text.partition(":")
    if not colon:
        raise SERVER_RETURN(HTTPStatus.BAD_REQUEST)
    return user, password


def _title(thing: Any) -> str:
    return getattr(thing, "__qualname__", None) or type(thing).__qualname__


# What stands in a function's body


def nested_in(thing: Any) -> dict[str, Any]:
    """Those of NAMES that are defined in the body of a function, of a method, of a callable
    instance's __call__, and of the functions that these wrap; the outermost of each.

    Raises:
        TypeError: One cannot be evaluated without running the body.
    """
    found: dict[str, Any] = {}
    for function in _functions_of(thing):
        nested = _nested.get(function)
        if nested is None:
            names = _locals(function.__code__).intersection(NAMES)
            nested = _nested[function] = {name: _evaluate(function, name) for name in names}
        if nested:
            found = {name: _made(function, name, *each) for name, each in nested.items()} | found
    return found


def _functions_of(thing: Any) -> Iterator[FunctionType]:
    """The functions of Python that are called when this is, the outermost first."""
    seen: list[Any] = []
    waiting = [thing]
    while waiting:
        each = waiting.pop(0)
        if not callable(each) or isinstance(each, type) or any(each is other for other in seen):
            continue
        seen.append(each)
        if isinstance(each, FunctionType):
            yield each
        elif isinstance(each, MethodType):
            waiting.append(each.__func__)
        elif isinstance(each, functools.partial):
            waiting.append(each.func)
        elif not isinstance(each, OF_C):
            waiting.append(type(each).__call__)
        # What functools.update_wrapper() has left there.
        waiting.append(getattr(each, "__dict__", {}).get("__wrapped__"))


def _locals(code: CodeType) -> set[str]:
    """The local variables of a function that are no parameters."""
    variadic = bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)  # *args, **kwargs
    parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + variadic]
    return {*code.co_varnames, *code.co_cellvars} - set(parameters)


def _evaluate(function: FunctionType, name: str) -> tuple[Any, bool]:
    """What the body assigns to a local variable: a constant, or the code of a function, and
    whether it is that."""
    made = _assigned(function.__code__, name)
    if made is None:
        raise TypeError(
            f"{name} in the body of {function.__qualname__}() (line "
            f"{function.__code__.co_firstlineno} of {function.__code__.co_filename}) must be a def "
            "without decorators and defaults, or one constant: anything else is known only when "
            f"the function runs; set {function.__name__}.{name} after the function instead"
        )
    value, is_function = made
    if is_function and value.co_freevars:
        raise TypeError(
            f"{name} in the body of {function.__qualname__}() uses that function's variables "
            f"({', '.join(value.co_freevars)}), but runs before it: use the module's"
        )
    return made


def _made(function: FunctionType, name: str, value: Any, is_function: bool) -> Any:
    """The constant, or a function of that code."""
    return FunctionType(value, function.__globals__, name) if is_function else value


def _assigned(code: CodeType, name: str) -> tuple[Any, bool] | None:
    """The constant, or the code of the function, that is assigned to a local variable in one
    place only; and whether it is such code. None: it is anything else."""
    instructions, targets = _instructions(code)
    stores = [index for index, each in enumerate(instructions) if _stores(each, name)]
    if len(stores) != 1 or not _stores_first(instructions[stores[0]], name):
        return None
    index = stores[0] - 1
    while index > 0 and instructions[index].opname == "SET_FUNCTION_ATTRIBUTE":  # 3.13
        if instructions[index].arg in (1, 2):  # defaults
            return None
        index -= 1
    # Where a jump leads to behind the value, as of `a and 1`, there is another value.
    made = instructions[index]
    if made.opname == "MAKE_FUNCTION" and index > 0 and isinstance(instructions[index - 1].argval, CodeType):
        has_defaults = (made.arg or 0) & 3  # up to 3.12
        is_either = not targets.isdisjoint(range(index, stores[0] + 1))
        return None if has_defaults or is_either else (instructions[index - 1].argval, True)
    if made.opname in ("LOAD_CONST", "LOAD_SMALL_INT", "LOAD_CONST_IMMORTAL"):
        return None if stores[0] in targets else (made.argval, False)
    return None


def _instructions(code: CodeType) -> tuple[list[dis.Instruction], set[int]]:
    """Those that do something, and at which of them jumps arrive."""
    instructions: list[dis.Instruction] = []
    targets: set[int] = set()
    for each in dis.get_instructions(code):
        if each.is_jump_target:
            targets.add(len(instructions))
        if each.opname not in ("NOP", "EXTENDED_ARG"):
            instructions.append(each)
    return instructions, targets


def _stores(instruction: dis.Instruction, name: str) -> bool:
    """Whether an instruction assigns to a local variable; from 3.13 on some have two."""
    operands = instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,)
    if instruction.opname == "STORE_FAST_LOAD_FAST":
        operands = operands[:1]
    is_store = instruction.opname.startswith(("STORE_FAST", "STORE_DEREF"))
    return is_store and name in operands


def _stores_first(instruction: dis.Instruction, name: str) -> bool:
    """Whether it is what the instruction before has made that it assigns."""
    operands = instruction.argval
    return bool(operands == name or (isinstance(operands, tuple) and operands[0] == name))
