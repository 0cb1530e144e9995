"""Modules of other projects that this package needs, taken from beside it.

What programs import is their business: their sys.path may leave out the environment
that this package is installed in (PythonPath), or have another version of the same
module in front of it (PythonHome). Hence what is needed here is found by its place, and
has a name that no program asks for.
"""

import importlib
import importlib.util
import os
import sys
from types import ModuleType

__all__ = ["load"]

_DIRECTORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def load(name: str) -> ModuleType:
    """The module, of one file, that is installed beside this package.

    Where it is installed elsewhere, such as in the user's own directory, it is imported.

    Raises:
        ImportError: There is none.
    """
    own_name = f"mod_python._beside.{name}"
    if own_name in sys.modules:
        return sys.modules[own_name]
    file = os.path.join(_DIRECTORY, f"{name}.py")
    spec = importlib.util.spec_from_file_location(own_name, file) if os.path.isfile(file) else None
    if spec is None or spec.loader is None:
        return importlib.import_module(name)
    module = sys.modules[own_name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[own_name]
        raise
    return module
