"""Many threads in several interpreters, while modules change and clients leave."""

import os
import threading
import time

from reliability import mix

SECONDS = 60
FULL_SECONDS = 600
INTERPRETERS = 4
#: Seconds between two changes of the modules.
PERIOD = 0.1


def config():
    """The mix on four virtual hosts, an interpreter each, noticing changed files."""
    hosts = "".join(
        f"<VirtualHost 127.0.0.1:${{port}}>\nServerName host{n}\n</VirtualHost>\n"
        for n in range(INTERPRETERS)
    )
    return mix.CONFIG.replace("PythonAutoReload Off", "PythonAutoReload On") + hosts


def change(server, changes):
    """Puts new versions of all modules in place of the old ones."""
    for name in mix.FILES:
        path = server.root / name
        new = path.with_name(f".{path.name}.new")
        text = path.read_text().partition("\n# change ")[0]
        text = text.replace(f'VERSION = "{changes - 1}"', f'VERSION = "{changes}"')
        new.write_text(f"{text}\n# change {changes}\n")
        os.replace(new, path)


class Changer(threading.Thread):
    """Changes all modules again and again, until it is told to end; counts in `changes`."""

    def __init__(self, server):
        super().__init__()
        self.server = server
        self.changes = 0
        self._told = threading.Event()

    def run(self):
        while not self._told.wait(PERIOD):
            self.changes += 1
            change(self.server, self.changes)

    def end(self):
        self._told.set()
        self.join()


def versions_and_interpreters(server):
    """The version that each host answers with now, and how many interpreters there are."""
    versions = set()
    for n in range(INTERPRETERS):
        with mix.Client(server.port, f"host{n}") as client:
            mix.handler(client, "t1")
            interpreters = int(client.ask("GET", "/state/x").body.split()[1])
        versions |= client.versions
    return versions, interpreters


def test_threads(watched, full):
    """No crash, no deadlock, no wrong body."""
    server = watched(config(), mix.FILES, workers=25)
    child = server.child()
    changer = Changer(server)
    changer.start()
    started = time.monotonic()
    try:
        tally = mix.run(
            server.port, seconds=FULL_SECONDS if full else SECONDS, clients=32, hosts=INTERPRETERS
        )
    finally:
        changer.end()
        server.allow_log(mix.EXPECTED_LOG)
    seconds = time.monotonic() - started
    print(f"{tally.requests:,} requests in {seconds:.0f} s, {changer.changes:,} changes of the modules,")
    print(f"{len(tally.versions):,} of them seen; {dict(tally.kinds)}")
    assert not tally.wrong, tally.wrong
    assert server.child_pids() == [child]
    # The main interpreter is there besides.
    assert versions_and_interpreters(server) == ({str(changer.changes)}, INTERPRETERS + 1)
    assert len(tally.versions) > changer.changes / 2 > seconds
