"""The command line itself: kukulkan.cli, installation and serve, without running Apache."""

import os
import socket
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from kukulkan import cli, httpd, installation, serve
from kukulkan.errors import KukulkanError

LOAD = "LoadModule python_module /m.so"


@pytest.fixture
def apache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> httpd.Httpd:
    """An Apache that is found, with everything built in."""
    names = {
        "mod_mpm_event",
        "mod_unixd",
        "mod_authz_core",
        "mod_mime",
        "mod_dir",
        "mod_authn_core",
        "mod_authz_host",
        "mod_authz_user",
    }
    found = httpd.Httpd(Path("/usr/sbin/httpd"), tmp_path, frozenset(names))
    monkeypatch.setattr(httpd, "find", lambda named: found)
    monkeypatch.setattr(installation, "load_module_line", lambda: LOAD)
    return found


def test_module_config_prints_one_line(monkeypatch, tmp_path):
    """The module's path is absolute, and quoted where it has to be."""
    monkeypatch.setattr(installation, "module_file", lambda: Path("/srv/my app/mod_python.so"))
    result = CliRunner().invoke(cli.cli, ["module-config"])
    assert result.output == 'LoadModule python_module "/srv/my app/mod_python.so"\n'


def test_module_that_was_not_built_is_an_error(monkeypatch, capsys):
    """It says how to build it; no traceback."""
    monkeypatch.setattr(installation, "MODULE_NAME", "no_such_module.so")
    assert cli.main(["module-config"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("kukulkan: The Apache module no_such_module.so is missing")
    assert "make build" in error


def test_config_only_prints_the_configuration(apache, tmp_path, capsys):
    """And starts nothing."""
    (tmp_path / "site").mkdir()
    assert cli.main(["serve", str(tmp_path / "site"), "--config-only", "--port", "81", "--debug"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert LOAD in lines
    assert "Listen 127.0.0.1:81" in lines
    assert "PythonDebug On" in lines


def test_help_names_every_option():
    """As the documentation has them."""
    output = CliRunner().invoke(cli.cli, ["serve", "--help"]).output
    options = "port host mpm processes threads reload no-reload debug access-log httpd config-only"
    assert not [option for option in options.split() if f"--{option}" not in output]


def test_help_has_a_whole_sentence_for_each_command():
    """None is too long for a terminal of 80 columns."""
    output = CliRunner().invoke(cli.cli, ["--help"], terminal_width=80).output
    lines = output.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == sorted(cli.cli.commands)
    assert [line for line in lines if line.endswith("...") or not line.endswith(".")] == []


def test_version_is_the_distributions(capsys):
    """`kukulkan --version`."""
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"kukulkan {metadata.version('kukulkan')}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serve"], "Missing argument 'PATH'"),
        (["serve", ".", "--port", "70000"], "70000 is not in the range"),
        (["serve", ".", "--mpm", "winnt"], "'winnt' is not one of"),
        (["nothing"], "No such command 'nothing'"),
    ],
)
def test_wrong_use_exits_with_2(arguments, message, capsys):
    """The message names what is wrong."""
    assert cli.main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError, "httpd (pid 7) belongs to another user: stop it as the one who started it."),
        (ProcessLookupError, "httpd (pid 7?) not running"),
    ],
)
def test_stopping_what_belongs_to_another_user(apache, monkeypatch, tmp_path, capsys, error, said):
    """Apache says that it is not running, for it may not send it a signal."""

    def refuse(process: int, signum: int) -> None:
        raise error

    program = tmp_path / "httpd"
    program.write_text("#!/bin/sh\necho 'httpd (pid 7?) not running'\n")
    program.chmod(0o755)
    found = replace(apache, program=program)
    monkeypatch.setattr(httpd, "find", lambda named: found)
    monkeypatch.setattr(os, "kill", refuse)
    (tmp_path / "httpd.conf").touch()
    assert cli.main(["stop", str(tmp_path / "httpd.conf")]) == 1
    assert capsys.readouterr().err == f"kukulkan: {said}\n"


def test_prefork_has_one_thread(apache, monkeypatch, tmp_path, capsys):
    """Asking for more is a wrong use."""
    monkeypatch.setattr(httpd, "choose_mpm", lambda found, wanted: wanted)
    arguments = ["serve", str(tmp_path), "--mpm", "prefork", "--threads", "4", "--config-only"]
    assert cli.main(arguments) == 2
    assert "one thread" in capsys.readouterr().err


def test_missing_path_is_an_error(apache, tmp_path, capsys):
    """One paragraph, exit status 1."""
    assert cli.main(["serve", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.startswith("kukulkan: There is no file or directory")


def test_interrupt_is_not_a_traceback(monkeypatch):
    """Ctrl-C before Apache runs."""

    def interrupted(*args: object, **options: object) -> None:
        raise click.Abort

    monkeypatch.setattr(cli.cli, "main", interrupted)
    assert cli.main([]) == 130


def test_port_in_use_is_refused():
    """Before Apache is started, with the cure."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(KukulkanError, match="--port"):
        serve.check_port("127.0.0.1", taken.getsockname()[1])


def test_port_0_takes_a_free_one():
    """The one that Apache is then given."""
    assert serve.check_port("127.0.0.1", 0) > 0


def test_unknown_host_is_refused():
    """It is an address of this machine or none."""
    with pytest.raises(KukulkanError, match=r"Cannot listen on 192\.0\.2\.1"):
        serve.check_port("192.0.2.1", 0)


def test_a_traceback_in_the_log_has_its_lines_back():
    """Apache escapes line ends and backslashes; the terminal gets them as they were."""
    record = r"Traceback:\n  File x\n    re.match('\\d')" + "\n"
    assert serve.readable_log(record) == "Traceback:\n      File x\n        re.match('\\d')\n"


def test_summary_is_the_docstrings_first_line(tmp_path):
    """A file without one, or that does not compile, has none."""
    file = tmp_path / "page.py"
    for source, summary in [('"""One.\n\nTwo."""', "One."), ("x = 1", ""), ("def", "")]:
        file.write_text(source)
        assert cli.summary(file) == summary
