"""Whether Apache's children can read a path.

Started by root, Apache gives its children to an unprivileged account. What
that account may not read, Python in the children cannot import: they would
die one after the other with a line in a log. So it is found out before the
start, from the permission bits, component by component as the kernel does
it. A component with an access control list is taken as readable: there the
bits do not decide.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kukulkan.errors import KukulkanError

# In the order of preference: Debian, Fedora and Alpine, Arch, SUSE, macOS, Apache's own, anywhere.
CHILD_ACCOUNTS = ("www-data", "apache", "http", "wwwrun", "_www", "daemon", "nobody")

# As many symbolic links as Linux follows in one path before it gives up.
MAX_LINKS = 40


@dataclass(frozen=True)
class Account:
    """A user as the permission bits see it."""

    name: str
    group: str
    uid: int
    gids: frozenset[int]

    @classmethod
    def named(cls, name: str) -> Account:
        """The account of that name; KeyError if there is none."""
        entry = pwd.getpwnam(name)
        return cls(
            name=name,
            group=grp.getgrgid(entry.pw_gid).gr_name,
            uid=entry.pw_uid,
            gids=frozenset(os.getgrouplist(name, entry.pw_gid)),
        )


@dataclass(frozen=True)
class Obstacle:
    """The first component of `wanted` that keeps the account out."""

    wanted: Path
    component: Path
    permission: str  # "search", "read" or "" when the component does not exist


def child_account() -> Account | None:
    """The account of Apache's children; None when not root, for then they run as this process does.

    Raises:
        KukulkanError: root, and none of the usual accounts exists.
    """
    if os.geteuid() != 0:
        return None
    for name in CHILD_ACCOUNTS:
        try:
            return Account.named(name)
        except KeyError:
            continue
    raise KukulkanError(
        "Apache started by root needs an unprivileged account for its children, and none of "
        f"{', '.join(CHILD_ACCOUNTS)} exists. Create one: useradd --system www-data"
    )


def find_obstacle(path: Path, account: Account) -> Obstacle | None:
    """What keeps the account from reading the file, or listing the directory, `path`."""
    for component, is_last in _components(path):
        try:
            status = os.lstat(component)
        except OSError:
            return Obstacle(path, component, "")
        if stat.S_ISLNK(status.st_mode):
            continue
        needed = _needed(status.st_mode, is_last)
        if needed & ~_granted(status, account) and not _has_acl(component):
            missing = needed & ~_granted(status, account)
            return Obstacle(path, component, "search" if missing & stat.S_IXOTH else "read")
    return None


def require_readable(paths: Iterable[Path], account: Account | None, advice: str) -> None:
    """Refuse paths that Apache's children could not read.

    Args:
        paths: files and directories the children need.
        account: theirs; None asks whether this process can read them.
        advice: what else its maker can do, for the end of the message.

    Raises:
        KukulkanError: names the component, the missing permission and the cure.
    """
    for path in paths:
        if account is None:
            if not os.access(path, os.R_OK):
                raise KukulkanError(f"{path} cannot be read by the user who started this command.")
            continue
        obstacle = find_obstacle(path, account)
        if obstacle:
            raise KukulkanError(f"{explain(obstacle, account)} {advice}".rstrip())


def explain(obstacle: Obstacle, account: Account) -> str:
    """The reason and the cure, as sentences."""
    if not obstacle.permission:
        return f"{obstacle.component} does not exist."
    cure = "o+x" if obstacle.permission == "search" else "o+r"
    if obstacle.permission == "read" and obstacle.component.is_dir():
        cure = "o+rx"
    return (
        f"Apache's children run as {account.name} and could not read {obstacle.wanted}: "
        f"{obstacle.component} gives others no {obstacle.permission} permission. "
        f"Allow it with `chmod {cure} {obstacle.component}`."
    )


def interpreter_paths() -> list[Path]:
    """What a child needs of the running interpreter: its library, pure and compiled."""
    compiled = Path(sysconfig.get_path("platstdlib"), "lib-dynload")
    return [Path(os.__file__).parent, Path(os.__file__), *([compiled] if compiled.exists() else [])]


def _needed(mode: int, is_last: bool) -> int:
    """Bits needed of a component, as they stand for others."""
    if not stat.S_ISDIR(mode):
        return stat.S_IROTH
    return stat.S_IROTH | stat.S_IXOTH if is_last else stat.S_IXOTH


def _granted(status: os.stat_result, account: Account) -> int:
    """The account's bits of a component, moved to where those of others stand."""
    if account.uid == 0:
        return stat.S_IRWXO
    if account.uid == status.st_uid:
        return (status.st_mode >> 6) & stat.S_IRWXO
    if status.st_gid in account.gids:
        return (status.st_mode >> 3) & stat.S_IRWXO
    return status.st_mode & stat.S_IRWXO


def _has_acl(component: Path) -> bool:
    """Whether a POSIX access control list decides instead of the bits (Linux)."""
    try:
        return bool(os.getxattr(component, "system.posix_acl_access"))
    except (AttributeError, OSError):
        return False


def _components(path: Path) -> Iterator[tuple[Path, bool]]:
    """Every component the kernel visits on the way to `path`, links followed; True with the last."""
    todo = list(reversed(path.absolute().parts))
    here = Path(todo.pop())
    links = 0
    yield here, not todo
    while todo:
        name = todo.pop()
        here = here.parent if name == os.pardir else here / name
        yield here, not todo
        if here.is_symlink():
            links += 1
            if links > MAX_LINKS:
                return
            target = Path(os.readlink(here))
            todo.extend(reversed(target.parts))
            here = Path(todo.pop()) if target.is_absolute() else here.parent
