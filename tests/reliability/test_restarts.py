"""Graceful restarts: the parent stays as it is, nobody's request fails, nothing is left behind."""

import os
import signal
import tempfile
import threading
import time
from pathlib import Path

import pytest

from plugins.process import wait_for
from reliability import mix

RESTARTS = 15
FULL_RESTARTS = 1100
#: Restarts after which the parent has reserved what it needs.
WARMING = 5
#: KiB that the parent may have grown by at the end.
LIMIT = 2048

SECONDS = 10
FULL_SECONDS = 120
#: Seconds between two restarts under load.
PERIOD = 2
#: A child of event has many connections: there are two, so that one serves while the other is replaced.
CHILDREN = {
    "event": "ServerLimit 16\nStartServers 2\nMaxRequestWorkers 16\nMaxSpareThreads 16\n",
    "prefork": "ServerLimit 16\nMaxSpareServers 4\n",
}
WORKERS = {"event": 8, "prefork": 4}

ENDS = """
    import atexit, os
    from mod_python import apache

    def note(what):
        with open(os.environ["ENDS"] + "/" + what, "a") as file:
            file.write(f"{os.getpid()}:{apache.interpreter}\\n")

    note("start")
    apache.register_cleanup(note, "cleanup")
    atexit.register(note, "atexit")
    """


def restart(server):
    """One graceful restart; returns when the new generation serves."""
    before = server.process._resumptions()
    os.kill(server.process.pid, signal.SIGUSR1)
    wait_for(lambda: server.process._resumptions() > before, "the graceful restart")


def zombies(pid):
    """The children of a process that have ended and that it has not taken notice of."""
    found = set()
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue  # it has just gone
        if state == "Z":
            found.add(child)
    return found


def test_parent_does_not_grow(watched, full, mpm):
    """The parent's memory and files are the same after many restarts, and the server serves."""
    server = watched(mix.CONFIG, mix.FILES, mpm=mpm, workers=2)
    for _ in range(WARMING):
        server.graceful()
    parent = server.process.pid
    memory, files = server.rss(parent), server.descriptors(parent)
    restarts = FULL_RESTARTS if full else RESTARTS
    for _ in range(restarts):
        server.graceful()
        with mix.Client(server.port) as client:
            mix.handler(client, "t1")
    grown = server.rss(parent) - memory
    print(f"{mpm}: {restarts} restarts, parent {memory:,} KiB, grown by {grown:,} KiB, {files} files")
    assert server.process._resumptions() > restarts
    assert grown < LIMIT
    assert server.descriptors(parent) == files


@pytest.fixture
def directories():
    """Where the children, who run as another user, may write."""
    with tempfile.TemporaryDirectory(prefix="kukulkan-test-") as name:
        Path(name).chmod(0o755)
        for part in ("tmp", "ends"):
            (Path(name) / part).mkdir()
            (Path(name) / part).chmod(0o777)
        yield Path(name)


class Disturber(threading.Thread):
    """Restarts the server again and again, until it is told to end; counts in `restarts`."""

    def __init__(self, server):
        super().__init__()
        self.server = server
        self.restarts = 0
        self._told = threading.Event()

    def run(self):
        due = time.monotonic() + PERIOD
        while not self._told.wait(due - time.monotonic()):
            due = max(due + PERIOD, time.monotonic())
            restart(self.server)
            self.restarts += 1

    def end(self):
        self._told.set()
        self.join()


def serve(watched, directories, mpm):
    """A server whose children note their beginning and their end, in two interpreters."""
    config = mix.CONFIG + CHILDREN[mpm] + "MaxConnectionsPerChild 500\n"
    config += "PythonImport ends main_interpreter\nPythonImport ends www.example.com\n"
    environ = tuple((name, str(directories / path)) for name, path in (("TMPDIR", "tmp"), ("ENDS", "ends")))
    files = mix.FILES | {"python/ends.py": ENDS}
    return watched(config, files, mpm=mpm, workers=WORKERS[mpm], environ=environ)


def noted(directories, what):
    """The process and interpreter of each note; none has made the same twice."""
    notes = (directories / "ends" / what).read_text().split()
    assert len(notes) == len(set(notes)), what
    return set(notes)


def files_below(directory):
    """What there is, but for what Python compiles."""
    return {path for path in directory.rglob("*") if path.suffix != ".pyc"}


# The directories come first, so that they go last: children start until the server has stopped.
@pytest.mark.parametrize("restarted", [True, False], ids=["restarts", "connections"])
def test_no_request_fails(directories, watched, full, mpm, restarted):
    """Children of 500 connections each, under load, and with restarts every two seconds besides."""
    server = serve(watched, directories, mpm)
    wait_for(server.process._resumptions, "the start to be complete")
    before = files_below(server.root)
    disturber = Disturber(server)
    # Enough connections for children to reach their 500, where nothing else ends them.
    fresh = 0.1 if restarted else 0.5
    if restarted:
        disturber.start()
    try:
        tally = mix.run(server.port, seconds=FULL_SECONDS if full else SECONDS, clients=4, fresh=fresh)
    finally:
        if restarted:
            disturber.end()
    print(f"{mpm}: {tally.requests:,} requests, {disturber.restarts} restarts, ", end="")
    server.allow_log(mix.EXPECTED_LOG)
    assert not tally.wrong, tally.wrong
    server.graceful()
    server.allow_log(mix.EXPECTED_LOG)
    check_ends(directories, server, disturber.restarts)
    wait_for(lambda: not zombies(server.process.pid), "the parent to take notice of ended children")
    assert not list((directories / "tmp").iterdir())
    assert files_below(server.root) == before


def check_ends(directories, server, restarts):
    """Children have come to their ends, of connections or by restarts, and all of them properly."""
    started = noted(directories, "start")
    gone = {note for note in started if not Path(f"/proc/{note.partition(':')[0]}").exists()}
    children = len(gone) // 2
    print(f"{children} children have ended")
    # Each restart ends all there are, which may not have noted their start; else it was the connections.
    at_once = {"event": 2, "prefork": WORKERS["prefork"]}[server.process.settings.mpm]
    assert children > (restarts or at_once)
    for what in ("cleanup", "atexit"):
        assert gone <= noted(directories, what), what
