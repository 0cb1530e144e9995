"""What handlers' subprocess calls are made of: mod_python._processes."""

import subprocess
import sys

import pytest

PREPARE = """
{first}
import _posixsubprocess
from mod_python import _processes
calls = []
_posixsubprocess.fork_exec = lambda *args: calls.append(args) or 7
{imported}_processes.prepare("main_interpreter", lambda: True)
import subprocess
assert subprocess._fork_exec is _posixsubprocess.fork_exec
args = ("args", *[None] * 21)
subprocess._fork_exec(*args, True)
assert calls == [(*args, False)], calls
subprocess._fork_exec(*args)  # of a CPython that has no such argument
assert calls[1:] == [args], calls
"""


@pytest.mark.parametrize("first", ["import subprocess", ""], ids=["imported before", "imported later"])
def test_vfork_is_not_used(first):
    """By a subprocess that a .pth file or sitecustomize imported before the first handler, either."""
    code = PREPARE.format(
        first=first,
        imported="subprocess._fork_exec = _posixsubprocess.fork_exec\n" if first else "",
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
