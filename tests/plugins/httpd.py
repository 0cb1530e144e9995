"""A real Apache with a configuration and files of the test's, in a server root of
its own, and what tests ask of it."""

import json
import shutil
import subprocess
import tempfile
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .client import Client
from .config import Settings, dedent
from .errorlog import ErrorLog, Record
from .process import Process

Files = Mapping[str, str | bytes]

SNIPPET = """\
import json, traceback
from mod_python import apache

def snippet(req):
{body}

def handler(req):
    try:
        text = json.dumps({{"value": snippet(req)}})
    except BaseException:
        text = json.dumps({{"error": traceback.format_exc()}})
    req.content_type = "application/json"
    req.write(text)
    return apache.OK
"""


def write_file(directory: Path, name: str, content: str | bytes) -> Path:
    """Writes a file, text dedented, with its directories; its path."""
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else dedent(content).encode())
    return path


class Site(Client):
    """A directory below a server's document root that belongs to one test."""

    def __init__(self, server: "Httpd", name: str) -> None:
        super().__init__(server.port, f"/{name}/")
        self.server = server
        self.directory = server.htdocs / name
        self.directory.mkdir()

    def write(self, name: str, content: str | bytes) -> Path:
        """Writes a file of the site; its path."""
        return write_file(self.directory, name, content)

    def expect_log(self, pattern: str, times: int = 1) -> Record:
        """See ErrorLog.expect."""
        return self.server.error_log.expect(pattern, times)


class Httpd(Client):
    """One Apache."""

    def __init__(self, settings: Settings, files: Files) -> None:
        super().__init__(0, "/")
        self.root = Path(tempfile.mkdtemp(prefix="kukulkan-test-"))
        self.root.chmod(0o755)  # the children run as another user
        self.htdocs = self.root / "htdocs"
        self.htdocs.mkdir()
        logs = self.root / "logs"
        logs.mkdir()
        logs.chmod(0o777)  # the children write the sanitizers' reports
        self.error_log = ErrorLog(logs / "error_log")
        self.process = Process(self.root, settings, self.error_log)
        self.changed = False
        self._sites = 0
        for name, text in files.items():
            write_file(self.root, name, text)

    def start(self) -> None:
        """Starts Apache; StartError if it does not come to accept connections."""
        self.process.start()
        self.port = self.process.port

    def stop(self) -> list[str]:
        """Ends Apache and removes its files; what went wrong since the last check."""
        problems = self.process.stop() + self.problems()
        shutil.rmtree(self.root)
        return problems

    def problems(self) -> list[str]:
        """Serious log records that no test expected, and the sanitizers' reports,
        since the last time."""
        reports = sorted((self.root / "logs").glob("sanitizer.*"))
        found = [report.read_text(errors="replace") for report in reports]
        for report in reports:
            report.unlink()
        return found + [f"[{r.module}:{r.level}] {r.message}" for r in self.error_log.unexpected()]

    def write(self, name: str, content: str | bytes) -> Path:
        """Writes a file below the server root; no other test gets this server then."""
        self.changed = True
        return write_file(self.root, name, content)

    def graceful(self) -> None:
        """A graceful restart; returns when only the new generation of children is left."""
        self.changed = True
        self.process.graceful()

    def child_pids(self) -> list[int]:
        """The processes that Apache's parent process has started."""
        return self.process.child_pids()

    def expect_log(self, pattern: str, times: int = 1) -> Record:
        """See ErrorLog.expect."""
        return self.error_log.expect(pattern, times)

    def configtest(self) -> tuple[int, str]:
        """The exit status of `httpd -t` and what it said."""
        done = self._ask("-t")
        return done.returncode, done.stderr

    def directives(self) -> str:
        """All directives of its modules, and where they may stand: `httpd -L`."""
        return self._ask("-L").stdout

    def _ask(self, option: str) -> subprocess.CompletedProcess[str]:
        """Runs httpd with an option that makes it answer instead of serving."""
        return subprocess.run(
            self.process.command(option),
            env=self.process.environ(),
            capture_output=True,
            text=True,
            check=False,
        )

    def site(self, htaccess: str = "", files: Files | None = None) -> Site:
        """A new directory below the document root with an .htaccess file and files."""
        self._sites += 1
        site = Site(self, f"site{self._sites}")
        site.write(".htaccess", htaccess)
        for name, text in (files or {}).items():
            site.write(name, text)
        return site

    def run(
        self,
        body: str,
        path: str = "x",
        *,
        method: str = "GET",
        config: str = "",
        **options: Any,
    ) -> Any:
        """What the body of a function of `req` returns inside Apache.

        The value goes through JSON; an exception comes back as AssertionError with
        the traceback from the server. `config` is added to the .htaccess file, `path`
        is requested below it, other arguments are httpx's.
        """
        handler = "SetHandler python-program\nPythonHandler snippet\n"
        code = SNIPPET.format(body=textwrap.indent(dedent(body), "    "))
        site = self.site(handler + dedent(config), {"snippet.py": code})
        response = site.request(method, path, **options)
        assert response.status_code == 200, f"{response.status_code}: {response.text}"
        answer = json.loads(response.content)
        assert "error" not in answer, answer["error"]
        return answer["value"]
