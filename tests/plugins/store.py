"""Servers that keep sessions, redis-server and memcached, as a test starts them."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from .process import free_port, wait_for

COMMANDS = {
    "redis": ("redis-server", "--bind", "127.0.0.1", "--port", "{port}", "--save", "", "--dir", "{folder}"),
    "memcached": ("memcached", "-l", "127.0.0.1", "-p", "{port}", "-U", "0"),
}


class Store:
    """One server, on a port that stays the same when it is started again."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="kukulkan-store-"))
        self._popen: subprocess.Popen[bytes] | None = None

    @staticmethod
    def is_installed(kind: str) -> bool:
        """Whether there is a server of this kind."""
        return shutil.which(COMMANDS[kind][0]) is not None

    @property
    def url(self) -> str:
        """For PythonOption mod_python.session.cache_url."""
        return f"{self.kind}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it; returns when it answers."""
        command = [part.format(port=self.port, folder=self._folder) for part in COMMANDS[self.kind]]
        if self.kind == "memcached" and os.getuid() == 0:
            command += ["-u", "nobody"]
        with (self._folder / "output").open("wb") as output:
            self._popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wait_for(self._accepts, f"{self.kind} to accept connections")

    def _accepts(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """Ends it, with all that it has."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()
            self._popen = None

    def remove(self) -> None:
        """Ends it and removes its files."""
        self.stop()
        shutil.rmtree(self._folder)
