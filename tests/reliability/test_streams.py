"""Connection handlers and filters on what random makes up: data, and where they are split."""

import random
import time

from plugins.client import Connection, parse_responses
from plugins.process import free_port
from reliability.test_fuzz import FULL_SECONDS, SECONDS

#: Two servers of HTTP and two of echoes: one each with filters of connections.
CONFIG = """
    PythonPath "['${root}/python'] + sys.path"
    PythonOutputFilter streams UPPER
    PythonInputFilter streams LINES
    MaxKeepAliveRequests 0
    <Location /filtered>
        SetHandler python-program
        PythonHandler streams
        SetOutputFilter UPPER;UPPER
        SetInputFilter LINES;LINES
    </Location>
    Listen 127.0.0.1:%(wired_http)d
    <VirtualHost 127.0.0.1:%(wired_http)d>
        PythonConnectionInputFilter streams::wire
        PythonConnectionOutputFilter streams::wire
    </VirtualHost>
    Listen 127.0.0.1:%(echo)d
    <VirtualHost 127.0.0.1:%(echo)d>
        PythonConnectionHandler streams
    </VirtualHost>
    Listen 127.0.0.1:%(wired_echo)d
    <VirtualHost 127.0.0.1:%(wired_echo)d>
        PythonConnectionHandler streams
        PythonConnectionInputFilter streams::wire
        PythonConnectionOutputFilter streams::wire
    </VirtualHost>
    """

HANDLERS = '''
    import random, tempfile

    def connectionhandler(conn):
        chance = random.Random(conn.remote_addr[1])
        while data := chance.choice((conn.read, conn.readline))(chance.choice((-1, 1, 7, 8192))):
            conn.write(data)
        return 0

    def handler(req):
        """Sends back what it gets, some of it as a part of a file."""
        chance = random.Random(int(req.headers_in["X-Seed"]))
        while data := chance.choice((req.read, req.readline))(chance.choice((1, 7, 8192))):
            if len(data) > 500 and chance.random() < 0.3:
                with tempfile.NamedTemporaryFile() as file:
                    file.write(b"before" + data + b"behind")
                    file.flush()
                    req.sendfile(file.name, 6, len(data))
            else:
                req.write(data, chance.random() < 0.1)
        return 0

    def outputfilter(filter):
        while data := filter.read(random.choice((-1, 1, 100, 8192))):
            filter.write(data.upper())
        if data is None:
            filter.close()

    def inputfilter(filter):
        while data := filter.readline(random.choice((-1, 1, 100, 8192))):
            filter.write(data)
        if data is None:
            filter.close()

    def wire(filter):
        while data := filter.read(random.choice((-1, 1, 100, 8192))):
            filter.write(data)
        if data is None:
            filter.close()
    '''


def pieces(chance, data):
    """The data in pieces of every size."""
    while data:
        size = chance.choice((1, 2, 3, 10, 100, 1000, 8191, 8192, 8193, 65536))
        yield data[:size]
        data = data[size:]


def text(chance):
    """Bytes, a few or many, with few or many lines."""
    letters = bytes(chance.choices(b"abc\r\n\0\xff", k=7))
    return bytes(chance.choices(letters, k=chance.choice((0, 1, 10, 1000, 30000))))


def through_connection(port, chance, data):
    """What comes back from the echo."""
    with Connection(port) as connection:
        for piece in pieces(chance, data):
            connection.send(piece)
        connection.end_of_input()
        return connection.read_all()


def request(chance, seed, data, last):
    """A request with a body, of a length or in chunks."""
    head = f"POST /filtered HTTP/1.1\r\nHost: x\r\nX-Seed: {seed}\r\n"
    if last:
        head += "Connection: close\r\n"
    if chance.random() < 0.3:
        return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces(chance, data))
    return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + b"0\r\n\r\n"


def through_filters(port, chance, bodies):
    """What comes back from a handler between filters, of requests one right behind the other."""
    last = len(bodies) - 1
    requests = [request(chance, chance.getrandbits(32), body, n == last) for n, body in enumerate(bodies)]
    with Connection(port) as connection:
        for piece in pieces(chance, b"".join(requests)):
            connection.send(piece)
        responses = parse_responses(connection.read_all(), ["POST"] * len(bodies))
    assert all(response.status == 200 for response in responses)
    return [response.body for response in responses]


def test_streams(watched, full):
    """What goes through a connection handler, and through filters, comes out, however it is split."""
    ports = {name: free_port() for name in ("wired_http", "echo", "wired_echo")}
    server = watched(CONFIG % ports, {"python/streams.py": HANDLERS})
    end = time.monotonic() + (FULL_SECONDS if full else SECONDS)
    count = 0
    while time.monotonic() < end:
        seed = random.getrandbits(32)
        chance = random.Random(seed)
        data = text(chance)
        assert (
            through_connection(chance.choice((ports["echo"], ports["wired_echo"])), chance, data) == data
        ), seed
        bodies = [data, *(text(chance) for _ in range(chance.choice((0, 0, 1, 3))))]
        back = through_filters(chance.choice((server.port, ports["wired_http"])), chance, bodies)
        assert back == [body.upper() for body in bodies], seed
        count += 1 + len(bodies)
    print(f"{count:,} streams")
