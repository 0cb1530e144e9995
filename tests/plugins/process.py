"""The processes of one Apache: started, restarted and ended by the test run,
which knows the parent by its pid."""

import os
import secrets
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from .config import Settings, write_config
from .errorlog import ErrorLog
from .installation import PATIENCE, find_apache, sanitizer_environ

DEADLINE = 20 * PATIENCE
PORT_TAKEN = "AH00072"


class StartError(Exception):
    """Apache did not start; the text is what it said."""


#: Below those that clients are given (net.ipv4.ip_local_port_range).
_PORTS = range(10_000, 32_768)
#: Descriptors of sockets, whose names no other process can have meanwhile.
_claims: deque[int] = deque()
_MOST_CLAIMS = 64


def free_port() -> int:
    """A port that no other process of tests is given before this one has used many more."""
    while True:
        port = secrets.choice(_PORTS)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0kukulkan-test-port-{port}")
            with socket.socket() as probe:
                probe.bind(("", port))
        except OSError:
            claim.close()
            continue
        _claims.append(claim.detach())
        if len(_claims) > _MOST_CLAIMS:
            os.close(_claims.popleft())
        return port


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Polls until the condition is true; TimeoutError naming `what` if it stays false."""
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {DEADLINE} s for {what}")
        time.sleep(0.005)


class Process:
    """Apache's parent process and, through it, its children."""

    def __init__(self, root: Path, settings: Settings, error_log: ErrorLog) -> None:
        self.root = root
        self.settings = settings
        self.error_log = error_log
        self.port = 0
        self._popen: subprocess.Popen[bytes] | None = None

    def command(self, *arguments: str) -> list[str]:
        """The command line; the configuration is written for a port chosen anew."""
        self.port = free_port()
        apache = find_apache()
        conf = write_config(self.root, self.port, self.settings, apache)
        defines = [f"-D{name}" for name in self.settings.defines]
        return [apache.httpd, "-f", str(conf), *defines, *arguments]

    def environ(self) -> dict[str, str]:
        """Apache's environment: nothing of the test run's but PATH."""
        own = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        return own | sanitizer_environ(self.root / "logs") | dict(self.settings.environ)

    def start(self) -> None:
        """Starts Apache; StartError if it does not come to accept connections."""
        for _ in range(10):
            output = self._launch()
            if output is None:
                return
            if PORT_TAKEN not in output:
                break
        raise StartError(output)

    def _launch(self) -> str | None:
        """One attempt; None, or what Apache said if it ended."""
        stderr = self.root / "logs" / "stderr"
        with stderr.open("wb") as file:
            self._popen = subprocess.Popen(
                self.command("-DFOREGROUND"),
                env=self.environ(),
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self.wait_for_port(or_else=lambda: not self.is_alive())
        return None if self.is_alive() else stderr.read_text() + self.error_log.text()

    def wait_for_port(self, or_else: Callable[[], bool] = lambda: False) -> None:
        """Returns when Apache accepts connections, or when `or_else` is true."""
        wait_for(lambda: or_else() or self._accepts(), "Apache to accept connections")

    def _accepts(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def is_alive(self) -> bool:
        """Whether the parent process runs."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def pid(self) -> int:
        """The parent process."""
        assert self._popen is not None
        return self._popen.pid

    def child_pids(self) -> list[int]:
        """The processes that the parent has started."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return sorted(int(pid) for pid in children.split())

    def _has_connections(self) -> bool:
        """Whether a connection to the port is open, or being closed."""
        ended = {"06", "07", "0A"}  # TIME_WAIT, CLOSE, LISTEN
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for line in Path(table).read_text().splitlines()[1:]:
                _, local, _, state = line.split()[:4]
                if int(local.rpartition(":")[2], 16) == self.port and state not in ended:
                    return True
        return False

    def _resumptions(self) -> int:
        return sum("resuming normal operations" in r.message for r in self.error_log.records())

    def graceful(self) -> None:
        """A graceful restart; returns when only the new generation of children is left."""
        wait_for(lambda: self._resumptions() > 0, "the start to be complete")
        before, old = self._resumptions(), set(self.child_pids())
        os.kill(self.pid, signal.SIGUSR1)
        wait_for(lambda: self._resumptions() > before, "the graceful restart")
        wait_for(lambda: old.isdisjoint(self.child_pids()), "the old children to end")

    def wait_for_clients(self) -> None:
        """Gives connections two seconds to be over.

        The event MPM of 2.4.71 may crash when it is stopped amid a lingering close.
        """
        patience = time.monotonic() + 2
        while self._has_connections() and time.monotonic() < patience:
            time.sleep(0.01)

    def stop(self) -> list[str]:
        """Ends Apache; what went wrong in doing so."""
        if self._popen is None:
            return []
        self.wait_for_clients()
        self._popen.terminate()
        try:
            status = self._popen.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.wait()
            return [f"Apache had not ended {DEADLINE} s after SIGTERM"]
        return [f"Apache ended with status {status}"] if status else []
