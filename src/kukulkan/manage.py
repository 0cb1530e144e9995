"""Small servers of one's own: what `kukulkan create`, `genconfig`, `start`, `stop` and `restart` do."""

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from kukulkan import httpd, installation, readable
from kukulkan.errors import KukulkanError
from kukulkan.syntax import plain_path, quote
from mod_python import httpdconf, version

#: The pages that a new server begins with, by the handler that serves them.
FIRST_PAGES = {
    "mod_python.publisher": (
        "index.py",
        '"""The first page of this server: each function is a page, as /index/hello is."""\n\n\n'
        'def index(req):\n    return "It works."\n\n\n'
        'def hello(req, name="world"):\n    return f"Hello, {name}!"\n',
    ),
    "mod_python.psp": ("index.psp", "<p>It works: <%= req.uri %>\n"),
}


# As Listen takes it: a protocol may follow.
_PORT = re.compile(r"(?:\S+:)?([0-9]+)(?=\s|$)")

_NOT_RUNNING = re.compile(r"\(pid ([0-9]+)\?\) not running")

_VERBS = {"start": "start", "graceful-stop": "stop", "graceful": "restart"}


@dataclass(frozen=True)
class Created:
    """What create() has written."""

    script: Path
    configuration: Path


def create(
    directory: Path, handler: str, listen: str, python_path: Sequence[str], options: Sequence[str]
) -> Created:
    """Write a complete small server into a directory.

    Args:
        directory: Made if it does not exist.
        handler: As for PythonHandler.
        listen: As for Listen.
        python_path: Directories for sys.path.
        options: "key value" each, as for PythonOption.

    Raises:
        KukulkanError: There is one already, Apache's children could not read it, or something
            given is no argument of a directive. Then nothing is written.
    """
    root = Path(plain_path(directory.absolute()))
    port = _PORT.match(listen)
    if not port or not 0 < int(port[1]) < 65536:
        raise KukulkanError(f"{listen!r} is neither a port nor ADDRESS:PORT (--listen).")
    _require_readable(root, [Path(place).absolute() for place in python_path])
    try:
        script = httpdconf.write_basic_config(
            str(root),
            listen,
            pythonhandler=handler,
            pythonpath=python_path,
            pythonoptions=[_option(text) for text in options],
        )
        if script is None:
            raise KukulkanError(
                f"There is a server in {root} already: remove {root / 'conf'}, or name another."
            )
        _write_first_page(root / "public", handler)
        configuration = Path(script).with_name("httpd.conf")
        configuration.write_text(generate(Path(script)), encoding="utf-8")
    except OSError as error:
        raise KukulkanError(f"Cannot write {error.filename}: {error.strerror}") from error
    except ValueError as error:
        raise KukulkanError(str(error)) from error
    return Created(Path(script), configuration)


def _require_readable(root: Path, python_path: Sequence[Path]) -> None:
    """Refuse what Apache's children could not read, of a directory that need not exist yet."""
    advice = "Or choose a directory that everybody may read, such as one in /srv."
    missing = next((place for place in python_path if not place.exists()), None)
    if missing:
        raise KukulkanError(f"There is no {missing} (--pythonpath): make it first.")
    account = readable.child_account()
    environment = [*readable.interpreter_paths(), installation.module_file()]
    readable.require_readable([*python_path, *environment], account, advice)
    if account:
        obstacle = readable.find_obstacle(root / "public" / "page", account)
        if obstacle and obstacle.permission:
            raise KukulkanError(f"{readable.explain(obstacle, account)} {advice}")


def _option(text: str) -> str:
    """The arguments of PythonOption for "key value", a value with blanks as one."""
    key, _, value = text.strip().partition(" ")
    return f"{key} {quote(value.strip())}" if value else key


def _write_first_page(htdocs: Path, handler: str) -> None:
    """A page, if the handler's are known and there is none yet."""
    if handler in FIRST_PAGES and not any(htdocs.iterdir()):
        name, text = FIRST_PAGES[handler]
        (htdocs / name).write_text(text, encoding="utf-8")


def generate(script: Path) -> str:
    """What a script that prints a configuration prints.

    Raises:
        KukulkanError: There is no such script, or it fails.
    """
    output = StringIO()
    argv = sys.argv
    sys.argv = [str(script)]
    try:
        with redirect_stdout(output):
            runpy.run_path(str(script), run_name="__main__")
    except OSError as error:
        raise KukulkanError(f"Cannot run {script}: {error.strerror or error}") from error
    except Exception as error:
        raise KukulkanError(f"{script} failed: {type(error).__name__}: {error}") from error
    finally:
        sys.argv = argv
    return output.getvalue()


def control(configuration: Path, action: str, program: str | None = None) -> None:
    """Have Apache start, or tell the one that runs what to do.

    Args:
        configuration: Its httpd.conf.
        action: "start", "graceful-stop" or "graceful", as for `httpd -k`.

    Raises:
        KukulkanError: Apache has failed, and said why.
    """
    configuration = configuration.absolute()
    if not configuration.is_file():
        raise KukulkanError(f"There is no configuration {configuration}: `kukulkan create` makes one.")
    apache = httpd.find(program)
    done = subprocess.run(
        [apache.program, "-f", configuration, "-k", action],
        env=apache.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    said = (done.stdout + done.stderr).strip()
    if done.returncode != 0:
        raise KukulkanError(
            f"Apache failed to {_VERBS[action]} with {configuration}: {said or 'it does not say why'}"
        )
    # "httpd (pid 7) already running", "httpd (no pid file) not running": status 0, yet no success;
    # but "httpd not running, trying to start" is how it restarts when it is stopped.
    if "already running" in said or ("not running" in said and "trying to start" not in said):
        raise KukulkanError(_of_another_user(said) or said)


def _of_another_user(said: str) -> str | None:
    """What "httpd (pid 7?) not running" means if it does run: Apache may not signal it."""
    process = _NOT_RUNNING.search(said)
    if not process:
        return None
    try:
        os.kill(int(process[1]), 0)
    except PermissionError:
        return f"httpd (pid {process[1]}) belongs to another user: stop it as the one who started it."
    except OSError:
        pass
    return None


def versions() -> list[tuple[str, str]]:
    """What this installation is made of: names and versions."""
    return [
        ("kukulkan", version.version),
        ("module", str(installation.module_file())),
        ("Apache", f"{version.HTTPD_VERSION} ({version.HTTPD})"),
        ("APR", version.APR_VERSION),
        ("Python", f"{sys.version.split()[0]} ({version.PYTHON_BIN})"),
        ("platform", f"{os.uname().sysname} {os.uname().release} {os.uname().machine}"),
    ]
