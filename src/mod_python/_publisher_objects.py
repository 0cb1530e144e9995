"""From a URL's path to the object that it names, without a server (manual, 6.1.2).

What may be come to:

- No name begins with an underscore, and nothing is a module or a function of C.
- What a module imports from the standard library or from an installed package is not
  published: who writes `from subprocess import run` does not mean a page. The same goes
  for what objects of the site's own classes inherit, and for attributes of objects whose
  classes are from there. Values are published, wherever they are from, as text; but the
  process's environment is not, whatever its name.
- Only objects of classes that Python code of the site defines are traversed: no
  functions, no methods, no classes, nothing of built-in types, and nothing that stands
  for a function, as functools.update_wrapper() marks it.
- A module that has an `__all__` publishes what that names, and only that, wherever it is
  from; still no module, and no function of C.
"""

import functools
import os
import stat
import sys
import sysconfig
from collections.abc import Iterable
from http import HTTPStatus
from types import FunctionType, MethodType, ModuleType
from typing import Any, Protocol

from mod_python._calls import OF_C
from mod_python._errors import SERVER_RETURN

__all__ = ["DEFAULT", "candidates", "find", "may_follow", "split"]

#: The module, and the object in it, that a URL without their names is for.
DEFAULT = "index"

# Apache's http_core.h.
OPT_SYM_LINKS = 4
OPT_SYM_OWNER = 64

_ENDS = (FunctionType, MethodType, ModuleType, type, *OF_C)

_LIBRARIES = tuple(
    os.path.join(os.path.abspath(path), "")
    for name, path in sysconfig.get_paths().items()
    if name in ("stdlib", "platstdlib", "purelib", "platlib")
)
_PACKAGES = frozenset(("site-packages", "dist-packages"))


class Guard(Protocol):
    """What lets a request come to an object, or raises: _publisher_access.Gate."""

    def enter(self, thing: Any) -> None: ...


# Files


def split(path_info: str | None) -> list[str]:
    """The names in PATH_INFO; a slash at its end is dropped."""
    path = (path_info or "").removeprefix("/").removesuffix("/")
    return path.split("/") if path else []


def candidates(filename: str, extensions: Iterable[str]) -> list[tuple[str, list[str]]]:
    """The files that may be the module, best first, and the names in front of PATH_INFO then.

    Args:
        filename: What Apache has mapped the URL to; ending in "/", a directory.
        extensions: What is stripped of it, in lower case, with dots; the first that fits.

    Returns:
        Nothing, if its name must not be published.
    """
    directory, name = os.path.split(filename)
    for extension in extensions:
        if name.lower().endswith(extension) and name.lower() != extension:
            name = name[: -len(extension)]
            break
    if not name:
        return [(os.path.join(directory, f"{DEFAULT}.py"), [])]
    if name.startswith(("_", ".")):
        return []
    own = (os.path.join(directory, f"{name}.py"), list[str]())
    return [own] if name == DEFAULT else [own, (os.path.join(directory, f"{DEFAULT}.py"), [name])]


def may_follow(path: str, options: int) -> bool:
    """Whether Apache would open this file, if it is a symbolic link: Options FollowSymLinks
    and SymLinksIfOwnerMatch. Apache itself has looked at the URL's file only."""
    if options & OPT_SYM_LINKS:
        return True
    try:
        link = os.lstat(path)
        if not stat.S_ISLNK(link.st_mode):
            return True
        return bool(options & OPT_SYM_OWNER) and os.stat(path).st_uid == link.st_uid
    except OSError:
        return False


# Objects


def find(module: ModuleType, names: list[str], guard: Guard) -> Any:
    """The object that names lead to from the module.

    Raises:
        SERVER_RETURN: HTTP_NOT_FOUND, or what the guard raises.
        Exception: What the program's own properties raise.
    """
    for name in names:
        if not name or name[0] == "_":
            raise SERVER_RETURN(HTTPStatus.NOT_FOUND)
    guard.enter(module)
    listed = vars(module).get("__all__")
    if listed is not None and names[0] not in listed:
        raise SERVER_RETURN(HTTPStatus.NOT_FOUND)
    found: Any = module
    package = None
    for depth, name in enumerate(names):
        if depth and not _is_traversed(module, found, package):
            raise SERVER_RETURN(HTTPStatus.NOT_FOUND)
        try:
            found = getattr(found, name)
        except AttributeError:
            raise SERVER_RETURN(HTTPStatus.NOT_FOUND) from None
        if not depth and listed is not None:
            package = _package_of(found)
        if not _is_published(module, found, package):
            raise SERVER_RETURN(HTTPStatus.NOT_FOUND)
        guard.enter(found)
    return found


def _is_published(module: ModuleType, thing: Any, package: str | None) -> bool:
    """Whether a name may lead to this.

    Args:
        package: One that is as good as the site's own.
    """
    if isinstance(thing, (ModuleType, os._Environ, *OF_C)) or thing is os.environ or thing is os.environb:
        return False
    return not callable(thing) or _is_own(module, _origin(thing), package)


def _is_traversed(module: ModuleType, thing: Any, package: str | None) -> bool:
    """Whether names may lead on from this."""
    # What stands for a function is none of the others: it keeps that undecorated, as `f`.
    if "__wrapped__" in getattr(thing, "__dict__", ()):
        return False
    return not isinstance(thing, _ENDS) and _is_own(module, type(thing).__module__, package)


def _origin(thing: Any) -> object:
    """The name of the module that has defined a function or a class, or an object's class."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    return getattr(thing, "__module__", None)


def _package_of(thing: Any) -> str | None:
    name = _origin(thing)
    return name.partition(".")[0] if isinstance(name, str) else None


def _is_own(module: ModuleType, name: object, package: str | None) -> bool:
    """Whether the module of this name is the site's own code, as seen from its published module."""
    if name == module.__name__:
        return True
    if not isinstance(name, str):
        return False
    if name.partition(".")[0] == package:
        return True
    file = getattr(sys.modules.get(name), "__file__", None)
    return isinstance(file, str) and _is_own_file(file, os.path.dirname(module.__file__ or ""))


@functools.lru_cache(maxsize=1024)
def _is_own_file(file: str, directory: str) -> bool:
    """Whether a module is the site's own: below the published module's directory, or in none
    of the libraries'."""
    path = os.path.abspath(file)
    if path.startswith(os.path.join(directory, "")):
        return True
    return not path.startswith(_LIBRARIES) and _PACKAGES.isdisjoint(path.split(os.sep))
