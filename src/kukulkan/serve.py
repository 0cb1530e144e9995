"""Running Apache in the foreground on a temporary configuration.

Apache gets a process group of its own: the terminal's Ctrl-C, and its resizing
(SIGWINCH stops an Apache), reach this process alone, which then asks Apache to
end. What Apache writes comes through a pipe, so that `/dev/stderr` can be
opened whatever our own standard error is.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO, Any, Self

from kukulkan.errors import KukulkanError
from kukulkan.httpd import Httpd

_ESCAPED = re.compile(r"\\([\\n])")

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Seconds between looks at whether Apache has come up: too short to be felt.
POLL = 0.02

# Seconds for the last lines of the log, once Apache is gone.
LAST_LINES = 1.0


def check_port(host: str, port: int) -> int:
    """The port to listen on; 0 chooses a free one.

    Raises:
        KukulkanError: the host is unknown, or the port is taken or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise KukulkanError(
            f"Cannot listen on {host}, port {port}: {reason}. Choose another with --port or --host; "
            "--port 0 takes any that is free."
        ) from error


def serve(httpd: Httpd, configure: Callable[[Path], str], announce: Callable[[], None]) -> None:
    """Run Apache until it ends or one of STOP_SIGNALS arrives; a second one kills it.

    Args:
        configure: writes the configuration, given the directory for Apache's own files.
        announce: called once Apache listens.

    Raises:
        KukulkanError: Apache failed, or ended without being asked; what it said is on standard error.
    """
    with _Stop() as stop, _server_root() as root:
        configuration = root / "httpd.conf"
        configuration.write_text(configure(root), encoding="utf-8", errors="surrogateescape")
        process = subprocess.Popen(
            [httpd.program, "-d", root, "-f", configuration, "-D", "FOREGROUND"],
            env=httpd.environment(),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            process_group=0,
        )
        assert process.stderr
        log = threading.Thread(target=_copy_log, args=(process.stderr,), daemon=True)
        log.start()
        try:
            stop.applies_to(process)
            if _wait_until_up(process, root / "httpd.pid"):
                announce()
            status = process.wait()
        finally:
            _kill_group(process)
            process.wait()
            log.join(LAST_LINES)
        if not stop.asked:  # also with status 0, as when no child can be started
            raise KukulkanError(
                f"Apache ended with status {status}, see above; --config-only prints its configuration."
            )


def readable_log(record: str) -> str:
    """A log record for a terminal: Apache escapes line ends, so that a traceback is one line."""
    return _ESCAPED.sub(lambda escape: "\n    " if escape[1] == "n" else escape[1], record)


@contextmanager
def _server_root() -> Iterator[Path]:
    """A directory for Apache's own files that its children can read; removed afterwards."""
    root = Path(tempfile.mkdtemp(prefix="kukulkan-"))
    try:
        root.chmod(0o755)
        (root / "empty").mkdir()
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


class _Stop:
    """While it is entered, stop signals end Apache instead of this process."""

    def __init__(self) -> None:
        self.asked = False
        self._process: subprocess.Popen[bytes] | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for signum in STOP_SIGNALS:
            # Started by nohup, a closing terminal is to be survived.
            if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:
                self._before[signum] = signal.signal(signum, self._on_signal)
        return self

    def __exit__(self, *exception: object) -> None:
        for signum, action in self._before.items():
            signal.signal(signum, action)

    def applies_to(self, process: subprocess.Popen[bytes]) -> None:
        """Name the process to end, which is done at once if a signal came before."""
        self._process = process
        if self.asked:
            process.terminate()

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if self._process is not None:
            if self.asked:
                _kill_group(self._process)
            else:
                self._process.terminate()
        self.asked = True


def _wait_until_up(process: subprocess.Popen[bytes], pid_file: Path) -> bool:
    """Whether Apache listens (it then writes its process id), rather than having ended."""
    while process.poll() is None:
        if pid_file.exists():
            return True
        time.sleep(POLL)
    return False


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End whatever is left of Apache: its children outlive a parent that crashed."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _copy_log(stream: IO[bytes]) -> None:
    for line in stream:
        sys.stderr.write(readable_log(line.decode("utf-8", "backslashreplace")))
        sys.stderr.flush()
