"""The package without a server: each test that asks for it has its own copy, over a
stand-in for the extension module that exists inside httpd only."""

import importlib
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings

# Timing decides nothing, on a busy machine least of all.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

OURS = ("_apache", "mod_python")


def stamp(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def stand_in() -> ModuleType:
    """An `_apache` that knows constants and keeps what is logged, in `logged`."""
    module = ModuleType("_apache")
    logged: list[tuple[str, int]] = []
    members = {
        "APLOG_ERR": 3,
        "APLOG_WARNING": 4,
        "APLOG_NOTICE": 5,
        "DONE": -2,
        "HTTP_INTERNAL_SERVER_ERROR": 500,
        "HTTP_GATEWAY_TIME_OUT": 504,
        "logged": logged,
        "_current_request": lambda: None,
        "_main_server": lambda: SimpleNamespace(get_config=dict, get_options=dict),
        "_stamp": stamp,
        "_log": lambda message, level: logged.append((message, level)),
        "_password_validate": lambda password, hash: hash == b"{SHA}" + password[::-1],
    }
    types = {name: type(name, (), {}) for name in ("mp_request", "mp_conn", "mp_filter", "mp_server")}
    for name, value in (members | types).items():
        setattr(module, name, value)
    return module


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Imports a module of the package anew, over the stand-in; afterwards sys.path and
    sys.modules are as they were, what the test has imported included."""
    before = dict(sys.modules)
    monkeypatch.setattr(sys, "path", sys.path[:])
    for name in before:
        if name.partition(".")[0] in OURS:
            del sys.modules[name]
    sys.modules["_apache"] = stand_in()
    standard = sys.stdlib_module_names
    yield lambda name: importlib.import_module(f"mod_python.{name}")
    for name in set(sys.modules) - set(before):
        if name.partition(".")[0] not in standard:
            del sys.modules[name]
    sys.modules.update(before)


@pytest.fixture
def apache(own: Callable[[str], ModuleType]) -> ModuleType:
    """The stand-in for `_apache` that this test's modules use."""
    return sys.modules["_apache"]


@pytest.fixture(autouse=True)
def finders(monkeypatch: pytest.MonkeyPatch) -> None:
    """What finds modules is, before and after a test, what Python comes with."""
    theirs = [finder for finder in sys.meta_path if finder.__module__ != "mod_python._importer"]
    monkeypatch.setattr(sys, "meta_path", theirs)


@pytest.fixture
def importer(own: Callable[[str], ModuleType]) -> ModuleType:
    """A mod_python._importer that has imported nothing yet."""
    return own("_importer")


@pytest.fixture
def write(tmp_path: Path):
    """Writes a file below the test's directory, making the directories it needs; text less
    its common indentation, bytes as they are."""

    def write(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else textwrap.dedent(text).encode())
        return path

    return write


@pytest.fixture
def load(importer, tmp_path: Path):
    """Loads a module from a directory below the test's, as a handler's module is."""

    def load(name: str, directory: str = "", **options):
        place = f"{tmp_path / directory}/"
        importer.add_directory(place)
        return importer.load(name, place, **options)

    return load
