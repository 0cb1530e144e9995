"""Processes that handlers start: what they inherit, and where os.fork() is possible.

Apache's threads block signals, SIGTERM for one, and a new process inherits that: a program
that could not be terminated. subprocess has three ways of starting one, by its version and
arguments: fork(), after which core/fork.c unblocks them, vfork() and posix_spawn().
"""

import _posixsubprocess
import functools
import os
import sys
from typing import Any, NoReturn

__all__ = ["prepare"]


def prepare(interpreter: str) -> None:
    """Have this interpreter, of this name, start processes as programs expect."""
    fork_exec: Any = _posixsubprocess.fork_exec

    @functools.wraps(fork_exec)
    def fork_exec_without_vfork(*args: Any) -> Any:
        return fork_exec(*args[:-1], False)

    _posixsubprocess.fork_exec = fork_exec_without_vfork
    subprocess: Any = sys.modules.get("subprocess")
    if subprocess is not None:  # imported already, by a .pth file or sitecustomize
        subprocess._fork_exec = fork_exec_without_vfork
    for name in ("posix_spawn", "posix_spawnp"):
        if hasattr(os, name):
            setattr(os, name, _unblocking(getattr(os, name)))
    if interpreter != "main_interpreter":
        os.fork = os.forkpty = _refusing(interpreter)


def _unblocking(spawn: Any) -> Any:
    """os.posix_spawn() whose process has no signal blocked, unless it is told otherwise."""

    @functools.wraps(spawn)
    def unblocked(*args: Any, **keywords: Any) -> Any:
        return spawn(*args, **{"setsigmask": (), **keywords})

    return unblocked


def _refusing(interpreter: str) -> Any:
    """os.fork() of an interpreter in whose copies CPython ends at once."""

    def refuse() -> NoReturn:
        raise RuntimeError(
            f"os.fork() is not possible in interpreter {interpreter}: CPython would end the new process "
            "at once; use PythonInterpreter main_interpreter, or subprocess"
        )

    return refuse
