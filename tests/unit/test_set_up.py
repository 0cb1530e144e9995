"""What `make` says before it builds: scripts/set_up.py and find_apxs.py."""

import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def script(name: str) -> ModuleType:
    """A module of scripts/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def set_up(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The set-up script, of this test alone, and so is what it puts on sys.path."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    return script("set_up")


def refusal(function, *arguments: object) -> str:
    """The message a function exits with."""
    with pytest.raises(SystemExit) as exited:
        function(*arguments)
    return str(exited.value)


def test_this_python_is_accepted(set_up):
    """The suite runs on one that Apache can load."""
    set_up.check_python()


def test_an_old_python_is_refused_with_the_cure(set_up, monkeypatch):
    """It names a Python that would do."""
    monkeypatch.setattr(sys, "version_info", (3, 10, 9))
    message = refusal(set_up.check_python)
    assert "needs CPython 3.11 or later" in message
    assert "make PYTHON=" in message


def test_a_python_without_shared_library_is_refused(set_up, monkeypatch):
    """With how to get one."""
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: 0)
    message = refusal(set_up.check_python)
    assert "without its shared library" in message
    assert "--enable-shared" in message


@pytest.mark.skipif(sys.platform == "darwin", reason="Homebrew's packages are named")
def test_missing_packages_are_named_for_every_platform(set_up, monkeypatch):
    """Each once, where nothing can be installed unasked."""
    monkeypatch.setattr(set_up, "missing_features", lambda venv: ["apxs", "compiler"])
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    message = refusal(set_up.provide_system_packages, "/srv/.venv")
    for line in (
        "apt-get install apache2-dev gcc libc6-dev",
        "dnf install httpd-devel gcc",
        "apk add apache2-dev build-base",
        "brew install httpd",
        "/srv/.venv/bin/pip install mod_wsgi-httpd",
    ):
        assert line in message


@pytest.mark.parametrize(
    ("prefix", "default", "expected"),
    [
        ("/usr", "python3.13", ["python3-dev", "python3-venv"]),
        ("/usr", "python3.11", ["python3.13-dev", "python3.13-venv"]),
        ("/opt/python3.13", "python3.11", ["python3-dev", "python3-venv"]),
    ],
)
def test_packages_of_this_python(set_up, monkeypatch, tmp_path, prefix, default, expected):
    """Another Python of the system than its python3 has packages of its own."""
    python = tmp_path / "python3"
    python.symlink_to(default)
    monkeypatch.setattr(set_up, "SYSTEM_PYTHON", str(python))
    monkeypatch.setattr(sys, "version_info", (3, 13, 1))
    monkeypatch.setattr(sys, "base_prefix", prefix)
    assert set_up.packages(["headers", "venv"], "Debian, Ubuntu") == expected
    assert set_up.packages(["headers"], "Alpine") == ["python3-dev"]


def test_root_on_debian_installs_what_is_missing(set_up, monkeypatch):
    """And goes on once it is there."""
    missing = [["apxs", "venv"], []]
    installed: list[list[str]] = []
    monkeypatch.setattr(set_up, "missing_features", lambda venv: missing.pop(0))
    monkeypatch.setattr(set_up, "install_debian_packages", installed.append)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    set_up.provide_system_packages("/srv/.venv")
    assert installed == [["apache2-dev", "python3-venv"]]


def test_nothing_is_missing_where_this_was_built(set_up):
    """The suite runs in what the script set up."""
    assert set_up.missing_features(sys.prefix) == []


def test_an_apache_in_the_environment_is_enough(set_up, monkeypatch, tmp_path):
    """It brings its own apxs."""
    monkeypatch.setattr("shutil.which", lambda *args, **options: None)
    assert {"apache", "apxs"} <= set(set_up.missing_features(str(tmp_path)))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "mod_wsgi-apxs").write_text("")
    assert not {"apache", "apxs"} & set(set_up.missing_features(str(tmp_path)))


def test_an_unreadable_interpreter_is_refused_before_anything_is_built(set_up, monkeypatch):
    """With the reason and the cure, which are those of kukulkan.readable."""
    from kukulkan import readable
    from kukulkan.errors import KukulkanError

    def refuse(*arguments: object) -> None:
        raise KukulkanError("/root gives others no search permission.")

    monkeypatch.setattr(readable, "require_readable", refuse)
    message = refusal(set_up.check_readable, "/srv/none/.venv")
    assert "so nothing was built. /root gives others no search permission." in message


def test_an_environment_of_another_python_is_kept(set_up, tmp_path):
    """It is named, and never overwritten."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\necho /opt/other 3 9\n")
    python.chmod(0o755)
    message = refusal(set_up.make_venv, str(tmp_path))
    assert "was made with another Python (/opt/other 3 9" in message
    assert "VENV=" in message


def test_a_directory_that_is_no_environment_is_kept(set_up, tmp_path):
    """What lies there is somebody's."""
    (tmp_path / "file").write_text("")
    assert "is no working virtual environment" in refusal(set_up.make_venv, str(tmp_path))


def test_apxs_is_the_one_named(monkeypatch, tmp_path):
    """By the environment variable."""
    apxs = tmp_path / "my-apxs"
    apxs.write_text("#!/bin/sh\n")
    apxs.chmod(0o755)
    monkeypatch.setenv("APXS", str(apxs))
    assert script("find_apxs").find_apxs() == str(apxs)
    monkeypatch.setenv("APXS", str(tmp_path / "none"))
    assert script("find_apxs").find_apxs() is None


@pytest.mark.parametrize(
    ("named", "message"),
    [("/no/such/apxs", "There is no program /no/such/apxs, which APXS names"), ("", "apt-get install")],
)
def test_apxs_is_not_there(named, message, tmp_path):
    """A wrong APXS is told as such: nothing else was looked for."""
    code = "import shutil, runpy, sys; shutil.which = lambda *a, **k: None; runpy.run_path(sys.argv[1], run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code, SCRIPTS / "find_apxs.py"],
        env={**os.environ, "APXS": named},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and message in done.stderr


def test_apxs_of_the_environment_comes_first(monkeypatch, tmp_path):
    """That of an Apache from PyPI."""
    for name in ("mod_wsgi-apxs", "apxs"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.delenv("APXS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert script("find_apxs").find_apxs() == str(tmp_path / "apxs")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    assert script("find_apxs").find_apxs() == str(tmp_path / "mod_wsgi-apxs")
