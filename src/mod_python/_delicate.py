"""Code in which RequestTimeout is not raised, for it would leave what it is about half done.

Python has no way to take a lock and to note that it is taken in one step. An exception
that comes between the two leaves the lock taken for ever: the import system's, and no
thread of the interpreter imports anything any more.

A package that an exception ends amid its imports is forgotten, but the submodules it has
imported are not. They are not made attributes of the package that the next import makes,
and so that fails: asyncio's, with a NameError, until the process ends.
"""

import importlib
import os
import threading

__all__ = ["DELICATE_FILES"]

_PACKAGE = os.path.dirname(__file__)


def _files() -> dict[str, bool]:
    """By the file name that code objects have; True: there it is never raised, but later.

    Elsewhere it is postponed for a second (GRACE in core/py_watch.c): a program may spend
    all its time there, waiting. In what the code of the former has called, the modules that
    it imports, it is postponed for ten (IMPORT_GRACE).
    """
    system = importlib.import_module.__globals__
    imports = system["_bootstrap"]._find_and_load.__code__.co_filename
    finders = system["_bootstrap_external"].cache_from_source.__code__.co_filename
    library = os.path.dirname(threading.Condition.notify.__code__.co_filename)
    locks = [os.path.join(library, name) for name in ("threading.py", "queue.py", "logging/__init__.py")]
    package = [entry.path for entry in os.scandir(_PACKAGE) if entry.name.endswith(".py")]
    return {imports: True, **dict.fromkeys([finders, *locks, *package], False)}


#: See core/py_watch.c.
DELICATE_FILES = _files()
