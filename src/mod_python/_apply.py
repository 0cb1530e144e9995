"""Calling a function with the fields of a form that it takes."""

import functools
import inspect
from collections.abc import Callable, Mapping
from types import FunctionType, MethodType
from typing import Any

__all__ = ["apply_fs_data"]

_KEYWORD = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


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
        TypeError: A parameter has neither a field nor a default.
    """
    parameters, reserved = _parameters(callable)
    given = {name: fs[name] for name in fs} | args
    positional = []
    for name in [p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_ONLY]:
        if name not in given:
            break
        positional.append(given[name])
        reserved.add(name)
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        named = {name: value for name, value in given.items() if name not in reserved}
    else:
        named = {p.name: given[p.name] for p in parameters if p.kind in _KEYWORD and p.name in given}
    return callable(*positional, **named)


def _parameters(callable: Callable[..., Any]) -> tuple[list[inspect.Parameter], set[str]]:
    """What a callable takes, nothing if it is built in; and what is passed to its code
    already, such as self, and must not come from a form."""
    function = _code_of(callable)
    if function is None:
        return [], set()
    visible = inspect.signature(callable).parameters
    return list(visible.values()), set(inspect.signature(function).parameters) - set(visible)


def _code_of(callable: Any) -> FunctionType | None:
    """The function of Python that a call runs; None if there is none."""
    if isinstance(callable, FunctionType):
        return callable
    if isinstance(callable, MethodType):
        return _code_of(callable.__func__)
    if isinstance(callable, functools.partial):
        return _code_of(callable.func)
    names = ("__init__", "__new__") if isinstance(callable, type) else ("__call__",)
    kind = callable if isinstance(callable, type) else type(callable)
    functions = (getattr(kind, name, None) for name in names)
    return next((function for function in functions if isinstance(function, FunctionType)), None)
