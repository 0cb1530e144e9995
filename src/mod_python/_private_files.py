"""Directories and files that nobody but the server's user can write, read or replace.

A directory is used by its descriptor, once it was seen to be ours, so that what is checked
is what is used. Whatever is not as it should be is refused: RefusedError.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator

__all__ = [
    "RefusedError",
    "check_file",
    "directory",
    "place",
    "read",
    "replace",
    "require_guarded",
]

_OPEN = os.O_NOFOLLOW | os.O_CLOEXEC
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class RefusedError(PermissionError):
    """A file or directory that others could have put there, or could read."""


def _check(status: os.stat_result, path: str) -> None:
    if status.st_uid != os.geteuid():
        raise RefusedError(f"{path} belongs to user {status.st_uid}, not to the server's: remove it")
    if status.st_mode & _OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        raise RefusedError(f"{path} is open to others (mode {mode:04o}): check what is in it, then chmod go=")


@contextlib.contextmanager
def _making(name: str) -> Iterator[None]:
    """Have errors about the directory in which a file or directory is made say what to do."""
    try:
        yield
    except (FileNotFoundError, PermissionError) as error:
        cure = "make it, writable for the server's user, or name another"
        raise type(error)(error.errno, f"{error.strerror}: {cure}", os.path.dirname(name) or name) from None


@contextlib.contextmanager
def directory(name: str, parent: int | None = None) -> Iterator[int]:
    """A descriptor of a directory, made if it is not there.

    Args:
        name: Its path, or name below parent.
        parent: Descriptor of a directory.

    Raises:
        RefusedError: It is no directory, or not ours alone.
        OSError: It cannot be made or opened.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | _OPEN
    try:
        descriptor = os.open(name, flags, dir_fd=parent)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError), _making(name):
            os.mkdir(name, 0o700, dir_fd=parent)
        descriptor = os.open(name, flags, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise RefusedError(f"{name} is no directory, but a file or a symbolic link: remove it") from None
        raise
    try:
        _check(os.fstat(descriptor), name)
        yield descriptor
    finally:
        os.close(descriptor)


def require_guarded(path: str) -> None:
    """See that only we and root can make files in a directory.

    Raises:
        RefusedError: Others can.
    """
    status = os.stat(path)
    if status.st_uid not in (0, os.geteuid()):
        raise RefusedError(f"{path} belongs to user {status.st_uid}: name another directory")
    if status.st_mode & _OTHERS_WRITE:
        raise RefusedError(f"others can change {path}: name another directory")


def _open_file(name: str, parent: int | None) -> int:
    try:
        # Without waiting: it might be a pipe.
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _OPEN, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EACCES, errno.ENXIO):  # a link, another's, a socket
            raise RefusedError(f"{name} is not ours to read ({error.strerror}): remove it") from None
        raise
    status = os.fstat(descriptor)
    try:
        if not stat.S_ISREG(status.st_mode):
            raise RefusedError(f"{name} is no file: remove it")
        _check(status, name)
    except RefusedError:
        os.close(descriptor)
        raise
    return descriptor


def check_file(path: str) -> bool:
    """Whether there is a file.

    Raises:
        RefusedError: It is not ours alone, or no file.
    """
    try:
        os.close(_open_file(path, None))
    except FileNotFoundError:
        return False
    return True


def read(name: str, parent: int | None = None) -> bytes | None:
    """The contents of a file; None if there is none.

    Raises:
        RefusedError: It is not ours alone, or no file.
    """
    try:
        descriptor = _open_file(name, parent)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        return file.read()


def _write_new(name: str, data: bytes, parent: int | None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN
    with open(os.open(name, flags, 0o600, dir_fd=parent), "wb") as file:
        file.write(data)


def _beside(name: str) -> str:
    head, tail = os.path.split(name)
    return os.path.join(head, f".{tail}.{secrets.token_hex(8)}")


def replace(name: str, data: bytes, parent: int) -> None:
    """Write a file that is seen whole or not at all."""
    temporary = _beside(name)
    try:
        _write_new(temporary, data, parent)
        os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=parent)
        raise


def place(name: str, data: bytes, parent: int | None = None) -> None:
    """The same, unless there is a file of this name already."""
    temporary = _beside(name)
    try:
        with _making(name):
            _write_new(temporary, data, parent)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, name, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=parent)
