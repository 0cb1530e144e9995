"""Where this environment's Apache module lies, and the line that loads it."""

import importlib.util
from pathlib import Path

from kukulkan.errors import KukulkanError
from kukulkan.syntax import quote

MODULE_NAME = "mod_python.so"


def module_file() -> Path:
    """The Apache module of this environment.

    Raises:
        KukulkanError: the package is here but the module was not built into it.
    """
    spec = importlib.util.find_spec("mod_python")
    places = [Path(place) for place in (spec.submodule_search_locations if spec else None) or ()]
    for place in places:
        if (place / MODULE_NAME).is_file():
            return (place / MODULE_NAME).absolute()
    where = f" in {places[0]}" if places else ""
    raise KukulkanError(
        f"The Apache module {MODULE_NAME} is missing{where}: this copy of Kukulkan was not built. "
        "Install it with `make build` in a checkout, or with `pip install /path/to/checkout`."
    )


def load_module_line() -> str:
    """The line of httpd.conf that loads the module; Apache needs no other to find this environment."""
    return f"LoadModule python_module {quote(str(module_file()))}"
