"""No byte is lost or doubled: chains of filters that read, write, flush, pass on, return
and close at random, against data that comes in random pieces.

Each filter of a chain follows a sequence of its own, drawn by hypothesis; each example is
one request through a whole chain.
"""

import http.client
import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugins.installation import SANITIZED

CHAIN = 10
#: Examples per direction; times CHAIN, times two directions: 10,000 sequences. Apache counts them.
EXAMPLES = {"event": 500, "prefork": 50}

CONFIG = """
    PythonPath "sys.path + ['${root}/lib']"
    PythonOutputFilter sequences SEQUENCES
    PythonInputFilter sequences SEQUENCES
    LimitRequestFieldSize 65536
    MaxKeepAliveRequests 0
    KeepAliveTimeout 60
    """

FILTER = """
    followed = 0

    class Stop(Exception):
        pass

    class Follower:
        # A filter that follows a sequence, then copies; what it has read and not yet
        # written it keeps, as long as its handler will be called again.
        def __init__(self, filter, sequence):
            self.steps = iter(sequence)
            self.kept = b""
            self.written = 0
            self.uncounted = False

        def call(self, filter):
            self.taken = 0
            self.at_end = False
            try:
                for name, number in self.steps:
                    getattr(self, name)(filter, number)
                while True:
                    self.read(filter, -1)
                    if not self.kept:
                        break
                    self.write(filter, -1)
            except Stop:
                pass
            if filter.closed:
                return
            if self.kept and (self.at_end or not self.taken):
                self.write(filter, -1)
            if self.at_end and self.closes:
                filter.close()

        closes = True

        def keep(self, data, limit):
            if data is None:
                self.at_end = True
                raise Stop
            assert limit < 0 or len(data) <= limit, (len(data), limit)
            self.taken += len(data)
            self.kept += data

        def read(self, filter, number):
            self.keep(filter.read(number), number)

        def readline(self, filter, number):
            line = filter.readline(number)
            assert line is None or line.count(b"\\n") <= line.endswith(b"\\n"), line
            self.keep(line, number)

        def write(self, filter, number):
            if number < 0:
                number = len(self.kept)
            filter.write(self.kept[:number])
            self.written += len(self.kept[:number])
            self.kept = self.kept[number:]

        def flush(self, filter, number):
            filter.flush()

        def pass_on(self, filter, number):
            self.write(filter, -1)
            filter.pass_on()
            self.taken = 1
            if filter.closed:
                raise Stop

        def leave(self, filter, number):
            # With nothing taken what is there passes as it is, uncounted.
            self.uncounted = self.uncounted or not self.taken
            raise Stop

        def leave_open(self, filter, number):
            self.closes = False

        def disable(self, filter, number):
            self.write(filter, -1)
            filter.disable()
            raise Stop

        def close(self, filter, number):
            # The end for what comes behind: told with how much went before, if that is
            # known, for what is not read passes too.
            names = {step[0] for step in self.sequence}
            known = names.isdisjoint(["pass_on", "leave"])
            filter.write(b"#%d" % self.written if known else b"#")
            filter.close()
            raise Stop

    def outputfilter(filter):
        global followed
        if not hasattr(filter, "follower"):
            sequence = filter.req.plan["sequences"].pop()
            filter.follower = Follower(filter, sequence)
            filter.follower.sequence = sequence
            followed += 1
        filter.follower.call(filter)

    inputfilter = outputfilter
    """

HANDLER = """
    import json, random, tempfile
    import sequences

    def fixuphandler(req):
        req.plan = json.loads(req.headers_in["X-Plan"])
        return 0

    def count(req):
        req.write(str(sequences.followed))
        return 0

    def text(plan):
        return bytes(random.Random(plan["seed"]).choices(b"abcdefgh\\n", k=plan["size"]))

    def output(req):
        data = text(req.plan)
        for size, how in req.plan["pieces"]:
            if how == "file" and data[:size]:
                with tempfile.NamedTemporaryFile(buffering=0) as file:
                    file.write(data[:size])
                    req.sendfile(file.name)
            else:
                req.write(data[:size], how == "flush")
            data = data[size:]
        req.write(data, False)
        return 0

    def input(req):
        data = []
        for size, how in req.plan["pieces"]:
            data.append(req.readline(size) if how == "flush" else req.read(size))
        data.append(req.read())
        req.write(b"".join(data))
        return 0
    """

SIZES = st.one_of(
    st.just(-1), st.integers(0, 12), st.integers(0, 300), st.sampled_from([8191, 8192, 8193, 65536, 70000])
)
STEPS = st.one_of(
    st.tuples(st.sampled_from(["read", "readline", "write"]), SIZES),
    st.tuples(st.sampled_from(["read", "readline", "write", "flush", "leave", "leave", "pass_on"]), SIZES),
    st.tuples(st.sampled_from(["flush", "leave", "leave_open"]), st.just(0)),
)
SEQUENCES = st.lists(STEPS, min_size=1, max_size=12)
ENDS = st.sampled_from([[], [], [], [("disable", 0)], [("close", 0)]])
#: How long, and how the output handler sends it: gathered, flushed, or as a file's bucket.
PIECES = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 20), st.integers(0, 20000)), st.sampled_from(["write", "flush", "file"])
    ),
    max_size=8,
)


@st.composite
def plans(draw):
    """One request: its data, the pieces it comes in, and a sequence for each filter."""
    sequences = draw(st.lists(SEQUENCES, min_size=CHAIN, max_size=CHAIN))
    sequences[draw(st.integers(0, CHAIN - 1))] += draw(ENDS)
    size = draw(st.one_of(st.integers(0, 100), st.integers(0, 30000), st.integers(0, 200000)))
    return {"seed": draw(st.integers(0, 99)), "size": size, "pieces": draw(PIECES), "sequences": sequences}


def text_of(plan):
    """The data of a plan, as the handler has it."""
    return bytes(random.Random(plan["seed"]).choices(b"abcdefgh\n", k=plan["size"]))


def parts_of(data, pieces):
    """The same in chunks."""
    for size, _ in pieces:
        if data[:size]:
            yield data[:size]
        data = data[size:]
    if data:
        yield data


@pytest.mark.parametrize("direction", ["output", "input"])
def test_sequences(httpd, direction):
    """What goes in comes out, or, of a filter that closed early, what it had written."""
    chain = ";".join(["SEQUENCES"] * CHAIN)
    server = httpd(CONFIG, {"lib/sequences.py": FILTER})
    site = server.site(
        "SetHandler python-program\nPythonFixupHandler handlers\n"
        f"PythonHandler handlers::{direction}\nSet{direction}Filter {chain}",
        {"handlers.py": HANDLER},
    )
    counting = server.site(
        "SetHandler python-program\nPythonHandler handlers::count", {"handlers.py": HANDLER}
    )
    before = int(counting.get("x").text)
    examples = EXAMPLES[httpd.mpm] // (10 if SANITIZED else 1)
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(plans())
    def check(plan):
        data = text_of(plan)
        body = parts_of(data, plan["pieces"]) if direction == "input" else None
        headers = {"X-Plan": json.dumps(plan)}
        try:
            connection.request("POST", site.prefix + "x", body, headers, encode_chunked=True)
            response = connection.getresponse()
            result, mark, size = response.read().partition(b"#")
        except (OSError, http.client.HTTPException):
            connection.close()  # a new one for the next
            raise
        assert response.status == 200, result
        if mark:
            assert not size or len(result) == int(size)
            assert result == data[: len(result)]
        else:
            assert result == data

    try:
        check()
    finally:
        connection.close()
    assert int(counting.get("x").text) - before >= examples * CHAIN
