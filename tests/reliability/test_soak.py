"""A long time of requests of every kind: nothing grows."""

from reliability import mix

REQUESTS = 100_000
FULL_REQUESTS = 2_000_000
#: Requests after which everything there is to be made has been made.
WARMING = 20_000
FULL_WARMING = 100_000
#: KiB that the child may have grown by at the end.
LIMIT = 2048
#: A process of prefork's has one client after the other: more than a few only wait.
WORKERS = {"event": 25, "prefork": 1}
CLIENTS = {"event": 24, "prefork": 4}


def state(server, child):
    """Interpreters, open files, threads."""
    with mix.Client(server.port) as client:
        interpreters = int(client.ask("GET", "/state/x").body)
    return interpreters, server.descriptors(child), server.threads(child)


def test_soak(watched, full, mpm):
    """The child's memory stays, and its files, threads and interpreters."""
    server = watched(mix.CONFIG, mix.FILES, mpm=mpm, workers=WORKERS[mpm])
    child, clients = server.child(), CLIENTS[mpm]
    warming, requests = (FULL_WARMING, FULL_REQUESTS) if full else (WARMING, REQUESTS)
    first = mix.run(server.port, requests=warming, seed=1, clients=clients)
    assert not first.wrong, first.wrong
    memory, before = server.rss(child), state(server, child)
    rest = mix.run(server.port, requests=requests, seed=2, clients=clients)
    assert not rest.wrong, rest.wrong
    assert rest.requests >= requests
    grown = server.rss(child) - memory
    print(f"{mpm}: {rest.requests:,} requests, memory {memory:,} KiB, grown by {grown:,} KiB")
    print(f"interpreters, files, threads: {before}; {dict(rest.kinds)}")
    assert server.child_pids() == [child]
    assert state(server, child) == before
    assert grown < LIMIT
    server.allow_log(mix.EXPECTED_LOG)
