"""Graceful restarts: the parent stays as it is, nobody's request fails, nothing is left behind."""

import os
import signal
import tempfile
import threading
from pathlib import Path

import pytest

from plugins.process import wait_for
from reliability import mix

RESTARTS = 15
FULL_RESTARTS = 1100
#: Restarts after which the parent has reserved what it needs.
WARMING = 5
FULL_WARMING = 100
#: KiB that the parent may have grown by at the end.
LIMIT = 2048

SECONDS = 10
FULL_SECONDS = 120
#: Seconds between two restarts under load.
PERIOD = 2

ENDS = """
    import atexit, os
    from mod_python import apache

    def note(what):
        with open(os.environ["ENDS"] + "/" + what, "a") as file:
            file.write(f"{os.getpid()}\\n")

    note("start")
    apache.register_cleanup(note, "cleanup")
    atexit.register(note, "atexit")
    """


def restart(server):
    """One graceful restart; returns when the new generation serves."""
    before = server.process._resumptions()
    os.kill(server.process.pid, signal.SIGUSR1)
    wait_for(lambda: server.process._resumptions() > before, "the graceful restart")


def children_of(pid):
    """The state and id of each child process."""
    states = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            states[int(child)] = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue  # it has just ended
    return states


def test_parent_does_not_grow(watched, full, mpm):
    """The parent's memory is the same after many restarts, and the server serves."""
    server = watched(mix.CONFIG, mix.FILES, mpm=mpm, workers=2)
    for _ in range(FULL_WARMING if full else WARMING):
        server.graceful()
    memory = server.rss(server.process.pid)
    restarts = FULL_RESTARTS if full else RESTARTS
    for _ in range(restarts):
        server.graceful()
        with mix.Client(server.port) as client:
            mix.handler(client, "t1")
    grown = server.rss(server.process.pid) - memory
    print(f"{mpm}: {restarts} restarts, parent {memory:,} KiB, grown by {grown:,} KiB")
    assert grown < LIMIT


@pytest.fixture
def directories():
    """Where the children, who run as another user, may write."""
    with tempfile.TemporaryDirectory(prefix="kukulkan-test-") as name:
        Path(name).chmod(0o755)
        for part in ("tmp", "ends"):
            (Path(name) / part).mkdir()
            (Path(name) / part).chmod(0o777)
        yield Path(name)


# The directories come first, so that they go last: children start until the server has stopped.
def test_no_request_fails(directories, watched, full, mpm):
    """Restarts every two seconds and children of 500 connections each, under load."""
    files = mix.FILES | {"python/ends.py": ENDS}
    config = mix.CONFIG + "MaxConnectionsPerChild 500\nPythonImport ends main_interpreter\n"
    environ = tuple((name, str(directories / path)) for name, path in (("TMPDIR", "tmp"), ("ENDS", "ends")))
    server = watched(config, files, mpm=mpm, workers=8, environ=environ)
    ended = threading.Event()

    def disturb():
        while not ended.wait(PERIOD):
            restart(server)

    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        tally = mix.run(
            server.port, seconds=FULL_SECONDS if full else SECONDS, clients=4, without=("failure",)
        )
    finally:
        ended.set()
        disturber.join()
    print(f"{mpm}: {tally.requests:,} requests, {server.process._resumptions()} generations")
    server.allow_log(mix.EXPECTED_LOG)
    assert not tally.wrong, tally.wrong
    server.graceful()
    assert "Z" not in children_of(server.process.pid).values()
    started = (directories / "ends" / "start").read_text().split()
    gone = {pid for pid in started if not Path(f"/proc/{pid}").exists()}
    for what in ("cleanup", "atexit"):
        assert gone <= set((directories / "ends" / what).read_text().split()), what
    assert not list((directories / "tmp").iterdir())
    server.allow_log(mix.EXPECTED_LOG)
