"""File modules and which of them imports which, to look at: text for Graphviz's dot."""

import sys
import time
from collections.abc import Iterable
from types import ModuleType

from mod_python import _scope
from mod_python._source_loader import ModuleInfo, info_of

__all__ = ["all_modules", "graph", "module_info", "request_modules"]


def module_info(label: str) -> ModuleInfo:
    """What is known of a loaded file module.

    Raises:
        KeyError: No file module has this label.
    """
    info = info_of(sys.modules.get(label))
    if info is None:
        raise KeyError(label)
    return info


def all_modules() -> list[ModuleInfo]:
    """Those of this interpreter."""
    return [info for module in list(sys.modules.values()) if (info := info_of(module)) is not None]


def request_modules() -> list[ModuleInfo]:
    """Those that the current request's code has come to: its handler's module, and what it
    has imported."""
    modules: list[ModuleType] = list((_scope.seen_modules(make=False) or {}).values())
    handler = _scope.handler()
    found: dict[str, ModuleInfo] = {}
    todo = [*modules, module] if handler and (module := handler.found_in) else modules
    while todo:
        info = info_of(todo.pop())
        if info is not None and info.label not in found:
            found[info.label] = info
            todo += list(info.imported.values())
    return list(found.values())


def graph(modules: Iterable[ModuleInfo], verbose: int = 0) -> str:
    """A digraph of the modules: an arrow goes from the importing to the imported one.

    Args:
        verbose: Add the files and when those were changed.
    """
    lines = ["digraph modules {", "    rankdir=LR;", "    node [shape=box];"]
    infos = sorted(modules, key=lambda info: info.label)
    for info in infos:
        label = info.label
        if verbose:
            label += f"\n{info.file}"
            if info.stamp is not None:
                label += time.strftime("\n%Y-%m-%d %H:%M:%S", time.localtime(info.stamp[0] / 1e9))
        lines.append(f"    {_quoted(info.label)} [label={_quoted(label)}];")
    for info in infos:
        lines += [f"    {_quoted(info.label)} -> {_quoted(child)};" for child in sorted(info.children)]
    return "\n".join([*lines, "}", ""])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
