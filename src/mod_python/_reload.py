"""Which modules are to be made anew, and making them.

A changed file is executed whole into a new module, which then takes the old one's
place: running requests keep the old, and a failing reload is tried again at the next
request.

A file module is stale when its file has changed, or when another module stands where
one that it imported stood, or when one that it imported is stale. All that are stale,
of those that the wanted one leads to, leave sys.modules together; so import statements
make each of them anew, in their own order, modules that import each other included.

Within a request a module is looked at once, and what was found then is what the
request's code sees until its end, whatever other requests reload meanwhile.

Threads: imports and reloads wait for each other by the import system's own locks only,
one for each module, which see a deadlock coming. While a module is reloaded, an import
statement in another thread waits for the new one.
"""

import sys
import threading
from types import ModuleType

from mod_python._source_loader import ModuleInfo, info_of, is_half_done, stamp_of

__all__ = ["current", "freeze", "import_by_name", "is_frozen", "note", "take_old"]

#: Makes one step of taking old modules out of sys.modules; never held during an import.
_removal = threading.RLock()
#: Those, by name, until the new one begins.
_replaced: dict[str, ModuleType] = {}
_is_frozen = False
#: Grows when a module imports one that it had not imported before.
_generation = 0


class _Unchanged:
    """All that a module leads to, as it was when nothing of it was stale."""

    __slots__ = ("files", "generation", "modules")

    def __init__(self, generation: int, modules: dict[str, ModuleType]) -> None:
        self.generation = generation
        self.modules = modules
        infos = [info_of(module) for module in modules.values()]
        self.files = [(info.file, info.stamp) for info in infos if info is not None]

    def is_still(self) -> bool:
        """Whether nothing can have changed; looks at each file once, and at nothing else."""
        if self.generation != _generation:
            return False
        loaded = sys.modules
        for name, module in self.modules.items():
            if loaded.get(name) is not module:
                return False
        return all(stamp_of(file) == stamp for file, stamp in self.files)


#: By name in sys.modules.
_unchanged: dict[str, _Unchanged] = {}


def freeze() -> None:
    """Reload nothing any more, in this interpreter."""
    global _is_frozen
    _is_frozen = True


def is_frozen() -> bool:
    """Whether freeze() was called."""
    return _is_frozen


def current(name: str, seen: dict[str, ModuleType] | None) -> ModuleType:
    """The file module of this name in sys.modules, as its file is now, and so is all that it
    has imported.

    Args:
        name: It need not be there yet.
        seen: What the request's code has seen; is added to.

    Raises:
        Exception: Whatever the code raises.
    """
    module = seen.get(name) if seen is not None else None
    if module is not None:
        return module
    known = _unchanged.get(name)
    if not seen and known is not None and known.is_still():
        if seen is not None:
            seen.update(known.modules)
        return known.modules[name]
    if known is not None and not seen:
        _unchanged.pop(name, None)  # it would keep modules that have been replaced
    while True:
        generation = _generation  # of before: it may grow from here on
        module = sys.modules.get(name)
        if module is None or is_half_done(module):
            module = import_by_name(name, {})
        if is_half_done(module):
            return module  # it imports itself, by way of others
        old = _stale(name, module, seen or {})
        if old is not None:
            break  # else another thread has begun to reload it meanwhile
    if old:
        module = import_by_name(name, old)
    found = _led_to(module)
    if not old and not seen and name in found:
        _unchanged[name] = _Unchanged(generation, found)
    if seen is not None:
        for each in found:
            seen.setdefault(each, found[each])
    return module


def _stale(wanted: str, expected: ModuleType, seen: dict[str, ModuleType]) -> dict[str, ModuleType] | None:
    """The stale modules that the wanted one leads to, itself included, by name; None if that is
    not the expected one any more."""
    reached: dict[str, ModuleType] = {}
    importers: dict[str, list[str]] = {}
    found: list[str] = []
    todo = [wanted]
    while todo:
        name = todo.pop()
        module = sys.modules.get(name)
        if name == wanted and module is not expected:
            return None
        info = info_of(module)
        if module is None or info is None or name in reached or is_half_done(module):
            continue
        reached[name] = module
        if info.has_changed():
            found.append(name)
        for child, instance in list(info.imported.items()):
            importers.setdefault(child, []).append(name)
            if (seen.get(child) or sys.modules.get(child)) is not instance:
                found.append(name)
            if child not in seen:
                todo.append(child)
    stale: dict[str, ModuleType] = {}
    while found:
        name = found.pop()
        if name not in stale and name in reached:
            stale[name] = reached[name]
            found += importers.get(name, ())
    return stale


def _led_to(module: ModuleType) -> dict[str, ModuleType]:
    """The file modules that one leads to, itself included, by name."""
    found: dict[str, ModuleType] = {}
    todo = [module]
    while todo:
        module = todo.pop()
        info = info_of(module)
        if info is not None and info.label not in found and not is_half_done(module):
            found[info.label] = module
            todo += list(info.imported.values())
    return found


def note(importer: ModuleInfo, module: ModuleType) -> None:
    """Note that a file module has imported another module, if that is a file module too."""
    global _generation
    info = info_of(module)
    if info is not None and info is not importer and importer.imported.get(info.label) is not module:
        importer.imported[info.label] = module
        _generation += 1


def import_by_name(name: str, old: dict[str, ModuleType]) -> ModuleType:
    """Import by the name in sys.modules, where a failure leaves the old modules.

    The old ones go only if they are still there, so that of several threads one
    executes a file and the others wait for it.
    """
    while True:
        with _removal:
            for each, module in old.items():
                if sys.modules.get(each) is module:
                    del sys.modules[each]
                    _replaced[each] = module
        before = sys.modules.get(name)
        try:
            # Not importlib.import_module(): that raises where a deadlock is seen coming.
            __import__(name)
        except BaseException as error:
            if type(error).__name__ == "_DeadlockError" and name in sys.modules:
                # Between the import system's look into sys.modules and its wait, the thread
                # that executes it came to wait for this one: now there is what it has so far.
                continue
            for each, module in old.items():
                sys.modules.setdefault(each, module)
            raise
        found = sys.modules.get(name)
        if found is not None and found is not old.get(name) and (found is before or not is_half_done(found)):
            return found
        # Another thread failed, for which this one waited: it shall have its own error. Or one
        # has begun since, and is waited for.


def take_old(name: str) -> ModuleType | None:
    """The module in whose place a new one comes."""
    return _replaced.pop(name, None)
