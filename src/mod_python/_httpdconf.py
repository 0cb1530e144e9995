"""What Apache configurations are made of: see httpdconf."""

import os
import sys
from typing import Any

import mod_python
import mod_python.version

__all__ = [
    "Comment",
    "Container",
    "ContainerTag",
    "Directive",
    "NamedDirective",
    "NamedTag",
    "quote_if_space",
]

_STEP = 2


def quote_if_space(s: str) -> str:
    """The text in quotation marks, if it has a space."""
    return f'"{s}"' if " " in s else s


def _indented(text: str, width: int) -> str:
    return "".join(f"{' ' * width}{line}" for line in text.splitlines(keepends=True))


def _argument(text: str) -> str:
    """An argument of a repr(), on lines of its own."""
    return _indented(text, 4) + ",\n"


class Directive:
    """A line: a name and its arguments."""

    def __init__(self, name: str, val: str, flipslash: object = 1) -> None:
        """
        Args:
            name: As in the configuration.
            val: Its arguments, quoted where they need it.
            flipslash: Write every backslash as a slash, as in the paths of Windows.

        Raises:
            ValueError: There is a line break in it, which would begin another directive.
        """
        if "\n" in f"{name}{val}" or "\r" in f"{name}{val}":
            raise ValueError(f"{name}: a directive is one line, and this has several: {val!r}")
        self.name = name
        self.val = val
        self.flipslash = flipslash

    def __str__(self) -> str:
        line = f"{self.name} {self.val}"
        return (line.replace("\\", "/") if self.flipslash else line) + "\n"

    def __repr__(self) -> str:
        flag = "" if self.flipslash else ", flipslash=0"
        return f"{type(self).__name__}({self.name!r}, {self.val!r}{flag})"


class NamedDirective(Directive):
    """A directive whose class has its name."""

    flips = 1

    def __init__(self, val: str) -> None:
        """
        Args:
            val: Its arguments, quoted where they need it.

        Raises:
            ValueError: There is a line break in it.
        """
        super().__init__(type(self).__name__, val, self.flips)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.val!r})"


class Comment:
    """Text that says something to people."""

    def __init__(self, text: str) -> None:
        """
        Args:
            text: A comment for each of its lines.
        """
        self.text = text

    def __str__(self) -> str:
        return "".join(f"# {line}".rstrip() + "\n" for line in self.text.splitlines() or [""])

    def __repr__(self) -> str:
        return f"Comment({self.text!r})"


class Container:
    """Directives, sections and comments, one after the other."""

    def __init__(self, *args: Any, only_if: str | None = None) -> None:
        """
        Args:
            args: What is in it.
            only_if: A Python expression; if that is false when the text is made, there is
                none. It may name `mod_python`, `os` and `sys`.

        Raises:
            TypeError: Something of the arguments cannot be in a configuration.
        """
        self.only_if = only_if
        self.args: list[Directive | Comment | Container] = []
        for item in args:
            self.append(item)

    def append(self, x: Any) -> None:
        """Add a Directive, Comment, ContainerTag or Container at the end.

        Raises:
            TypeError: It is something else.
        """
        if not isinstance(x, Directive | Comment | Container):
            kind = type(x).__name__
            raise TypeError(
                f"a configuration has directives, comments and containers, not {kind}: {x!r:.100}"
            )
        self.args.append(x)

    def _is_wanted(self) -> bool:
        names = {"mod_python": mod_python, "os": os, "sys": sys}
        return self.only_if is None or bool(eval(self.only_if, names))

    def __str__(self) -> str:
        return "".join(str(item) for item in self.args) if self._is_wanted() else ""

    def __repr__(self) -> str:
        condition = [] if self.only_if is None else [f"only_if={self.only_if!r}"]
        return _call("Container", [*map(repr, self.args), *condition])


def _call(name: str, arguments: list[str]) -> str:
    """Python that calls, with an argument a line."""
    return f"{name}(\n{''.join(map(_argument, arguments))})" if arguments else f"{name}()"


class ContainerTag(Container):
    """A section: <Tag attr> and what is in it."""

    def __init__(self, tag: str, attr: str, args: Any = (), flipslash: object = 1) -> None:
        """
        Args:
            tag: As in the configuration, without angle brackets.
            attr: Its argument.
            args: A sequence of what is in it.
            flipslash: Write every backslash in attr as a slash.

        Raises:
            TypeError: Something of args cannot be in a configuration.
            ValueError: There is a line break in attr.
        """
        if "\n" in f"{tag}{attr}" or "\r" in f"{tag}{attr}":
            raise ValueError(f"<{tag}>: its argument is one line, and this has several: {attr!r}")
        super().__init__(*args)
        self.tag = tag
        self.attr = attr
        self.flipslash = flipslash

    def __str__(self) -> str:
        attr = self.attr.replace("\\", "/") if self.flipslash else self.attr
        return f"<{self.tag} {attr}>\n{_indented(super().__str__(), _STEP)}</{self.tag}>\n"

    def __repr__(self) -> str:
        flag = [] if self.flipslash else ["flipslash=0"]
        within = _call("", list(map(repr, self.args))).replace("()", "[]")
        within = f"[{within[1:-1]}]" if self.args else "[]"
        return _call(type(self).__name__, [repr(self.tag), repr(self.attr), within, *flag])


class NamedTag(ContainerTag):
    """A section whose class has its name."""

    def __init__(self, attr: str, *args: Any) -> None:
        """
        Args:
            attr: Its argument.
            args: What is in it.

        Raises:
            TypeError: Something of args cannot be in a configuration.
            ValueError: There is a line break in attr.
        """
        super().__init__(type(self).__name__, attr, args)

    def __repr__(self) -> str:
        return _call(type(self).__name__, [repr(self.attr), *map(repr, self.args)])
