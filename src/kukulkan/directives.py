"""Reading Apache's configuration files without Apache.

`httpd -t` stops at the first thing that is wrong, such as a module that cannot be
loaded, and what has to be said then is just that. So the files are read as httpd reads
them: continued lines, `Include`, `Define` and `${NAME}`, sections. Conditions that only
httpd can decide (`<If>`) are taken as met, and so are `<IfModule>` and `<IfDefine>`:
what is in them may be used. A `<Macro>` is read as it stands, once.
"""

import glob
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kukulkan.findings import ERROR, Finding

_VARIABLE = re.compile(r"\$\{([\w.-]+)\}")
_WORD = re.compile(r"\"((?:\\.|[^\"\\])*)\"|'((?:\\.|[^'\\])*)'|(\S+)")
_ESCAPED = re.compile(r"\\([\"'\\])")
_EXPORT = re.compile(r"^\s*(?:export\s+)?(\w+)=([\w./:@-]*|\"[^\"$`]*\"|'[^']*')\s*$", re.MULTILINE)

# Sections that say where a handler is found, or what it is for.
_PLACES = ("directory", "directorymatch", "location", "locationmatch")

# As deep as httpd follows Include.
MAX_DEPTH = 20


@dataclass(frozen=True)
class Section:
    """`<Directory "/srv">`: its name in lower case, and its words."""

    name: str
    arguments: tuple[str, ...]
    at: str = ""
    """Its file and line, which tells two virtual hosts of one address apart."""


@dataclass(frozen=True)
class Directive:
    """One line of the configuration."""

    name: str
    """In lower case: httpd does not tell the cases apart."""
    arguments: tuple[str, ...]
    written: str
    """The name as it is written."""
    file: str
    line: int
    sections: tuple[Section, ...]
    """Those around it, the outermost first."""

    def place(self) -> Section | None:
        """The innermost <Directory>, <DirectoryMatch>, <Location> or <LocationMatch>."""
        return next((section for section in reversed(self.sections) if section.name in _PLACES), None)

    def directory(self) -> str | None:
        """The directory that it is for, without a "/" at the end: that of the innermost
        <Directory>; None outside, and where that is a pattern."""
        place = self.place()
        if place is None or place.name != "directory" or self.has_pattern():
            return None
        return place.arguments[0].rstrip("/") or "/"

    def has_pattern(self) -> bool:
        """Whether it is for all directories that fit a pattern."""
        place = self.place()
        if place is None or not place.name.startswith("directory"):
            return False
        path = place.arguments[0] if place.arguments else ""
        return place.name == "directorymatch" or path in ("", "~") or bool(set(path) & set("*?["))

    def location(self) -> str | None:
        """The path of the URLs that it is for, if that is a <Location>'s and no pattern."""
        place = self.place()
        if place is None or place.name != "location" or not place.arguments:
            return None
        path = place.arguments[0]
        return None if path == "~" or set(path) & set("*?[") else path

    def is_for_all(self) -> bool:
        """Whether it is for everything: in no section, or in such as say nothing of where."""
        limits = [section for section in self.sections if not section.name.startswith("if")]
        return all(section.name == "location" and section.arguments == ("/",) for section in limits)

    def host(self) -> Section | None:
        """The <VirtualHost> that it stands in."""
        return next((section for section in self.sections if section.name == "virtualhost"), None)


class Configuration(NamedTuple):
    """What was read."""

    directives: list[Directive]
    findings: list[Finding]
    """What kept something from being read."""
    root: Path
    """ServerRoot."""


def read(file: Path, environment: Mapping[str, str]) -> Configuration:
    """The directives of a configuration, included files in their places.

    Args:
        environment: Variables, beside those that `Define` makes and `envvars` beside the
            file exports, as Debian has it.
    """
    reader = _Reader({**_exported(file.with_name("envvars")), **environment}, file.parent)
    reader.file(file, (), 0)
    return Configuration(reader.directives, reader.findings, reader.root)


def read_htaccess(file: Path) -> Configuration:
    """The directives of an .htaccess file, as in a <Directory> of its directory."""
    reader = _Reader(dict(os.environ), file.parent)
    reader.file(file, (Section("directory", (str(file.parent),)),), 0)
    return Configuration(reader.directives, reader.findings, reader.root)


def _exported(file: Path) -> dict[str, str]:
    """What a shell file exports by plain words."""
    try:
        text = file.read_text("utf-8", "surrogateescape")
    except OSError:
        return {}
    return {name: value.strip("\"'") for name, value in _EXPORT.findall(text)}


class _Reader:
    """One reading of a configuration."""

    def __init__(self, variables: dict[str, str], root: Path) -> None:
        """
        Args:
            variables: Those that there are.
            root: Where relative names begin, as long as no ServerRoot says so: Debian has
                none, for there it is the directory of the configuration.
        """
        self.directives: list[Directive] = []
        self.findings: list[Finding] = []
        self.root = root
        self._variables = variables
        self._is_too_deep = False

    def file(self, path: Path, sections: tuple[Section, ...], depth: int) -> None:
        """Read a file, which stands within these sections."""
        try:
            text = path.read_text("utf-8", "surrogateescape")
        except OSError as error:
            is_dead_link = path.is_symlink() and not path.exists()
            cure = "Take the link out." if is_dead_link else "Run this as root, or allow it."
            self._find(str(path), 0, f"cannot be read: {error.strerror}", cure)
            return
        open_sections = list(sections)
        for number, line in _lines(text):
            self._line(line, str(path), number, open_sections, len(sections), depth)

    def _line(
        self, line: str, file: str, number: int, open_sections: list[Section], least: int, depth: int
    ) -> None:
        line = _VARIABLE.sub(lambda name: self._variables.get(name[1], name[0]), line)
        if line.startswith("</"):
            if len(open_sections) > least:
                open_sections.pop()
            return
        if line.startswith("<"):
            name, _, rest = line[1:].rstrip().removesuffix(">").partition(" ")
            open_sections.append(Section(name.lower(), words(rest), f"{file}:{number}"))
            return
        name, _, rest = line.partition(" ")
        directive = Directive(name.lower(), words(rest), name, file, number, tuple(open_sections))
        self.directives.append(directive)
        self._act(directive, depth)

    def _act(self, directive: Directive, depth: int) -> None:
        """What a directive does to the reading of others."""
        arguments = directive.arguments
        if directive.name == "serverroot" and arguments:
            self.root = Path(arguments[0])
        elif directive.name == "define" and arguments:
            self._variables[arguments[0]] = arguments[1] if len(arguments) > 1 else ""
        elif directive.name in ("include", "includeoptional") and arguments:
            self._include(directive, depth)

    def _include(self, directive: Directive, depth: int) -> None:
        pattern = str(self.root / directive.arguments[0])
        if self._is_too_deep:
            return  # a file that includes itself twice would be read a million times
        if depth >= MAX_DEPTH:
            self._is_too_deep = True
            self._find(
                directive.file,
                directive.line,
                "Include goes too deep: a file may include itself",
                "Take it out.",
            )
            return
        found = sorted(glob.glob(pattern))
        if not found and directive.name == "include" and not set(pattern) & set("*?["):
            self._find(
                directive.file,
                directive.line,
                f"there is no {pattern}, which is to be included",
                "Correct the name, or write IncludeOptional.",
            )
        for name in found:
            path = Path(name)
            files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
            for file in files:
                self.file(file, directive.sections, depth + 1)

    def _find(self, file: str, line: int, what: str, cure: str) -> None:
        self.findings.append(Finding(file, line, ERROR, what, cure))


def words(text: str) -> tuple[str, ...]:
    """The words of a directive, quotation marks taken off."""
    found = []
    for match in _WORD.finditer(text):
        quoted = match[1] if match[1] is not None else match[2]
        found.append(match[3] if quoted is None else _ESCAPED.sub(r"\1", quoted))
    return tuple(found)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The logical lines, without comments and empty ones, and the number of each one's first."""
    pending, first = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        first = first or number
        if line.endswith("\\"):
            pending += line[:-1]
            continue
        whole = (pending + line).strip()
        if whole and not whole.startswith("#"):
            yield first, re.sub(r"\s", " ", whole, count=1) if "\t" in whole else whole
        pending, first = "", 0
