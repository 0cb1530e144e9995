"""Whether Apache's children can read a path: kukulkan.readable."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kukulkan import readable
from kukulkan.errors import KukulkanError
from kukulkan.readable import Account, explain, find_obstacle, require_readable

OWNER = Account("owner", "owner", os.geteuid() or 4000, frozenset({os.getegid() or 4000}))
STRANGER = Account("stranger", "strangers", 5000, frozenset({5000}))


@pytest.fixture
def tree() -> Iterator[Path]:
    """A directory and a file, all of whose ancestors can be searched; pytest's own are private."""
    with tempfile.TemporaryDirectory() as name:
        top = Path(name).resolve() / "top"
        (top / "site").mkdir(parents=True)
        (top / "site" / "hello.py").write_text("")
        for path in (top.parent, top, top / "site"):
            path.chmod(0o755)
        (top / "site" / "hello.py").chmod(0o644)
        yield top


def test_what_everybody_may_read_is_readable(tree):
    """No obstacle to a directory and to a file in it."""
    assert find_obstacle(tree / "site", STRANGER) is None
    assert find_obstacle(tree / "site" / "hello.py", STRANGER) is None


def test_an_ancestor_without_search_permission_is_named(tree):
    """The obstacle is the ancestor, not the path wanted."""
    tree.chmod(0o700)
    obstacle = find_obstacle(tree / "site" / "hello.py", STRANGER)
    assert obstacle and (obstacle.component, obstacle.permission) == (tree, "search")


def test_an_ancestor_need_not_be_listed(tree):
    """Search permission is enough on the way."""
    tree.chmod(0o711)
    assert find_obstacle(tree / "site" / "hello.py", STRANGER) is None


def test_a_directory_must_be_listed(tree):
    """Python lists a directory on its path."""
    (tree / "site").chmod(0o711)
    obstacle = find_obstacle(tree / "site", STRANGER)
    assert obstacle and obstacle.permission == "read"
    assert f"chmod o+rx {tree}/site" in explain(obstacle, STRANGER)


def test_a_file_must_be_read(tree):
    """A file needs read permission and nothing else."""
    file = tree / "site" / "hello.py"
    file.chmod(0o640)
    obstacle = find_obstacle(file, STRANGER)
    assert obstacle and (obstacle.component, obstacle.permission) == (file, "read")
    assert f"chmod o+r {file}`" in explain(obstacle, STRANGER)


@pytest.mark.parametrize(("mode", "owner_reads", "group_reads"), [(0o704, True, False), (0o074, False, True)])
def test_the_first_class_that_fits_decides(tree, mode, owner_reads, group_reads):
    """As for the kernel: the owner's bits for the owner, the group's for its members."""
    file = tree / "site" / "hello.py"
    if os.geteuid() == 0:
        os.chown(file, 4000, 4000)
    file.chmod(mode)
    member = Account("member", "owner", 5000, OWNER.gids)
    assert (find_obstacle(file, OWNER) is None) == owner_reads
    assert (find_obstacle(file, member) is None) == group_reads


def test_symbolic_links_are_followed(tree):
    """What counts is every directory on the way that the link leads."""
    link = tree.parent / "link"
    link.symlink_to(tree / "site")
    assert find_obstacle(link / "hello.py", STRANGER) is None
    tree.chmod(0o700)
    obstacle = find_obstacle(link / "hello.py", STRANGER)
    assert obstacle and obstacle.component == tree


def test_relative_links_and_parents_are_followed(tree):
    """`..` after a link is the parent of where it leads."""
    (tree / "link").symlink_to("site/../site")
    assert find_obstacle(tree / "link" / ".." / "site" / "hello.py", STRANGER) is None


def test_a_loop_of_links_ends(tree):
    """A link to itself is not followed for ever."""
    (tree / "loop").symlink_to("loop")
    find_obstacle(tree / "loop", STRANGER)


def test_a_missing_path_is_said_to_be_missing(tree):
    """The obstacle is the first component that does not exist."""
    with pytest.raises(KukulkanError, match=f"{tree}/none does not exist"):
        require_readable([tree / "none" / "deeper"], STRANGER, "")


def test_refusal_names_reason_cure_and_advice(tree):
    """One paragraph says who, what, why and what to do."""
    tree.chmod(0o700)
    with pytest.raises(KukulkanError) as refused:
        require_readable([tree / "site"], STRANGER, "Or move it.")
    message = str(refused.value)
    assert f"run as stranger and could not read {tree}/site" in message
    assert f"{tree} gives others no search permission" in message
    assert message.endswith(f"Allow it with `chmod o+x {tree}`. Or move it.")


def test_without_root_only_this_user_matters(tree):
    """Apache's children are then this user."""
    require_readable([tree / "site"], None, "")
    with pytest.raises(KukulkanError, match="cannot be read by the user"):
        require_readable([tree / "none"], None, "")


def test_child_account_of_root_is_unprivileged(monkeypatch):
    """Root's Apache needs an account; anybody else's has its own."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    account = readable.child_account()
    assert account and account.name in readable.CHILD_ACCOUNTS and account.uid != 0
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert readable.child_account() is None


def test_no_account_is_an_error_with_its_cure(monkeypatch):
    """None of the usual accounts: the message says how to make one."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(readable, "CHILD_ACCOUNTS", ("no-such-account",))
    with pytest.raises(KukulkanError, match="useradd"):
        readable.child_account()


def test_interpreter_paths_exist():
    """They are those of the running interpreter."""
    assert all(path.exists() for path in readable.interpreter_paths())
