"""The configuration of an Apache under test: what it is made from and its text.

A test's own directives go into a file of their own, so that the line numbers in
Apache's messages are those of the test's text. They may use the variables
`${root}`, `${htdocs}` and `${port}`.
"""

import os
import textwrap
from dataclasses import dataclass
from pathlib import Path

from .installation import MODULE, Apache

BASE_MODULES = (
    "authn_core",
    "authz_core",
    "authz_user",
    "auth_basic",
    "mime",
    "dir",
    "alias",
    "env",
    "log_config",
    "unixd",
)

# One child, so that a test knows whom it talks to. The spare slots are for the
# old generation during a graceful restart.
MPM_SETTINGS = {
    "event": """
        StartServers 1
        ServerLimit 4
        ThreadLimit {workers}
        ThreadsPerChild {workers}
        MaxRequestWorkers {workers}
        MinSpareThreads 1
        MaxSpareThreads {workers}
        """,
    "prefork": """
        StartServers {workers}
        ServerLimit 8
        MinSpareServers 1
        MaxSpareServers 8
        MaxRequestWorkers {workers}
        """,
}
DEFAULT_WORKERS = {"event": 25, "prefork": 1}

BASE = """
    ServerName www.example.com:{port}
    Listen 127.0.0.1:{port}
    PidFile logs/httpd.pid
    ErrorLog logs/error_log
    LogLevel info
    Timeout 20
    KeepAlive On
    TypesConfig conf/mime.types
    DefaultRuntimeDir logs
    DocumentRoot "{root}/htdocs"
    <Directory "{root}/htdocs">
        Options FollowSymLinks Includes
        AllowOverride All
        Require all granted
    </Directory>
    Define root "{root}"
    Define htdocs "{root}/htdocs"
    Define port {port}
    """


@dataclass(frozen=True)
class Settings:
    """What makes one Apache under test differ from another.

    config: directives, at the level of the main server.
    mpm: "event" or "prefork".
    modules: names of Apache modules to load beside the usual ones.
    workers: threads (event) or processes (prefork); None is 25 or 1.
    environ: pairs to add to Apache's environment.
    defines: names given as -Dname.
    python: whether to load the module under test.
    gil: "own" if interpreters are to have a GIL of their own by default.
    """

    config: str = ""
    mpm: str = "event"
    modules: tuple[str, ...] = ()
    workers: int | None = None
    environ: tuple[tuple[str, str], ...] = ()
    defines: tuple[str, ...] = ()
    python: bool = True
    gil: str = "shared"


def dedent(text: str) -> str:
    """The text of an indented triple-quoted string."""
    return textwrap.dedent(text).lstrip("\n")


def write_config(root: Path, port: int, settings: Settings, apache: Apache) -> Path:
    """Writes conf/httpd.conf and conf/test.conf below root; the path of the first."""
    conf = root / "conf"
    conf.mkdir(exist_ok=True)
    (conf / "mime.types").write_text("text/html html\ntext/plain txt\n")
    (conf / "test.conf").write_text(dedent(settings.config))
    (conf / "httpd.conf").write_text(render(root, port, settings, apache))
    return conf / "httpd.conf"


def render(root: Path, port: int, settings: Settings, apache: Apache) -> str:
    """The text of httpd.conf."""
    names = [f"mpm_{settings.mpm}", *BASE_MODULES, *settings.modules]
    lines = [f'ServerRoot "{root}"', *apache.load_lines(names)]
    if settings.python:
        lines.append(f'LoadModule python_module "{MODULE}"')
    if os.getuid() == 0:
        lines += ["User www-data", "Group www-data"]
    workers = settings.workers or DEFAULT_WORKERS[settings.mpm]
    lines.append(dedent(MPM_SETTINGS[settings.mpm]).format(workers=workers))
    lines.append(dedent(BASE).format(root=root, port=port))
    # Where the test's own directives choose the main interpreter, the two would contradict.
    if settings.gil == "own" and settings.python and "main_interpreter" not in settings.config:
        lines.append("PythonInterpGIL Own")
    lines.append(f'Include "{root}/conf/test.conf"')
    return "\n".join(lines) + "\n"
