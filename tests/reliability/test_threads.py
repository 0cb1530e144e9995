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


def change(server, ended):
    """Puts new versions of all modules in place of the old ones, again and again."""
    changes = 0
    while not ended.wait(PERIOD):
        changes += 1
        for name in mix.FILES:
            path = server.root / name
            new = path.with_name(f".{path.name}.new")
            text = path.read_text().partition("\n# change ")[0]
            new.write_text(f"{text}\n# change {changes}\n")
            os.replace(new, path)
    return changes


def test_threads(watched, full):
    """No crash, no deadlock, no wrong body."""
    server = watched(config(), mix.FILES, workers=25)
    child = server.child()
    ended = threading.Event()
    changer = threading.Thread(target=change, args=(server, ended))
    changer.start()
    try:
        started = time.monotonic()
        tally = mix.run(
            server.port, seconds=FULL_SECONDS if full else SECONDS, clients=32, hosts=INTERPRETERS
        )
    finally:
        ended.set()
        changer.join()
    print(f"{tally.requests:,} requests in {time.monotonic() - started:.0f} s, {dict(tally.kinds)}")
    assert not tally.wrong, tally.wrong
    assert server.child_pids() == [child]
    server.allow_log(mix.EXPECTED_LOG)
