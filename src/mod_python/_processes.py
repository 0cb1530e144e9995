"""Processes that handlers start: what they inherit, and where os.fork() is possible.

Apache's threads block signals, SIGTERM for one, and a new process inherits that: a program
that could not be terminated. subprocess has three ways of starting one, by its version and
arguments: fork(), after which core/fork.c unblocks them, vfork() and posix_spawn().
"""

import _posixsubprocess
import functools
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

__all__ = ["prepare"]

#: Why a process with several cannot be copied (seen: 3.11 waits for ever, 3.13 aborts).
_OTHERS = (
    "the process has other interpreters, and CPython cannot end them in a copy of it; have everything "
    "run in the main one, with PythonInterpreter main_interpreter, or use subprocess, or the start "
    "methods spawn and forkserver of multiprocessing"
)

#: Arguments of _posixsubprocess.fork_exec(), `allow_vfork` being the last.
_WITH_VFORK = 23


def prepare(interpreter: str, is_only: Callable[[], bool]) -> None:
    """Have this interpreter, of this name, start processes as programs expect.

    Args:
        interpreter: The name.
        is_only: Whether the process has no other interpreter.
    """
    fork_exec: Any = _posixsubprocess.fork_exec

    @functools.wraps(fork_exec)
    def fork_exec_without_vfork(*args: Any) -> Any:
        # The last argument says whether it may, where there is such a one (seen: 3.11 to 3.13).
        has_vfork = len(args) == _WITH_VFORK
        if args[-2 if has_vfork else -1] is not None and not is_only():
            raise RuntimeError(f"preexec_fn is not possible here: {_OTHERS}")
        return fork_exec(*args[:-1], False) if has_vfork else fork_exec(*args)

    _posixsubprocess.fork_exec = fork_exec_without_vfork
    subprocess: Any = sys.modules.get("subprocess")
    if subprocess is not None:  # imported already, by a .pth file or sitecustomize
        subprocess._fork_exec = fork_exec_without_vfork
    for name in ("posix_spawn", "posix_spawnp"):
        if hasattr(os, name):
            setattr(os, name, _unblocking(getattr(os, name)))
    if interpreter != "main_interpreter":
        os.fork = os.forkpty = _refusing(interpreter)
    else:
        os.fork, os.forkpty = (_checked(fork, is_only) for fork in (os.fork, os.forkpty))


def _unblocking(spawn: Any) -> Any:
    """os.posix_spawn() whose process has no signal blocked, unless it is told otherwise."""

    @functools.wraps(spawn)
    def unblocked(*args: Any, **keywords: Any) -> Any:
        return spawn(*args, **{"setsigmask": (), **keywords})

    return unblocked


def _checked(fork: Any, is_only: Callable[[], bool]) -> Any:
    """os.fork() of the main interpreter."""

    @functools.wraps(fork)
    def checked() -> Any:
        if not is_only():
            raise RuntimeError(f"os.{fork.__name__}() is not possible here: {_OTHERS}")
        return fork()

    return checked


def _refusing(interpreter: str) -> Any:
    """os.fork() of an interpreter in whose copies CPython ends at once."""

    def refuse() -> NoReturn:
        raise RuntimeError(
            f"os.fork() is not possible in interpreter {interpreter}: CPython would end the new process "
            "at once; use PythonInterpreter main_interpreter, or subprocess"
        )

    return refuse
