"""Calling the objects of programs with what a client sent, by the names of their parameters.

The rule (manual, 6.1.2): a parameter gets the field of its name, `**kwargs` gets the
fields that no other parameter has, and all else is dropped. What the caller itself
gives, as `req`, no field can replace.

inspect.signature() says what an object takes, so decorators that use functools.wraps()
are seen through; what it said is kept for as long as the function lives.
"""

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    WrapperDescriptorType,
)
from typing import Any
from weakref import WeakKeyDictionary

__all__ = [
    "NO_PARAMETERS",
    "OF_C",
    "MissingArguments",
    "Parameters",
    "apply_fs_data",
    "by_name",
    "parameters_of",
    "settled",
]


#: Built-in functions and methods: of C, and not made to be called by strangers.
OF_C = (
    BuiltinFunctionType,
    MethodWrapperType,
    WrapperDescriptorType,
    MethodDescriptorType,
    ClassMethodDescriptorType,
)


class MissingArguments(TypeError):
    """Required arguments are in neither the form nor what the caller gives.

    Attributes:
        names: The arguments' names.
    """

    def __init__(self, names: list[str]) -> None:
        super().__init__(f"no field for the required {', '.join(map(repr, names))}")
        self.names = names


#: Of defaults that refer to nothing else.
_PLAIN = (str, bytes, int, bool, float, complex, type(None))


def _bare(parameter: Parameter) -> Parameter:
    """A parameter without its annotation, and without a default that is never passed on."""
    default = parameter.default
    if default is not Parameter.empty and parameter.kind is not Parameter.POSITIONAL_ONLY:
        default = None
    return parameter.replace(annotation=Parameter.empty, default=default)


class Parameters:
    """What a callable takes."""

    __slots__ = (
        "_all",
        "_bound",
        "_takes_rest",
        "may_be_kept",
        "names",
        "takes_fields",
        "takes_request_only",
    )

    def __init__(self, parameters: Iterable[Parameter] = (), bound: str | None = None) -> None:
        """
        Args:
            parameters: As of an inspect.Signature.
            bound: The name of the parameter that is taken already, a method's `self`.
        """
        listed = list(parameters)
        self._bound = bound
        self._takes_rest = any(each.kind is Parameter.VAR_KEYWORD for each in listed)
        variable = (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL)
        self._all = tuple(_bare(each) for each in listed if each.kind not in variable)
        #: Of the parameters that have one, in order.
        self.names = tuple(each.name for each in self._all)
        #: Whether it takes anything but `req`, by position.
        self.takes_fields = self._takes_rest or self.names not in ((), ("req",))
        if self.names and self._all[0].kind is Parameter.KEYWORD_ONLY:
            self.takes_fields = True
        #: Whether it is called with `req` alone.
        self.takes_request_only = self.names == ("req",) and not self.takes_fields
        #: Whether it has nothing of the program's, which might lead to the function itself.
        self.may_be_kept = all(
            each.default is Parameter.empty or type(each.default) in _PLAIN for each in self._all
        )

    def arguments(
        self, form: Mapping[str, Any], given: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """What to call it with.

        Args:
            form: The fields, as by_name() has them.
            given: What the caller has for it, which goes before fields of the same names.

        Returns:
            Positional and keyword arguments.

        Raises:
            MissingArguments: A parameter has no default and gets nothing.
        """
        positional: list[Any] = []
        keywords: dict[str, Any] = {}
        missing: list[str] = []
        for index, parameter in enumerate(self._all):
            name = parameter.name
            if name in given:
                value = given[name]
            elif name in form:
                value = form[name]
            elif parameter.default is Parameter.empty:
                missing.append(name)
                continue
            elif parameter.kind is Parameter.POSITIONAL_ONLY:
                value = parameter.default
            else:
                continue
            # The first goes by position, for wrappers that take (*args, **kwargs) and
            # look for the request in args[0]; the others by name, for those that do not.
            first = index == 0 and name in given and parameter.kind is not Parameter.KEYWORD_ONLY
            if first or parameter.kind is Parameter.POSITIONAL_ONLY:
                positional.append(value)
            else:
                keywords[name] = value
        if missing:
            raise MissingArguments(missing)
        if self._takes_rest:
            self._add_rest(keywords, form, given)
        return positional, keywords

    def _add_rest(self, keywords: dict[str, Any], form: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        """What goes into **kwargs."""
        for name, value in form.items():
            if name not in given and name not in self.names and name != self._bound:
                keywords[name] = value
        for name, value in given.items():
            if name not in self.names:
                keywords[name] = value


#: Attributes with which an instance takes something else than others of its class: that of a
#: class that decorates functions, with functools.update_wrapper(), takes what its function does.
_OWN_SIGNATURE = frozenset(("__wrapped__", "__signature__"))

#: What a function without parameters takes.
NO_PARAMETERS = Parameters()
_of_functions: "WeakKeyDictionary[Any, Parameters]" = WeakKeyDictionary()
_of_methods: "WeakKeyDictionary[Any, Parameters]" = WeakKeyDictionary()


def by_name(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A form's fields, several of one name as a list.

    Args:
        pairs: Name and field, for each field: FieldStorage.items().
    """
    fields: dict[str, Any] = {}
    several: set[str] = set()
    for name, field in pairs:
        if name not in fields:
            fields[name] = field
        elif name in several:
            fields[name].append(field)
        else:
            several.add(name)
            fields[name] = [fields[name], field]
    return fields


def parameters_of(function: Callable[..., Any]) -> Parameters:
    """What a function, method, class or callable instance takes; of a built-in function, nothing."""
    if function.__class__ is FunctionType:
        return _known(_of_functions, function, function)
    if isinstance(function, type):
        kind: Any = function
        code = next((each for each in (kind.__init__, kind.__new__) if _is_python(each)), None)
        return _inspect(function, _first_of(code)) if code else NO_PARAMETERS
    method = function if isinstance(function, MethodType) else type(function).__call__
    code = getattr(method, "__func__", method)
    if not _is_python(code):
        return _inspect(function, None)
    if method is not function and not _OWN_SIGNATURE.isdisjoint(getattr(function, "__dict__", ())):
        return _inspect(function, _first_of(code))
    return _known(_of_methods, code, function)


def _is_python(code: Any) -> bool:
    return isinstance(code, FunctionType)


def _first_of(code: Any) -> str | None:
    """The name of a function's first parameter: what a method is bound to."""
    return next(iter(inspect.signature(code).parameters), None)


def _known(
    cache: "WeakKeyDictionary[Any, Parameters]", code: Any, function: Callable[..., Any]
) -> Parameters:
    """From the cache, or put there."""
    parameters = cache.get(code)
    if parameters is None:
        bound = None if code is function else _first_of(code)
        parameters = _inspect(function, bound)
        if parameters.may_be_kept:
            cache[code] = parameters
    return parameters


def _inspect(function: Callable[..., Any], bound: str | None) -> Parameters:
    if isinstance(function, OF_C):
        return NO_PARAMETERS
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return NO_PARAMETERS  # it is of C, and does not say
    return Parameters(signature.parameters.values(), bound)


def apply_fs_data(callable: Callable[..., Any], fs: Mapping[str, Any], **args: Any) -> Any:
    """Call an object with the fields of a form that its parameters name.

    A field that came several times is passed as a list, an upload as Field. With a
    parameter `**kw` all fields are passed. Built-in functions and types get nothing.

    Args:
        callable: A function, method, class or instance with `__call__`.
        fs: A FieldStorage.
        args: Passed like fields, in whose place they come.

    Returns:
        What the object returns.

    Raises:
        MissingArguments: A parameter has neither a field nor a default; a TypeError, which
            the publisher answers with HTTP_BAD_REQUEST.
    """
    positional, keywords = parameters_of(callable).arguments(by_name(fs.items()), args)
    return callable(*positional, **keywords)


def settled(result: Any) -> Any:
    """The result of a call; of an async function, what it comes to.

    It is awaited in the calling thread, in an event loop of its own.
    """
    if not inspect.isawaitable(result):
        return result

    async def wait() -> Any:
        return await result

    return asyncio.run(wait())
