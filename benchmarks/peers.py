"""The modules that are measured: where they are, and how to install those that are not."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from servers import HERE, Httpd, build_hello, output

ENVIRONMENT = HERE.parent / ".venv-peers"
"""The environment of mod_wsgi, which must not share Kukulkan's."""

MOD_WSGI = "mod_wsgi==6.1.1"

INSTALL_PEERS = "python benchmarks/install_peers.py"


@dataclass(frozen=True)
class Peer:
    """A module to measure."""

    load: Callable[[Httpd, Path], str | None]
    """Given a folder to work in, the lines that load it, or None when absent."""
    install: str
    """The command that installs it."""


def nothing(httpd: Httpd, folder: Path) -> str | None:
    """Apache as it is."""
    return ""


def stock(symbol: str, file: str) -> Callable[[Httpd, Path], str | None]:
    """A module in Apache's own directory of modules."""

    def load(httpd: Httpd, folder: Path) -> str | None:
        path = httpd.modules / file
        return f"LoadModule {symbol} {path}" if path.exists() else None

    return load


def described(command: Path) -> Callable[[Httpd, Path], str | None]:
    """A module whose own `command` prints the lines that load it."""

    def load(httpd: Httpd, folder: Path) -> str | None:
        return output([str(command), "module-config"]) if command.exists() else None

    return load


def newer(httpd: Httpd, folder: Path) -> str | None:
    """Kukulkan on a Python whose interpreters can have a GIL each."""
    return KUKULKAN(httpd, folder) if sys.version_info >= (3, 13) else described(NEWER)(httpd, folder)


def own_gil(httpd: Httpd, folder: Path) -> str | None:
    """The same, where they have."""
    load = newer(httpd, folder)
    return f"{load}\nPythonInterpGIL Own" if load else None


KUKULKAN = described(Path(sys.executable).with_name("kukulkan"))

NEWER = HERE.parent / ".venv-3.13" / "bin" / "kukulkan"
"""What an older Python leaves to this one."""

BUILD_NEWER = "make build PYTHON=/path/to/python3.13"

PEERS = {
    "static": Peer(nothing, ""),
    "c": Peer(build_hello, ""),
    "kukulkan": Peer(KUKULKAN, "make build"),
    "newer": Peer(newer, BUILD_NEWER),
    "own-gil": Peer(own_gil, BUILD_NEWER),
    "cgi": Peer(stock("cgid_module", "mod_cgid.so"), "apt-get install apache2-bin"),
    "mod_cgi": Peer(stock("cgi_module", "mod_cgi.so"), "apt-get install apache2-bin"),
    "echo": Peer(stock("echo_module", "mod_echo.so"), "apt-get install apache2-bin"),
    "lua": Peer(stock("lua_module", "mod_lua.so"), "apt-get install apache2-bin"),
    "perl": Peer(stock("perl_module", "mod_perl.so"), INSTALL_PEERS),
    "old": Peer(stock("python_module", "mod_python.so"), INSTALL_PEERS),
    "mod_wsgi-debian": Peer(stock("wsgi_module", "mod_wsgi.so"), INSTALL_PEERS),
    "mod_wsgi": Peer(described(ENVIRONMENT / "bin" / "mod_wsgi-express"), INSTALL_PEERS),
}
