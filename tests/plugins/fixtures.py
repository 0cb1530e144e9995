"""The fixtures that hand servers to tests.

Servers are shared by tests that ask for the same configuration and files, as long
as no test has changed them, and end with the session or when others need the room.
After each test, what it did not expect in its servers' error logs fails it.
"""

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from .config import Settings
from .httpd import Files, Httpd, Site
from .installation import MODULE, SANITIZED, find_apache
from .process import StartError

MPMS = ("event", "prefork")
# Servers kept for other tests; each costs some 30 MB.
KEPT = 6
LEASE = pytest.StashKey["Lease"]()


class Pool:
    """The servers that run, least recently used first."""

    def __init__(self) -> None:
        self._servers: dict[object, Httpd] = {}

    def get(self, settings: Settings, files: Files) -> Httpd:
        """A running server made with these settings and files."""
        if settings.python and not MODULE.exists():
            pytest.exit(f"{MODULE} is missing: install the project into this environment", 1)
        key = (settings, tuple(sorted(files.items())))
        server = self._servers.pop(key, None)
        if server is None:
            server = Httpd(settings, files)
            try:
                server.start()
            except StartError:
                server.stop()
                raise
        self._servers[key] = server
        return server

    def sweep(self, keep: int = KEPT) -> list[str]:
        """Ends the servers that were changed and those too many; what went wrong."""
        problems: list[str] = []
        surplus = len(self._servers) - keep
        for key, server in list(self._servers.items()):
            if server.changed or surplus > 0 or not server.process.is_alive():
                surplus -= 1
                problems += self._servers.pop(key).stop()
        return problems


class Lease:
    """The servers of one test: what the fixture `httpd` is."""

    def __init__(self, pool: Pool, mpm: str, gil: str = "shared") -> None:
        self.mpm = mpm
        self.gil = gil
        self._pool = pool
        self._used: list[Httpd] = []
        self._private: list[Httpd] = []

    def __call__(self, config: str = "", files: Files | None = None, **settings: Any) -> Httpd:
        """A server with these directives and files (named from the server root);
        further arguments are those of Settings."""
        server = self._pool.get(self._settings(config, settings), files or {})
        if server not in self._used:
            self._used.append(server)
        return server

    def site(self, htaccess: str = "", files: Files | None = None) -> Site:
        """A directory of its own, with .htaccess and other files, of a server that
        has no directives of a test's."""
        return self().site(htaccess, files)

    def run(self, body: str, path: str = "x", **options: Any) -> Any:
        """See Httpd.run; on a server that has no directives of a test's."""
        return self().run(body, path, **options)

    def unstarted(self, config: str = "", files: Files | None = None, **settings: Any) -> Httpd:
        """A server that the test itself starts, if at all; no other test gets it."""
        server = Httpd(self._settings(config, settings), files or {})
        self._private.append(server)
        return server

    def _settings(self, config: str, settings: dict[str, Any]) -> Settings:
        return Settings(config, self.mpm, **({"gil": self.gil} | settings))

    def configtest(self, config: str, files: Files | None = None, **settings: Any) -> tuple[int, str]:
        """The exit status of `httpd -t` for these directives and what it said."""
        return self.unstarted(config, files, **settings).configtest()

    def logs(self) -> str:
        """What the servers have logged during the test."""
        return "\n".join(server.error_log.text() for server in self._used + self._private)

    def end(self) -> list[str]:
        """Gives the servers back; what went wrong with them that the test did not
        expect."""
        problems = [problem for server in self._used for problem in server.problems()]
        problems += [problem for server in self._private for problem in server.stop()]
        return problems + self._pool.sweep()


def fail_because_of(problems: list[str]) -> None:
    """Fails the test if there are problems."""
    if problems:
        pytest.fail("not expected:\n" + "\n".join(problems), pytrace=False)


@pytest.fixture(scope="session")
def mpm(request: pytest.FixtureRequest) -> str:
    """The name of Apache's multi-processing module."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def httpd_pool(mpm: str) -> Iterator[Pool]:
    """The servers of the session, one MPM after the other."""
    pool = Pool()
    yield pool
    fail_because_of(pool.sweep(keep=0))


@pytest.fixture
def httpd(request: pytest.FixtureRequest, httpd_pool: Pool, mpm: str) -> Iterator[Lease]:
    """Servers, started on demand: see Lease."""
    gil = request.config.getoption("--gil")
    lease = request.node.stash[LEASE] = Lease(httpd_pool, mpm, gil)
    yield lease
    fail_because_of(lease.end())


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--mpm",
        choices=[*MPMS, "both"],
        default="both",
        help="Apache's multi-processing module to test with",
    )
    parser.addoption(
        "--gil",
        choices=["shared", "own"],
        default="shared",
        help="whether interpreters have a GIL of their own (Python 3.13) where a test does not say",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "mpm" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("mpm")
        names = list(MPMS) if chosen == "both" else [chosen]
        if only := metafunc.definition.get_closest_marker("only_mpm"):
            names = [name for name in names if name in only.args]
        metafunc.parametrize("mpm", names, indirect=True, scope="session")


def pytest_report_header(config: pytest.Config) -> list[str]:
    chosen, gil = config.getoption("mpm"), config.getoption("gil")
    sanitizers = ", with the sanitizers" if SANITIZED else ""
    return [
        f"httpd: {find_apache().version}, MPM {chosen}, GIL {gil}",
        f"module: {MODULE}{sanitizers}{'' if MODULE.exists() else ' (MISSING)'}",
    ]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    lease = item.stash.get(LEASE, None)
    if lease and call.when == "call" and report.failed:
        report.sections.append(("error_log", lease.logs()))
    return report
