"""A long time of requests of every kind: nothing grows."""

import contextlib

from plugins.process import wait_for
from reliability import mix

REQUESTS = 100_000
FULL_REQUESTS = 2_000_000
#: Requests after which everything there is to be made has been made.
WARMING = 20_000
FULL_WARMING = 100_000
#: KiB that a child may have grown by at the end.
LIMIT = 2048
PROCESSES = {"event": 1, "prefork": 8}
WORKERS = {"event": 25, "prefork": 8}


def interpreters(server, children):
    """How many each child has; as long as a connection is kept, prefork's child has no other."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(mix.Client(server.port)) for _ in children]
        answers = [client.ask("GET", "/state/x").body.split() for client in clients]
    assert {int(pid) for pid, _ in answers} == children
    return {int(pid): int(count) for pid, count in answers}


def state(server, children):
    """Of each child: interpreters, open files, threads."""
    made = interpreters(server, children)
    return {child: (made[child], server.descriptors(child), server.threads(child)) for child in children}


def test_soak(watched, full, mpm):
    """The memory of each child stays, and its files, threads and interpreters."""
    server = watched(mix.CONFIG, mix.FILES, mpm=mpm, workers=WORKERS[mpm])
    wait_for(lambda: len(server.child_pids()) == PROCESSES[mpm], "the children to start")
    children = set(server.child_pids())
    warming, requests = (FULL_WARMING, FULL_REQUESTS) if full else (WARMING, REQUESTS)
    first = mix.run(server.port, requests=warming, seed=1)
    assert not first.wrong, first.wrong
    memory, before = {child: server.rss(child) for child in children}, state(server, children)
    rest = mix.run(server.port, requests=requests, seed=2)
    assert not rest.wrong, rest.wrong
    assert rest.requests >= requests
    grown = {child: server.rss(child) - memory[child] for child in children}
    print(f"{mpm}: {rest.requests:,} requests, memory {max(memory.values()):,} KiB,")
    print(f"grown by {sorted(grown.values())} KiB; {before}; {dict(rest.kinds)}")
    assert set(server.child_pids()) == children
    assert state(server, children) == before
    assert max(grown.values()) < LIMIT
    server.allow_log(mix.EXPECTED_LOG)
