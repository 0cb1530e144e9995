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

__all__ = ["DELICATE_FILES", "IMPORT_CODE"]

_PACKAGE = os.path.dirname(__file__)

_import_system = importlib.import_module.__globals__
#: What runs, or has called what runs, while a module is imported. It is postponed for ten
#: seconds then (IMPORT_GRACE): the module may never end.
IMPORT_CODE = _import_system["_bootstrap"]._find_and_load.__code__


def _files() -> dict[str, bool]:
    """By the file name that code objects have; True: there it is never raised, but later.

    Elsewhere it is postponed for a second (GRACE in core/py_watch.c): a program may spend
    all its time there, waiting.
    """
    finders = _import_system["_bootstrap_external"].cache_from_source.__code__.co_filename
    library = os.path.dirname(threading.Condition.notify.__code__.co_filename)
    locks = [os.path.join(library, name) for name in ("threading.py", "queue.py", "logging/__init__.py")]
    package = [entry.path for entry in os.scandir(_PACKAGE) if entry.name.endswith(".py")]
    return {IMPORT_CODE.co_filename: True, **dict.fromkeys([finders, *locks, *package], False)}


DELICATE_FILES = _files()
