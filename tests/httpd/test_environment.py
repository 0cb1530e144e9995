"""The module finds its environment by itself; PythonHome overrides."""

import os
import re
import sys
import sysconfig
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from plugins.installation import MODULE


def test_prefix_is_the_environments(httpd):
    """sys.prefix, sys.executable and site-packages are those of the environment that
    the module lies in, whatever Python is first on PATH."""
    server = httpd(environ=(("PATH", "/nonexistent"),))
    prefix, executable, path = server.run("import sys\nreturn [sys.prefix, sys.executable, sys.path]")
    assert prefix == sys.prefix
    assert Path(executable).parent == Path(sys.prefix, "bin")
    assert sysconfig.get_path("purelib") in path


def test_another_python_first_on_path(httpd):
    """Nor does an environment of another Python count whose programs come first on it."""
    config = "home = /nonexistent\ninclude-system-site-packages = false\nversion = 3.9.1\n"
    server = httpd.unstarted(files={"other/pyvenv.cfg": config})
    programs = server.root / "other" / "bin"
    programs.mkdir()
    for name in ("python", "python3", f"python3.{sys.version_info.minor}"):
        (programs / name).symlink_to("/bin/false")
    server.process.settings = replace(
        server.process.settings, environ=(("PATH", f"{programs}:/usr/bin:/bin"),)
    )
    server.start()
    prefix, path = server.run("import sys\nreturn [sys.prefix, sys.path]")
    assert prefix == sys.prefix
    assert sysconfig.get_path("purelib") in path


def test_every_interpreter(httpd):
    """In every interpreter."""
    for name in ("main_interpreter", "another"):
        assert httpd.run("import sys\nreturn sys.prefix", config=f"PythonInterpreter {name}") == (sys.prefix)


def test_version(httpd):
    """The Python inside is that of the environment."""
    assert httpd.run("import sys\nreturn list(sys.version_info[:3])") == list(sys.version_info[:3])


def test_python_home(httpd):
    """PythonHome names the environment."""
    server = httpd(f'PythonHome "{sys.prefix}"')
    assert server.run("import sys\nreturn sys.prefix") == sys.prefix


def test_python_home_elsewhere(httpd):
    """It may be another environment: its prefix and packages count, and the module's
    own package is still found."""
    server = httpd(f'PythonHome "{sys.base_prefix}"')
    prefix, package = server.run("import sys, mod_python\nreturn [sys.prefix, mod_python.__file__]")
    assert prefix == sys.base_prefix
    assert Path(package).is_relative_to(MODULE.parent)


def test_python_home_that_is_wrong(httpd):
    """A PythonHome that is no directory is a configuration error."""
    status, text = httpd.configtest('PythonHome "/no/such/directory"')
    assert status != 0
    assert "line 1 of" in text and "/no/such/directory" in text


def test_package_that_needs_the_server(httpd):
    """Outside of Apache the package imports; mod_python.apache says what it needs."""
    import mod_python

    assert mod_python.mp_version == httpd.run("import mod_python\nreturn mod_python.mp_version")


@pytest.mark.only_mpm("event")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root's Apache changes its user")
@pytest.mark.parametrize("home", ["private", "public", "link/env"])
def test_environment_that_the_children_cannot_read(httpd, home):
    """The start is refused, naming the directory that keeps them out and the cure; also where
    the way there leads over symbolic links."""
    server = httpd.unstarted(f'PythonHome "${{root}}/{home}"')
    private = server.root / "private"
    for programs in (private / "bin", private / "env" / "bin", server.root / "public" / "bin"):
        programs.mkdir(parents=True)
        (programs / "python3").symlink_to("../../private/bin/python")
    (private / "bin" / "python").write_text("")
    (server.root / "link").symlink_to("private")
    private.chmod(0o700)
    status, text = server.configtest()
    assert status != 0
    match = re.search(r"KK0002: .* no permission at (\S+); give it \('chmod o\+rx (\S+)'\)", text)
    assert match, text
    assert match[1] == match[2]
    assert Path(match[1]).resolve() == private


def test_subprocess_that_was_imported_early(httpd):
    """Where a .pth file or sitecustomize has imported it, programs begin with no signal blocked
    all the same."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        (Path(directory) / "sitecustomize.py").write_text("import subprocess\n")
        server = httpd(environ=(("PYTHONPATH", directory),))
        code = """
            import subprocess, sys
            assert "sitecustomize" in sys.modules
            with subprocess.Popen(["sleep", "60"], close_fds=False) as one, subprocess.Popen(["sleep", "60"]) as two:
                one.terminate()
                two.terminate()
                try:
                    return one.wait(5), two.wait(5)
                finally:
                    one.kill()
                    two.kill()
            """
        assert server.run(code) == [-15, -15]
