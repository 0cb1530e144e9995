"""A long time of requests of every kind: nothing grows."""

from reliability import mix

REQUESTS = 100_000
FULL_REQUESTS = 2_000_000
#: Requests after which everything there is to be made has been made.
WARMING = 20_000
FULL_WARMING = 100_000
#: KiB that the child may have grown by at the end.
LIMIT = 2048


def state(server, child):
    """Interpreters, threads known to Python, open files."""
    with mix.Client(server.port) as client:
        answer = client.ask("GET", "/state/x")
    return answer.body.decode().split()[0], server.descriptors(child)


def test_soak(watched, full):
    """The child's memory stays, and its files and interpreters."""
    server = watched(mix.CONFIG, mix.FILES, workers=25)
    child = server.child()
    first = mix.run(server.port, requests=FULL_WARMING if full else WARMING, seed=1)
    assert not first.wrong, first.wrong
    memory, before = server.rss(child), state(server, child)
    rest = mix.run(server.port, requests=FULL_REQUESTS if full else REQUESTS, seed=2)
    assert not rest.wrong, rest.wrong
    grown = server.rss(child) - memory
    print(f"{rest.requests:,} requests, memory {memory:,} KiB, grown by {grown:,} KiB, {dict(rest.kinds)}")
    assert server.child_pids() == [child]
    assert state(server, child) == before
    assert grown < LIMIT
    server.allow_log(mix.EXPECTED_LOG)
