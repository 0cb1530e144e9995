"""How much of each is run: a little in CI, as much as the documentation says with --full."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plugins.config import Settings
from plugins.httpd import Httpd
from plugins.process import wait_for


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="as long as docs/reliability.md says")


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether it may take as long as it takes."""
    return bool(request.config.getoption("--full"))


class Watched(Httpd):
    """An Apache whose processes are looked at."""

    #: Of what is otherwise never excused, what a test brings about: found in the log's text.
    allowed: str | None = None

    def child(self) -> int:
        """The one child, once it is there."""
        wait_for(self.child_pids, "the child to start")
        (child,) = self.child_pids()
        return child

    def rss(self, pid: int) -> int:
        """KiB of memory of its own that a process has."""
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return int(re.search(r"^Anonymous:\s+(\d+) kB", text, re.MULTILINE)[1])

    def descriptors(self, pid: int) -> int:
        """Open files of a process, sockets among them, once no connection is open any more."""
        wait_for(lambda: not self.process._has_connections(), "connections to end")
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))

    def threads(self, pid: int) -> int:
        """Threads of a process."""
        return len(list(Path(f"/proc/{pid}/task").iterdir()))

    def processes(self, session: int | None = None) -> set[int]:
        """Whatever runs of it, all that Apache and handlers have started, in its session."""
        found = set()
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                own = int(stat.read_text().rpartition(")")[2].split()[3])
            except OSError:
                continue  # it has just ended
            if own == (session or self.process.pid):
                found.add(int(stat.parent.name))
        return found

    def problems(self) -> list[str]:
        allowed = self.allowed
        return [text for text in super().problems() if allowed is None or not re.search(allowed, text)]

    def allow_log(self, pattern: str) -> None:
        """Takes what is in the log, and of this pattern, as expected."""
        self.error_log._expected += [r for r in self.error_log.recent() if re.search(pattern, r.message)]


@pytest.fixture
def watched(request: pytest.FixtureRequest) -> Iterator[Callable[..., Watched]]:
    """Starts an Apache, which ends after the test; with `.unstarted` the test starts it."""
    servers: list[Watched] = []
    gil: str = request.config.getoption("--gil")

    def unstarted(config: str, files: dict[str, str], **settings: Any) -> Watched:
        server = Watched(Settings(config, **({"gil": gil} | settings)), files)
        servers.append(server)
        return server

    def start(config: str, files: dict[str, str], **settings: Any) -> Watched:
        server = unstarted(config, files, **settings)
        server.start()
        return server

    start.unstarted = unstarted  # type: ignore[attr-defined]
    yield start
    problems = [problem for server in servers for problem in server.stop()]
    assert not problems, "\n".join(problems[:20])
