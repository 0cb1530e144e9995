"""The parsers of what clients send, on inputs that a fuzzer makes of those kept in corpus/.

With --full, inputs that reach code that none reached before are added there.
"""

import functools
import importlib.util
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from plugins.installation import SANITIZED

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
#: Seconds for each of the parsers, and for the streams.
SECONDS = 12
FULL_SECONDS = 720
CLANG = shutil.which("clang-14") or shutil.which("clang")


@functools.cache
def query_fuzzer(directory: Path) -> Path:
    """The fuzzer for core/py_query.c, built."""
    program = directory / "query"
    config = sysconfig.get_config_var
    version = config("LDVERSION")
    command = [CLANG, "-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=undefined"]
    command += [f"-I{HERE.parents[1] / 'core'}", f"-I{sysconfig.get_path('include')}"]
    command += [str(HERE / "fuzz" / "query.c"), "-o", str(program)]
    command += [f"-L{config('LIBDIR')}", f"-Wl,-rpath,{config('LIBDIR')}", f"-lpython{version}"]
    subprocess.run(command, check=True)
    return program


def command_of(target, directory):
    """The command that fuzzes a target, without libFuzzer's arguments."""
    if target == "query":
        if CLANG is None:
            pytest.skip("needs clang and its libclang-rt")
        return [str(query_fuzzer(directory))]
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("needs atheris, which `make fuzz` installs where it exists")
    return [sys.executable, str(HERE / "fuzz" / "parsers.py"), target]


@pytest.mark.skipif(SANITIZED, reason="it has sanitizers of its own")
@pytest.mark.parametrize("target", ["query", "multipart", "header", "cookie"])
def test_parser(target, full, tmp_path):
    """No crash, no exception but the parser's own, and the promise of the target holds."""
    command = command_of(target, tmp_path)
    found = tmp_path / "found"
    found.mkdir()
    seconds = FULL_SECONDS if full else SECONDS
    environ = os.environ | {"PYTHONMALLOC": "malloc", "ASAN_OPTIONS": "detect_leaks=0"}
    arguments = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=10", "-print_final_stats=1"]
    done = subprocess.run(
        [*command, *arguments, f"-artifact_prefix={tmp_path}/", str(found), str(CORPUS / target)],
        env=environ,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    print(target, [line for line in done.stderr.splitlines() if "number_of_executed_units" in line])
    if full:
        subprocess.run(
            [*command, "-merge=1", "-max_len=256", str(CORPUS / target), str(found)],
            env=environ,
            capture_output=True,
            check=True,
        )


STREAMS = """
    PythonPath "['${root}/python'] + sys.path"
    PythonOutputFilter streams UPPER
    PythonInputFilter streams LINES
    <Location /filtered>
        SetHandler python-program
        PythonHandler streams
        SetOutputFilter UPPER;UPPER
        SetInputFilter LINES;LINES
    </Location>
    Listen 127.0.0.1:${echo}
    <VirtualHost 127.0.0.1:${echo}>
        PythonConnectionHandler streams
        Timeout 20
    </VirtualHost>
    """

HANDLERS = """
    import random

    def connectionhandler(conn):
        chance = random.Random(conn.remote_addr[1])
        while data := chance.choice((conn.read, conn.readline))(chance.choice((-1, 1, 7, 8192))):
            conn.write(data)
        return 0

    def handler(req):
        chance = random.Random(len(req.headers_in["X-Seed"]))
        while data := chance.choice((req.read, req.readline))(chance.choice((1, 7, 8192))):
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
    """


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


def test_streams(watched, full):
    """What goes through a connection handler, and through filters, comes out, however it is split."""
    from plugins.process import free_port

    echo = free_port()
    server = watched(STREAMS.replace("${echo}", str(echo)), {"python/streams.py": HANDLERS})
    end = time.monotonic() + (FULL_SECONDS if full else SECONDS)
    seed = count = 0
    while time.monotonic() < end:
        seed += 1
        chance = random.Random(seed)
        data = text(chance)
        assert through_connection(echo, chance, data) == data, seed
        assert through_filters(server, chance, data) == data.upper(), seed
        count += 2
    print(f"{count:,} streams")


def through_connection(port, chance, data):
    """What comes back from the echo."""
    from plugins.client import Connection

    with Connection(port) as connection:
        back = b""
        for piece in pieces(chance, data):
            connection.send(piece)
        connection.end_of_input()
        back += connection.read_all()
        return back


def through_filters(server, chance, data):
    """What comes back from a handler between filters, of a chunked body."""
    seed = "x" * chance.randrange(1, 100)
    head = f"POST /filtered HTTP/1.1\r\nHost: x\r\nX-Seed: {seed}\r\nConnection: close\r\n"
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces(chance, data))
    request = head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    with server.connect() as connection:
        for piece in pieces(chance, request):
            connection.send(piece)
        return connection.response().body
