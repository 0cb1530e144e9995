"""LATER, section 8: the files of FileSession and DbmSession."""

import fcntl
import os
import re
import shutil
import stat

import pytest

from plugins.process import wait_for

CONFIG = "PythonOption mod_python.session.database_directory ${root}/store\n"
FOREIGN = 4321
NEW = "s = Session.{}(req)\ns['a'] = 1\ns.save()\nreturn s.id()\n"
FIND = "s = Session.{}(req, sid={!r})\nreturn s.is_new()\n"
REFUSED = "try:\n    s = Session.{}(req)\n    s.save()\nexcept OSError as error:\n    return type(error).__name__, str(error)\n"

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another user")


@pytest.fixture(params=["FileSession", "DbmSession"])
def store(request):
    """The name of a store of files."""
    return request.param


def fresh(httpd, name, config=""):
    """A server whose store is empty."""
    server = httpd(f"# {name}\n{CONFIG}{config}")
    server.changed = True
    folder = server.root / "store"
    folder.mkdir()
    if os.getuid() == 0:
        shutil.chown(folder, "www-data", "www-data")
    return server, folder


def run(server, code, **more):
    """What the code returns, with `Session`, which cleans up when told to only."""
    return server.run("from mod_python import Session\nSession.CLEANUP_CHANCE = 10**9\n" + code, **more)


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


def test_file_names_and_modes(httpd):
    """mp_sess/<first two digits>/<id>; nobody else can read anything of it."""
    server, folder = fresh(httpd, "names")
    sid = run(server, NEW.format("FileSession"))
    file = folder / "mp_sess" / sid[:2] / sid
    assert {mode(path) for path in (file.parent, file.parent.parent)} == {0o700}
    assert {mode(path) for path in (file, folder / "mp_sess" / "key")} == {0o600}
    assert os.listdir(file.parent) == [sid]
    run(server, f"s = Session.FileSession(req, sid={sid!r})\ns.delete()\n")
    assert os.listdir(file.parent) == []


def test_dbm_names_and_modes(httpd):
    """mp_sess.dbm, and the key beside it."""
    server, folder = fresh(httpd, "dbm names")
    run(server, NEW.format("DbmSession"))
    assert "mp_sess.dbm" in os.listdir(folder)
    assert {mode(path) for path in folder.iterdir()} == {0o600}


def test_directories_of_each_store(httpd):
    """The options of one store win over those of all; they are file names, so UTF-8."""
    config = (
        "PythonOption mod_python.file_session.database_directory ${root}/store/filé\n"
        "PythonOption mod_python.dbm_session.database_directory ${root}/store/dbm\n"
        "PythonOption mod_python.dbm_session.database_filename späm\n"
    )
    server, folder = fresh(httpd, "options", config)
    for name in ("filé", "dbm"):
        (folder / name).mkdir()
        shutil.chown(folder / name, folder.stat().st_uid)
    run(server, NEW.format("FileSession"))
    run(server, NEW.format("DbmSession"))
    assert (folder / "filé" / "mp_sess").is_dir()
    assert (folder / "dbm" / "späm").is_file()


@pytest.mark.parametrize("kind", ["dumb", "gnu", "ndbm"])
def test_other_databases(httpd, kind):
    """dbmtype is a module that opens the database, dbm its name."""
    pytest.importorskip(f"dbm.{kind}", exc_type=ImportError)
    server, folder = fresh(httpd, f"dbmtype {kind}")
    code = (
        f"import dbm.{kind}\n"
        f"make = lambda sid=0: Session.DbmSession(req, {str(folder / 'own')!r}, sid, None, dbm.{kind})\n"
        "s = make()\n"
        "s['a'] = 1\n"
        "s.save()\n"
        "s.unlock()\n"
        "t = make(s.id())\n"
        "s.delete()\n"
        "return t['a'], make(s.id()).is_new()\n"
    )
    assert run(server, code) == [1, True]
    assert all(name.startswith("own") for name in os.listdir(folder))
    folder.chmod(0o1777)
    with pytest.raises(AssertionError, match="RefusedError: others can change"):
        run(server, code)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data, other: b"",
        lambda data, other: data[: len(data) // 2],
        lambda data, other: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data, other: b"\x80\x04cos\nsystem\n(S'touch /tmp/owned'\ntR.",
        lambda data, other: data[:36] + b"cos\nsystem\n(S'touch /tmp/owned'\ntR.",
        lambda data, other: other,
        lambda data, other: b"x" * 1_000_000,
    ],
    ids=["empty", "truncated", "changed", "pickle", "sealed otherwise", "another's", "large"],
)
def test_damaged_records(httpd, damage):
    """What is not genuine counts as absent, and is in the log; nothing of it is unpickled."""
    server, folder = fresh(httpd, "damaged")
    sid, other = (run(server, NEW.format("FileSession")) for _ in range(2))
    path, other_path = (folder / "mp_sess" / name[:2] / name for name in (sid, other))
    path.write_bytes(damage(path.read_bytes(), other_path.read_bytes()))
    assert run(server, FIND.format("FileSession", sid)) is True
    server.expect_log(f"KK0182: a session in .*/{sid} is left out")
    assert run(server, FIND.format("FileSession", other)) is False


def test_damaged_records_in_a_database(httpd):
    """The same in a database."""
    import sqlite3

    server, folder = fresh(httpd, "damaged dbm")
    sids = [run(server, NEW.format("DbmSession")) for _ in range(3)]
    with sqlite3.connect(folder / "mp_sess.dbm") as database:
        database.execute("UPDATE sessions SET record = x'80' WHERE sid = ?", (sids[0].encode(),))
        database.execute(
            "UPDATE sessions SET record = (SELECT record FROM sessions WHERE sid = ?) WHERE sid = ?",
            (sids[2].encode(), sids[1].encode()),
        )
    database.close()
    assert [run(server, FIND.format("DbmSession", sid)) for sid in sids] == [True, True, False]
    server.expect_log("KK0182", 2)


def test_a_database_that_is_none(httpd):
    """A file that is no database: an error that says so, and the server lives."""
    server, folder = fresh(httpd, "no database")
    run(server, NEW.format("DbmSession"))
    with (folder / "mp_sess.dbm").open("r+b") as file:
        file.write(b"spam" * 1000)
    name, text = run(server, REFUSED.format("DbmSession"))
    assert name == "OSError"
    assert "database" in text


def test_another_key(httpd):
    """With another key nothing that was stored is believed."""
    server, folder = fresh(httpd, "key")
    sid = run(server, NEW.format("FileSession"))
    (folder / "mp_sess" / "key").write_bytes(os.urandom(32))
    assert run(server, FIND.format("FileSession", sid)) is True
    server.expect_log("KK0182")
    (folder / "mp_sess" / "key").write_bytes(b"short")
    name, text = run(server, REFUSED.format("FileSession"))
    assert name == "RefusedError"
    assert "too short" in text


def test_a_class_that_is_gone(httpd):
    """A genuine record that cannot be unpickled any more counts as absent."""
    server, _ = fresh(httpd, "class")
    code = (
        "import sys, types\n"
        "module = sys.modules['gone'] = types.ModuleType('gone')\n"
        "class Spam: pass\n"
        "Spam.__module__, Spam.__qualname__, module.Spam = 'gone', 'Spam', Spam\n"
        "s = Session.FileSession(req)\n"
        "s['a'] = Spam()\n"
        "s.save()\n"
        "del sys.modules['gone']\n"
        "return s.id()\n"
    )
    sid = run(server, code)
    assert run(server, FIND.format("FileSession", sid)) is True
    server.expect_log("KK0182.*gone")


def break_link(path, outside):
    outside.mkdir()
    shutil.chown(outside, path.parent.stat().st_uid)
    path.symlink_to(outside)


def break_mode(path, outside):
    path.mkdir()
    shutil.chown(path, path.parent.stat().st_uid)
    path.chmod(0o770)


def break_owner(path, outside):
    path.mkdir(0o700)
    os.chown(path, FOREIGN, FOREIGN)


def break_file(path, outside):
    path.write_text("")


@pytest.mark.parametrize(
    "how", [break_link, break_mode, break_file, pytest.param(break_owner, marks=needs_root)]
)
def test_directories_of_others(httpd, how):
    """A link, another's directory, one that others can read, a file: refused."""
    server, folder = fresh(httpd, "directories")
    how(folder / "mp_sess", server.root / "outside")
    name, text = run(server, REFUSED.format("FileSession"))
    assert name in ("RefusedError", "PermissionError")
    assert "mp_sess" in text
    if how is break_link:
        assert os.listdir(server.root / "outside") == []


@pytest.mark.parametrize(
    ("how", "kind"),
    [("missing", "FileNotFoundError"), pytest.param("unwritable", "PermissionError", marks=needs_root)],
)
def test_a_directory_that_cannot_be_used(httpd, store, how, kind):
    """The error has its name and the cure."""
    server, folder = fresh(httpd, f"{store} {how}")
    folder.rmdir()
    if how == "unwritable":
        folder.mkdir(0o755)
    name, text = run(server, REFUSED.format(store))
    assert name == kind
    assert f"'{folder}'" in text
    assert "make it, writable for the server's user" in text
    assert not folder.exists() or os.listdir(folder) == []


@pytest.mark.parametrize("what", ["link", "fifo", "mode", pytest.param("owner", marks=needs_root)])
@pytest.mark.parametrize("name", ["mp_sess.dbm", "mp_sess.dbm.key", "mp_sess.dbm-journal", "mp_sess.dbm-wal"])
def test_database_files_of_others(httpd, name, what):
    """None of the database's files is used if it is a link, a pipe, another's, or readable."""
    server, folder = fresh(httpd, "database files")
    path, outside = folder / name, server.root / "outside"
    uid = folder.stat().st_uid
    if what == "link":
        outside.write_text("mine")
        path.symlink_to(outside)
    elif what == "fifo":
        os.mkfifo(path, 0o600)
    else:
        path.write_text("x" * 32)
        path.chmod(0o644 if what == "mode" else 0o600)
    os.chown(path, FOREIGN if what == "owner" else uid, -1, follow_symlinks=False)
    kind, text = run(server, REFUSED.format("DbmSession"))
    assert kind == "RefusedError"
    assert name in text
    assert what != "link" or outside.read_text() == "mine"


@pytest.mark.parametrize("what", ["link", "fifo", "mode", "directory"])
def test_session_files_of_others(httpd, what):
    """Nor is a session's file."""
    server, folder = fresh(httpd, "session files")
    sid = run(server, NEW.format("FileSession"))
    path = folder / "mp_sess" / sid[:2] / sid
    moved = path.rename(server.root / "moved")
    if what == "link":
        path.symlink_to(moved)
    elif what == "fifo":
        os.mkfifo(path, 0o600)
    elif what == "directory":
        path.mkdir(0o700)
    else:
        shutil.copy(moved, path)
        path.chmod(0o644)
    if what != "link":
        os.chown(path, folder.stat().st_uid, -1)
    code = FIND.format("FileSession", sid)
    with pytest.raises(AssertionError, match="RefusedError"):
        run(server, code)


def test_lock_file(httpd):
    """lock_file() and unlock_file() may be nested in the session's lock."""
    server, _ = fresh(httpd, "lock file")
    code = (
        "s = Session.FileSession(req)\ns.lock_file()\ns.save()\ns.unlock_file()\ns.unlock()\nreturn s.id()\n"
    )
    sid = run(server, code)
    assert run(server, FIND.format("FileSession", sid)) is False


def clean(server, timeout, config=""):
    """Has expired sessions removed; returns when that is done."""
    flag = server.root / "logs" / "cleaned"
    flag.unlink(missing_ok=True)
    code = (
        f"s = Session.FileSession(req, timeout={timeout})\n"
        f"req.register_cleanup(lambda path: open(path, 'w').close(), {str(flag)!r})\n"
        "s.cleanup()\n"
    )
    run(server, code, config=config)
    wait_for(flag.exists, "the cleanup to end")


def age(path, seconds):
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_fast_cleanup(httpd):
    """Files younger than timeout and grace period are not looked into; verify=0 believes their age."""
    server, folder = fresh(httpd, "fast")
    code = "s = Session.FileSession(req, timeout=10**9)\ns.save()\ns.unlock()\nreturn s.id()\n"
    fast = "PythonOption session_grace_period 100\nPythonOption session_verify_cleanup {}\n"
    paths = []
    for seconds in (0, 140, 160):
        sid = run(server, code)
        paths.append(folder / "mp_sess" / sid[:2] / sid)
        age(paths[-1], seconds)
    clean(server, 50, fast.format("1"))
    assert [path.exists() for path in paths] == [True, True, True]
    clean(server, 50, fast.format("0"))
    assert [path.exists() for path in paths] == [True, True, False]


def test_cleanup_resumes(httpd):
    """A cleanup that the time limit stopped goes on there the next time."""
    server, folder = fresh(httpd, "resume")
    sids = [run(server, NEW.format("FileSession")) for _ in range(4)]
    (folder / "mp_sess" / "cleanup").write_text(sorted(sids)[1])
    (folder / "mp_sess" / "cleanup").chmod(0o600)
    shutil.chown(folder / "mp_sess" / "cleanup", folder.stat().st_uid)
    paths = [folder / "mp_sess" / sid[:2] / sid for sid in sorted(sids)]
    for path in paths:
        age(path, 10**6)
    clean(server, 5, "PythonOption session_verify_cleanup no\nPythonOption session_grace_period 0")
    assert [path.exists() for path in paths] == [True, True, False, False]
    assert (folder / "mp_sess" / "cleanup").read_text() == ""


def test_cleanup_is_stopped_by_its_limit(httpd):
    """A cleanup that takes longer than its limit notes where it was, for the next."""
    server, folder = fresh(httpd, "limit")
    sids = sorted(run(server, NEW.format("FileSession")) for _ in range(3))
    paths = [folder / "mp_sess" / sid[:2] / sid for sid in sids]
    for path in paths:
        age(path, 10**6)
    # Each look at the clock is a second later.
    clock = (
        "import itertools\nfrom mod_python import _session_file\n"
        "class Time: time, monotonic = _session_file.time.time, itertools.count().__next__\n"
        "_session_file.time = Time\n"
    )
    run(server, clock)
    config = "PythonOption session_verify_cleanup no\nPythonOption session_cleanup_time_limit {}\n"
    clean(server, 5, config.format(1))
    assert [path.exists() for path in paths] == [False, False, True]
    assert (folder / "mp_sess" / "cleanup").read_text() == sids[1]
    clean(server, 5, config.format(0))
    assert not paths[2].exists()


def test_one_cleanup_at_a_time(httpd):
    """While another process cleans up, nothing is done."""
    server, folder = fresh(httpd, "one at a time")
    sid = run(server, NEW.format("FileSession"))
    path = folder / "mp_sess" / sid[:2] / sid
    clean(server, 5)  # makes the file that is locked
    age(path, 10**6)
    config = "PythonOption session_verify_cleanup no\n"
    with (folder / "mp_sess" / "cleanup").open() as progress:
        fcntl.flock(progress, fcntl.LOCK_EX)
        clean(server, 5, config)
        assert path.exists()
    clean(server, 5, config)
    assert not path.exists()


def test_abandoned_files(httpd):
    """What a killed process has left half written goes, after an hour."""
    server, folder = fresh(httpd, "abandoned")
    sid = run(server, NEW.format("FileSession"))
    old, young = (folder / "mp_sess" / sid[:2] / f".{name}" for name in ("old", "young"))
    for path in (old, young):
        path.write_text("")
        shutil.chown(path, folder.stat().st_uid)
    age(old, 4000)
    clean(server, 5)
    assert (old.exists(), young.exists()) == (False, True)


@pytest.mark.parametrize(
    "option", ["session_fast_cleanup maybe", "session_grace_period -1", "session_cleanup_time_limit 1.5"]
)
def test_bad_options(httpd, option):
    """Values that cannot be are ValueError, which names the option."""
    code = "try:\n    Session.FileSession(req)\nexcept ValueError as error:\n    return str(error)\n"
    text = run(httpd(CONFIG), code, config=f"PythonOption {option}")
    assert re.match("PythonOption mod_python.file_session.*", text)


@pytest.mark.parametrize("value", ["yes", "TRUE", "1"])
def test_booleans(httpd, value):
    """yes, true and 1 in any case."""
    server, _ = fresh(httpd, "booleans")
    code = "return Session.FileSession(req)._fast"
    assert run(server, code, config=f"PythonOption session_fast_cleanup {value}") is True
    other = {"yes": "No", "TRUE": "false", "1": "0"}[value]
    assert run(server, code, config=f"PythonOption session_fast_cleanup {other}") is False
