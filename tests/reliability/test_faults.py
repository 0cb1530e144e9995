"""What goes wrong in a child or at a client: what it means for that request, for the others,
and for the child (docs/reliability.md)."""

import contextlib
import os
import signal
import subprocess
import threading

import pytest

from plugins.installation import SANITIZED
from plugins.process import wait_for

CONFIG = """
    PythonPath "['${root}/python'] + sys.path"
    PythonInterpreter main_interpreter
    PythonOption mod_python.form.directory ${root}/tmp
    <Location /p>
        SetHandler python-program
        PythonHandler fault
    </Location>
    """

START = '''
    import ctypes, os, resource, sys, threading, time
    from mod_python import apache, util

    def handler(req):
        return globals()[req.args](req) or apache.OK

    def hello(req):
        req.write(f"hello {os.getpid()}", 0)

    def wait(req):
        """Waits until somebody writes to the FIFO, as every handler that waits does."""
        req.write("begun\\n")
        with open(os.path.dirname(__file__) + "/../fifo", "rb") as file:
            req.write(file.read())

    def store(req):
        form = util.FieldStorage(req)
        req.write(form["file"].value)
    '''

FILES = {"htdocs/page.txt": "a page\n", "tmp/.keep": ""}


def serve(watched, code="", config="", files=None, **settings):
    """An Apache with these functions as handlers, /p?name, that has a FIFO."""
    python = {"python/fault.py": START + code}
    server = watched.unstarted(CONFIG + config, FILES | python | (files or {}), **settings)
    (server.root / "tmp").chmod(0o777)
    os.mkfifo(server.root / "fifo")
    (server.root / "fifo").chmod(0o666)
    server.start()
    return server


def begin(server, query):
    """A connection whose handler has begun."""
    connection = server.connect()
    connection.send(f"GET /p?{query} HTTP/1.0\r\n\r\n".encode())
    assert connection.read_until(b"begun\n").endswith(b"begun\n")
    return connection


def release(server, data=b"ended"):
    """Lets a handler that waits go on."""
    (server.root / "fifo").write_bytes(data)


def rest(connection):
    """What comes until the end, however that comes; closes it."""
    with connection:
        try:
            return connection.read_all()
        except ConnectionResetError:
            return b""


def hello(server):
    """The child that answers a request of a new connection."""
    answer = server.get("p?hello")
    assert answer.status_code == 200, answer.text
    return int(answer.text.removeprefix("hello "))


# Children that die


def test_killed_child(watched, mpm):
    """The client sees its connection end; the next request is served by a new child."""
    server = serve(watched, mpm=mpm)
    child = hello(server)
    connection = begin(server, "wait")
    os.kill(child, signal.SIGKILL)
    assert b"ended" not in rest(connection)
    assert hello(server) != child
    assert server.processes() == {server.process.pid, *server.child_pids()}


def test_killed_child_of_several(watched):
    """The requests of other children go on."""
    server = serve(watched, mpm="prefork", workers=2)
    wait_for(lambda: len(server.child_pids()) == 2, "both children")
    waiting = begin(server, "wait")
    victim = hello(server)
    os.kill(victim, signal.SIGKILL)
    release(server)
    assert b"ended" in rest(waiting)
    wait_for(lambda: hello(server) != victim, "a child in its place")


def test_killed_child_leaves_no_upload(watched):
    """What was spooled of an upload goes with the process."""
    server = serve(watched)
    child = hello(server)
    with server.connect() as connection:
        connection.send(
            b"POST /p?store HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
        )
        connection.send(b"x" * 4_000_000)
        spooled = server.root / "tmp"
        wait_for(lambda: any(str(spooled) in link for link in links(child)), "the upload to be spooled")
        os.kill(child, signal.SIGKILL)
    assert [path.name for path in spooled.iterdir()] == [".keep"]
    hello(server)


def links(pid):
    """What the open files of a process are."""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            yield os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            continue  # closed meanwhile


def test_exit_at_once(watched, mpm):
    """os._exit() ends the child, with all its requests; a new one takes its place."""
    server = serve(
        watched, "\n    def leave(req):\n        req.write('begun\\n')\n        os._exit(3)\n", mpm=mpm
    )
    child = hello(server)
    assert rest(begin(server, "leave")) == b""
    assert hello(server) != child


@pytest.mark.parametrize("error", ["SystemExit(3)", "KeyboardInterrupt", "MemoryError", "RecursionError"])
def test_exceptions_that_end_programs(watched, error):
    """sys.exit() and its like end the handler only: 500."""
    server = serve(watched, f"\n    def leave(req):\n        raise {error}\n")
    child = hello(server)
    assert server.get("p?leave").status_code == 500
    server.expect_log(f"KK0101: PythonHandler fault: {error.partition('(')[0]}")
    assert hello(server) == child


RECURSIONS = {
    "calls": "    def deep(req):\n        return deep(req)\n",
    "repr": "    class Deep:\n        def __repr__(self):\n            return repr(self)\n"
    "    def deep(req):\n        repr(Deep())\n",
    "map": "    def deep(req):\n        return list(map(deep, [req]))\n",
    "json": "    def deep(req):\n        import json\n        json.loads('[' * 100_000)\n",
    "regex": "    def deep(req):\n        import re\n        re.compile('(' * 20_000 + ')' * 20_000)\n",
    "code": "    def deep(req):\n        compile('a' + '.b' * 100_000, 'x', 'eval')\n",
}


@pytest.mark.skipif(SANITIZED, reason="frames are larger, and so is the stack that they need")
@pytest.mark.parametrize("kind", RECURSIONS)
def test_deep_recursion(watched, mpm, kind):
    """The stack of Apache's threads is large enough for Python to notice in time."""
    server = serve(watched, "\n" + RECURSIONS[kind], mpm=mpm)
    child = hello(server)
    assert server.get("p?deep").status_code == 500
    server.expect_log("KK0101: PythonHandler fault: RecursionError")
    assert hello(server) == child


# Resources that end

LIMITS = '''
    kept = []

    def limit(kind, most):
        resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))

    def few_files(req):
        limit(resource.RLIMIT_NOFILE, len(os.listdir("/proc/self/fd")) + 10)
        files = []
        while True:
            files.append(open("/dev/null"))

    def no_files(req):
        """Keeps them."""
        limit(resource.RLIMIT_NOFILE, len(os.listdir("/proc/self/fd")) + 10)
        try:
            while True:
                kept.append(open("/dev/null"))
        except OSError:
            req.write("none left", 0)

    def little_memory(req):
        pages = int(open("/proc/self/statm").read().split()[0])
        limit(resource.RLIMIT_AS, pages * resource.getpagesize() + (64 << 20))
        try:
            blocks = []
            while True:
                blocks.append(bytearray(1 << 20))
        finally:
            limit(resource.RLIMIT_AS, resource.RLIM_INFINITY)

    def hardly_any_memory(req):
        """The limit stays, for requests that need little."""
        pages = int(open("/proc/self/statm").read().split()[0])
        limit(resource.RLIMIT_AS, pages * resource.getpagesize() + (16 << 20))

    def big(req):
        req.write(bytes(1 << 30), 0)

    def enough_memory(req):
        limit(resource.RLIMIT_AS, resource.RLIM_INFINITY)
    '''


def test_out_of_files(watched):
    """open() raises OSError: 500 if the handler has no better answer; the child lives."""
    server = serve(watched, LIMITS)
    child = hello(server)
    for _ in range(3):
        assert server.get("p?few_files").status_code == 500
        server.expect_log("KK0101: PythonHandler fault: OSError.*Too many open files")
    assert hello(server) == child


def test_no_files_for_connections(watched):
    """A child that cannot accept connections ends, and another takes its place."""
    server = serve(watched, LIMITS)
    child = hello(server)
    with contextlib.ExitStack() as kept:
        # Those behind the first take what connections that were just ending then still had.
        for what in ("no_files", "hello", "hello", "hello"):
            connection = kept.enter_context(server.connect())
            connection.send(f"GET /p?{what} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            body = connection.response().body
            assert what != "no_files" or body == b"none left"
        wait_for(lambda: answers_another(server, child), "another child")
    server.allow_log("Too many open files")


def answers_another(server, child):
    """Whether a child answers that is not this one, which may still answer with an error of
    Apache's: it cannot look for .htaccess."""
    answer = server.get("p?hello")
    return answer.status_code == 200 and answer.text != f"hello {child}"


@pytest.mark.skipif(SANITIZED, reason="the sanitizers reserve terabytes")
def test_out_of_memory(watched):
    """MemoryError in a handler is 500; the child lives."""
    server = serve(watched, LIMITS)
    child = hello(server)
    for _ in range(3):
        assert server.get("p?little_memory").status_code == 500
        server.expect_log("KK0101: PythonHandler fault: MemoryError")
    assert hello(server) == child


@pytest.mark.skipif(SANITIZED, reason="the sanitizers reserve terabytes")
def test_little_memory_left(watched):
    """Requests that need little are served beside those that need too much."""
    server = serve(watched, LIMITS)
    child = hello(server)
    assert server.get("p?hardly_any_memory").status_code == 200
    for _ in range(5):
        assert server.get("p?big").status_code == 500
        server.expect_log("KK0101: PythonHandler fault: MemoryError")
        assert hello(server) == child
        assert server.get("page.txt").text == "a page\n"
    assert server.get("p?enough_memory").status_code == 200


def test_full_disk(watched, mpm):
    """An upload that fills the disk is 507, and the space is free again; others are served."""
    server = serve(watched, mpm=mpm)
    spooled = server.root / "tmp"
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=777", "kukulkan-test", str(spooled)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount a small disk here")
    try:
        child = hello(server)
        for _ in range(3):
            assert server.post("p?store", files={"file": b"x" * 3_000_000}).status_code == 507
            server.expect_log("KK0122: form not read: .*No space left")
            assert server.get("page.txt").text == "a page\n"
            assert server.post("p?store", files={"file": b"y" * 900_000}).content == b"y" * 900_000
        assert list(spooled.iterdir()) == []
        assert hello(server) == child
    finally:
        subprocess.run(["umount", "--lazy", str(spooled)], check=True)


# Clients that do not come to an end

SLOW = "RequestReadTimeout handshake=0 header=2 body=2"


def half(server, count, text="GET /p?hello HTTP/1.1\r\nHo"):
    """Clients that send only this."""
    clients = [server.connect() for _ in range(count)]
    for client in clients:
        client.send(text.encode())
    return clients


@pytest.mark.parametrize("request_text", ["G", "GET /p?hello HTTP/1.1\r\nHo"])
def test_slow_headers(watched, request_text):
    """Who sends his request slowly has a worker until the time of mod_reqtimeout is over."""
    server = serve(watched, config=SLOW, modules=("reqtimeout",), workers=4)
    child = hello(server)
    few = half(server, 3, request_text)
    assert hello(server) == child
    many = half(server, 8, request_text)
    assert hello(server) == child
    for client in few + many:
        assert rest(client)[:12] in (b"", b"HTTP/1.1 408")


def test_slow_body(watched):
    """So has who sends the body slowly, to a handler that reads it: 408, and OSError for that one."""
    read = "\n    def read(req):\n        req.write(req.read(), 0)\n"
    server = serve(watched, read, config=SLOW, modules=("reqtimeout",), workers=4)
    child = hello(server)
    text = "POST /p?read HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nConnection: close\r\n\r\nabc"
    clients = half(server, 3, text)
    assert hello(server) == child
    clients += half(server, 5, text)
    assert hello(server) == child
    for client in clients:
        assert rest(client).startswith(b"HTTP/1.1 408")
    server.expect_log("KK0111: PythonHandler fault: ", times=8)


def test_slow_reader(watched):
    """Who does not read an answer has a worker until Timeout; others are served."""
    endless = "\n    def endless(req):\n        while True:\n            req.write(b'x' * 65536)\n"
    server = serve(watched, endless, config="Timeout 2", workers=4)
    child = hello(server)
    clients = half(server, 3, "GET /p?endless HTTP/1.1\r\nHost: x\r\n\r\n")
    assert hello(server) == child
    server.expect_log("KK0108: PythonHandler fault: ", times=3)
    for client in clients:
        rest(client)


# Handlers that are stuck

STUCK = '''
    def stuck(req):
        """In C code that keeps the GIL, as a long computation of an extension module may."""
        req.write("begun\\n")
        root = os.path.dirname(__file__) + "/.."
        ctypes.PyDLL(None).system(f"touch {root}/tmp/stuck; cat {root}/fifo".encode())
        req.write("ended")
    '''


def test_stuck_without_the_gil(watched):
    """A handler that waits, in C code that lets go of the GIL, holds up nobody."""
    server = serve(watched)
    child = hello(server)
    waiting = begin(server, "wait")
    for _ in range(5):
        assert hello(server) == child
    release(server)
    assert b"ended" in rest(waiting)


def test_stuck_with_the_gil(watched):
    """It holds up what needs Python in this child; Apache serves the rest."""
    server = serve(watched, STUCK)
    connection = begin(server, "stuck")
    wait_for((server.root / "tmp" / "stuck").exists, "the handler to be in C code")
    answers = []
    others = [threading.Thread(target=lambda: answers.append(hello(server))) for _ in range(3)]
    for other in others:
        other.start()
    for _ in range(3):
        assert server.get("page.txt").text == "a page\n"
    assert answers == []
    release(server)
    assert b"ended" in rest(connection)
    for other in others:
        other.join()
    assert len(answers) == 3
