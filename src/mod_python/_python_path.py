"""sys.path as PythonPath says, and the directories of handlers on it (manual, 5.4.11)."""

import os
import sys

__all__ = ["add_directory", "evaluate_path", "path_generation", "path_without_handlers", "set_path"]

#: By PythonPath: one that refers to sys.path would make that grow at each change.
_paths: dict[str, list[str]] = {}
#: Handlers' directories, put at the front of sys.path.
_added: set[str] = set()
#: A sys.path, the number of directories in _added then, and the path without these.
_without_handlers: tuple[list[str], int, list[str]] | None = None
_path_text: str | None = None
_path_generation = 0


def evaluate_path(text: str) -> list[str]:
    """The list that a PythonPath directive denotes (manual, 5.4.11).

    Raises:
        ValueError: It is no list of strings, or cannot be evaluated.
    """
    try:
        path = eval(text, {"__builtins__": __builtins__, "sys": sys, "os": os})
    except Exception as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not isinstance(path, list) or not all(isinstance(item, str) for item in path):
        raise ValueError(f"it is no list of strings, but {path!r:.200}")
    return path


def set_path(text: str) -> None:
    """Have sys.path be what this PythonPath says, unless it was the last one set."""
    global _path_text, _path_generation
    if text != _path_text:
        path = _paths.get(text)
        if path is None:
            try:
                path = _paths[text] = evaluate_path(text)
            except ValueError as error:
                raise ValueError(
                    f"PythonPath {text}: {error}: write a Python list of directories, as "
                    "\"['/dir']\" or \"sys.path+['/dir']\""
                ) from None
        sys.path[:] = path
        _path_text = text
        _path_generation += 1


def path_generation() -> int:
    """How often PythonPath has replaced sys.path."""
    return _path_generation


def add_directory(directory: str) -> None:
    """Put a handler's directory at the front of sys.path, once."""
    directory = directory.rstrip("/") or "/"
    if directory not in sys.path:
        sys.path.insert(0, directory)
        _added.add(directory)


def path_without_handlers(path: list[str]) -> list[str]:
    """A sys.path without what add_directory() has put there; not to be changed."""
    global _without_handlers
    kept = _without_handlers
    # What has been put there once stays in _added, so that its length tells whether it is the same.
    if kept is None or kept[0] != path or kept[1] != len(_added):
        without = [directory for directory in path if directory not in _added]
        kept = _without_handlers = ([*path], len(_added), without)
    return kept[2]
