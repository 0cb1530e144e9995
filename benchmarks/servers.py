"""Apache instances to measure: each case's server is one process of its own."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIND_APXS = HERE.parent / "scripts" / "find_apxs.py"
CHILD_USER = "www-data"
"""Whom Apache's child runs as when started by root."""

ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
"""Of a server: another Python first on PATH makes some of the peers fail."""

LARGE = (b"the quick brown fox jumps over the lazy dog\n" * 25000)[: 1 << 20]
"""The text of 1 MiB that filters are given."""

LARGE_NAMES = ("plain.txt", "passed.txt", "copied.txt", "upper.txt")
"""Its files in `site/large`: the filters are told apart by them."""

NAME_LENGTH = 20
"""Of a server's folder; no name is longer."""

START_LIMIT = 60.0
"""Seconds a server may take to answer on its port."""


class ServerError(Exception):
    """A server or a module could not be built or started."""


@dataclass(frozen=True)
class Httpd:
    """The Apache that is measured, as its apxs describes it."""

    apxs: str
    program: Path
    modules: Path

    @classmethod
    def find(cls) -> "Httpd":
        """The Apache that `scripts/find_apxs.py` finds, as the build does."""
        apxs = output([sys.executable, str(FIND_APXS)])

        def query(name: str) -> str:
            return output([apxs, "-q", name])

        program = Path(query("SBINDIR"), query("PROGNAME"))
        return cls(apxs, program, Path(query("LIBEXECDIR")))

    def version(self) -> str:
        """Such as `Apache/2.4.65 (Debian)`."""
        return output([str(self.program), "-v"]).splitlines()[0].partition(": ")[2]


def output(command: list[str], folder: Path | None = None) -> str:
    """What `command`, run in `folder`, prints; ServerError with its complaint if it fails."""
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        complaint = run.stderr.strip() or run.stdout.strip()
        raise ServerError(f"{' '.join(command)}: {complaint}")
    return run.stdout.strip()


def build_hello(httpd: Httpd, folder: Path) -> str:
    """Compile the C module in `folder`; returns the line that loads it."""
    shutil.copy(HERE / "c_hello" / "mod_hello.c", folder)
    output([httpd.apxs, "-c", "-Wc,-Wall", "mod_hello.c"], folder)
    return f"LoadModule hello_module {folder}/.libs/mod_hello.so"


class Server:
    """One Apache, in a folder of its own under `folder`, on a port the kernel chose."""

    def __init__(self, httpd: Httpd, folder: Path, name: str, load: str, conf: str | None) -> None:
        self.name = name
        # Apache walks along its paths: all are made equally long.
        self.root = folder / name.ljust(NAME_LENGTH, "_")
        self.port = free_port()
        self._httpd = httpd
        self._process: subprocess.Popen[bytes] | None = None
        self._write(load, conf)

    def _write(self, load: str, conf: str | None) -> None:
        self.root.mkdir()
        site = Path(shutil.copytree(HERE / "site", self.root / "site"))
        script = site / "cgi" / "hello"
        script.write_text(script.read_text().replace("@PYTHON@", sys.executable))
        script.chmod(0o755)
        (site / "cgihandler").mkdir()
        shutil.copy(script, site / "cgihandler" / "hello.py")
        (site / "large").mkdir()
        for name in LARGE_NAMES:
            (site / "large" / name).write_bytes(LARGE)
        lines = [
            f"Define root {self.root}",
            f"Define port {self.port}",
            f"Define benchmarks {HERE}",
            f"Define modules {self._httpd.modules}",
            f"Include {HERE / 'conf' / 'common.conf'}",
            load,
        ]
        if os.geteuid() == 0:
            lines.append(f"User {CHILD_USER}\nGroup {CHILD_USER}")
        if conf:
            lines.append(f"Include {HERE / 'conf' / conf}")
        (self.root / "httpd.conf").write_text("\n".join(lines) + "\n")

    def start(self, under: Sequence[str] = (), options: Sequence[str] = ("-DFOREGROUND",)) -> None:
        """Start, as an argument of `under` if given, and wait until the port answers."""
        command = [*under, str(self._httpd.program), "-f", str(self.root / "httpd.conf"), *options]
        with open(self.root / "output", "wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=ENVIRONMENT,
                start_new_session=True,  # prefork ends its whole process group
            )  # fmt: skip
        limit = time.monotonic() + START_LIMIT
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > limit:
                self.stop()
                raise ServerError(f"the server for {self.name!r} did not start:\n{self.log()}")
            time.sleep(0.05)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def runs(self) -> bool:
        """Whether the server was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def children(self) -> list[str]:
        """The process ids of its children; none where /proc does not say."""
        parent = self._process.pid if self._process else 0
        try:
            return Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        except OSError:
            return []

    def cpu(self) -> float:
        """Seconds of processor time its children have used; 0.0 where /proc does not say."""
        used = 0
        try:
            for child in self.children():
                # The name in parentheses may hold spaces; utime and stime are fields 14 and 15.
                fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
                used += int(fields[11]) + int(fields[12])
        except OSError:
            return 0.0
        return used / os.sysconf("SC_CLK_TCK")

    def waits(self) -> int:
        """Times a thread of its children had to wait for something: a client, a lock, the GIL."""
        found = 0
        for child in self.children():
            for status in Path(f"/proc/{child}/task").glob("*/status"):
                text = status.read_text()
                found += int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
        return found

    def stop(self) -> None:
        """Stop at once; measuring is over."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def log(self) -> str:
        """What the server has said: its output and its error log."""
        files = (self.root / "output", self.root / "error.log")
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    def components(self) -> str:
        """The server's own version line, which modules add theirs to."""
        for line in self.log().splitlines():
            before, found, _ = line.partition(" configured -- resuming normal operations")
            if found:
                return before.rpartition("]")[2].partition(": ")[2]
        return ""


def free_port() -> int:
    """A port no one listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
