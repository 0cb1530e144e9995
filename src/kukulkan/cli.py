"""The command line: options in, the other modules' work, messages out."""

import ast
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from kukulkan import configuration, doctor, httpd, installation, manage, readable, serve, target
from kukulkan.errors import KukulkanError
from kukulkan.findings import ERROR, count, totals

# Enough for a person with a browser and a page full of images; blocking handlers take one each.
DEFAULT_THREADS = 16
# Prefork serves one request per process.
DEFAULT_PREFORK_PROCESSES = 8

# Lines of "what to look at" before the list is cut.
MAX_LISTED = 12


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="kukulkan", message="%(prog)s %(version)s")
def cli() -> None:
    """Python inside the Apache HTTP server."""


@cli.command("module-config")
def module_config() -> None:
    """Print the line that loads this environment's module."""
    click.echo(installation.load_module_line())


@cli.command("serve")
@click.argument("path")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--mpm", type=click.Choice(httpd.MPMS), help="Default: the first of these that Apache has.")
@click.option("--processes", type=click.IntRange(1), help="Children.  [default: 1; prefork: 8]")
@click.option("--threads", type=click.IntRange(1), help="Threads of each child.  [default: 16; prefork: 1]")
@click.option("--reload/--no-reload", default=True, show_default=True, help="Import changed modules again.")
@click.option("--debug/--no-debug", help="Show tracebacks to the browser.")
@click.option("--access-log/--no-access-log", help="Log every request.")
@click.option("--httpd", "program", metavar="PROGRAM", help="The Apache to run.")
@click.option("--config-only", is_flag=True, help="Print the configuration and exit.")
def serve_command(
    path: str,
    port: int,
    host: str,
    mpm: str | None,
    processes: int | None,
    threads: int | None,
    reload: bool,
    debug: bool,
    access_log: bool,
    program: str | None,
    config_only: bool,
) -> None:
    """Serve PATH with Apache until Ctrl-C.

    PATH is a directory, whose NAME.py files are handlers or published, whose
    NAME.psp files are PSP pages, and whose other files are served as they are;
    or one handler for every URL: FILE.py, MODULE, MODULE::OBJECT (found from the
    current directory); or one WSGI application: MODULE:OBJECT, or a FILE.py or
    MODULE with an application or app and no handler.
    """
    what = target.resolve(path, Path.cwd())
    apache = httpd.find(program)
    load_python = installation.load_module_line()
    mpm = httpd.choose_mpm(apache, mpm)
    if mpm == "prefork" and (threads or 1) > 1:
        raise click.UsageError(
            "The prefork MPM has one thread in each process: give --processes, or another --mpm."
        )
    settings = configuration.Settings(
        host=host,
        port=port if config_only else serve.check_port(host, port),
        mpm=mpm,
        processes=processes or (DEFAULT_PREFORK_PROCESSES if mpm == "prefork" else 1),
        threads=threads or (1 if mpm == "prefork" else DEFAULT_THREADS),
        reload=reload,
        debug=debug,
        access_log=access_log,
        account=readable.child_account(),
    )
    if config_only:
        root = Path(tempfile.gettempdir())
        click.echo(configuration.write(what, settings, apache, load_python, root), nl=False)
        return
    require_readable(what, settings.account)
    serve.serve(
        apache,
        lambda root: configuration.write(what, settings, apache, load_python, root),
        lambda: announce(what, settings),
    )


@cli.command("doctor")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option(
    "--try/--no-try", "is_trying", default=True, show_default=True, help="Import compiled packages."
)
def doctor_command(path: Path | None, is_trying: bool) -> int:
    """Say what will not run, with file, line and cure.

    PATH is a configuration of Apache, its directory, a directory of handlers, or one source; the
    default is the current directory. The exit status is 1 if there are errors, 0 if there are none.
    """
    findings = doctor.examine(path or Path.cwd(), is_trying=is_trying)
    for finding in findings:
        click.echo(str(finding))
    click.echo(totals(findings) if findings else "Nothing found.")
    return 1 if count(findings, ERROR) else 0


@cli.command("create")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--pythonhandler",
    "handler",
    default="mod_python.publisher",
    show_default=True,
    help="What answers all requests, as for PythonHandler.",
)
@click.option("--listen", default="8888", show_default=True, help="Port, or ADDRESS:PORT.")
@click.option("--pythonpath", metavar="A:B", default="", help="Directories to have in sys.path.")
@click.option(
    "--pythonoption", "options", metavar='"KEY VALUE"', multiple=True, help="A PythonOption; may be repeated."
)
def create(directory: Path, handler: str, listen: str, pythonpath: str, options: tuple[str, ...]) -> None:
    """Write a small server into DIRECTORY.

    It has configuration, logs, and a place for pages.
    """
    path = [part for part in pythonpath.split(os.pathsep) if part]
    made = manage.create(directory, handler, listen, path, options)
    name = click.get_current_context().find_root().info_name
    click.echo(f"Created {made.configuration}")
    click.echo(f"  from {made.script}: change that, then `{name} genconfig` prints it anew")
    click.echo(f"Start it with: {name} start {made.configuration}")


@cli.command("genconfig")
@click.argument("script", type=click.Path(path_type=Path, dir_okay=False))
def genconfig(script: Path) -> None:
    """Print the configuration that SCRIPT makes.

    `create` writes such a script: conf/httpd_conf.py.
    """
    click.echo(manage.generate(script), nl=False)


CONFIGURATION = click.argument(
    "configuration", metavar="CONF", type=click.Path(path_type=Path, dir_okay=False)
)
PROGRAM = click.option("--httpd", "program", metavar="PROGRAM", help="The Apache to run.")


@cli.command("start")
@CONFIGURATION
@PROGRAM
def start(configuration: Path, program: str | None) -> None:
    """Start Apache in the background, with CONF."""
    manage.control(configuration, "start", program)


@cli.command("stop")
@CONFIGURATION
@PROGRAM
def stop(configuration: Path, program: str | None) -> None:
    """Stop that Apache, once its requests are answered."""
    manage.control(configuration, "graceful-stop", program)


@cli.command("restart")
@CONFIGURATION
@PROGRAM
def restart(configuration: Path, program: str | None) -> None:
    """Have that Apache read CONF again, and interrupt nothing."""
    manage.control(configuration, "graceful", program)


@cli.command("version")
def version_command() -> None:
    """Print what this installation is made of."""
    for name, text in manage.versions():
        click.echo(f"{name + ':':<10} {text}")


def require_readable(what: target.Site | target.Application, account: readable.Account | None) -> None:
    """Refuse a site or an environment that Apache's children could not read."""
    if isinstance(what, target.Site):
        wanted = [what.root, *target.handlers_of(what)]
    else:
        wanted = [what.import_path, *([what.source] if what.source else [])]
    readable.require_readable(wanted, account, "Or copy it to where everybody may read, such as /srv.")
    readable.require_readable([Path(tempfile.gettempdir())], account, "Or set TMPDIR to another directory.")
    environment = [*readable.interpreter_paths(), installation.module_file(), Path(__file__)]
    readable.require_readable(
        environment,
        account,
        "Or install Kukulkan with a Python that everybody may read, such as /usr/bin/python3.",
    )


def announce(what: target.Site | target.Application, settings: configuration.Settings) -> None:
    """Say where the server answers and, of a site, what to look at."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{settings.port}/"
    name = what.root if isinstance(what, target.Site) else what.handler
    click.echo(f"Serving {name} at {url} (Python {platform.python_version()}, {settings.mpm} MPM)")
    handlers = target.handlers_of(what) if isinstance(what, target.Site) else []
    for file in handlers[:MAX_LISTED]:
        page = "" if file.name == "index.py" else file.name
        click.echo(f"  {url + page:<40} {summary(file)}".rstrip())
    if len(handlers) > MAX_LISTED:
        click.echo(f"  ... and {len(handlers) - MAX_LISTED} more")
    click.echo("Press Ctrl-C to stop.")


def summary(file: Path) -> str:
    """The first line of a module's docstring, or nothing."""
    try:
        text = ast.get_docstring(ast.parse(file.read_bytes())) or ""
    except (OSError, SyntaxError, ValueError):
        return ""
    return text.partition("\n")[0]


def _own_name() -> str:
    """`kukulkan`, or `mod_python` if it was called by that name."""
    name = Path(sys.argv[0]).name
    return name if name == "mod_python" else "kukulkan"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: its arguments; None takes those of the process.

    Returns:
        0, or 1 for a failure, 2 for a wrong use: said on standard error.
    """
    try:
        status = cli.main(args=argv, prog_name=_own_name(), standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    except KukulkanError as error:
        click.echo(f"kukulkan: {error}", err=True)
        return 1
    return status if isinstance(status, int) else 0
