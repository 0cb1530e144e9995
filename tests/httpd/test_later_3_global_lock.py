"""LATER, section 3: _apache._global_lock() and its like."""

import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from plugins.config import dedent
from plugins.process import wait_for

ADD = """
    import _apache, os
    from mod_python import apache

    def handler(req):
        number, _, path = req.args.partition(",")
        for _ in range(int(number)):
            _apache._global_lock(req.server, "spam")
            with open(path) as file:
                value = int(file.read())
            with open(path, "w") as file:
                file.write(str(value + 1))
            _apache._global_unlock(req.server, "spam")
        return apache.OK
    """
HOLD = """
    import _apache, os, time
    from mod_python import apache

    def handler(req):
        _apache._global_lock(req.server, None, 3)
        req.write(f"{os.getpid()}\\n")
        while os.path.exists(req.args):
            time.sleep(0.01)
        return apache.OK

    def taker(req):
        got = _apache._global_trylock(req.server, None, 3)
        req.write(str(got), 0)
        return apache.OK

    def waiter(req):
        _apache._global_lock(req.server, None, 3)
        req.write("taken", 0)
        return apache.OK
    """
HANDLERS = """
    <Directory "${htdocs}">
        SetHandler python-program
        PythonHandler hold
        <Files "taker">
            PythonHandler hold::taker
        </Files>
        <Files "waiter">
            PythonHandler hold::waiter
        </Files>
    </Directory>
    """


def run(server, code):
    """What the code returns, with _apache."""
    return server.run("import _apache\n" + dedent(code))


def shared(httpd, workers=4):
    return httpd(HANDLERS, {"htdocs/hold.py": HOLD}, workers=workers)


def test_they_exclude_threads_and_processes(httpd):
    """What is read and written under a lock loses nothing, by threads or processes."""
    server = httpd(
        '<Directory "${htdocs}">\nSetHandler python-program\nPythonHandler add\n</Directory>',
        {"htdocs/add.py": ADD},
        workers=4,
    )
    counter = server.write("logs/counter", "0")
    counter.chmod(0o666)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: server.get(f"x?50,{counter}").status_code, range(16)))
    assert answers == [200] * 16
    assert counter.read_text() == str(16 * 50)


def test_recursive(httpd):
    """Its holder may take a lock again, and releases it as often."""
    code = """
        took = []
        for _ in range(3):
            took.append(_apache._global_trylock(req.server, "spam"))
        for _ in range(3):
            _apache._global_unlock(req.server, "spam")
        try:
            _apache._global_unlock(req.server, "spam")
        except RuntimeError as error:
            return took, str(error)
        """
    took, error = run(httpd, code)
    assert took == [True, True, True]
    assert "is not held here" in error


def test_threads_of_a_handler(httpd):
    """A thread that a handler starts is another holder, whose locks end with it."""
    code = """
        import threading
        def take(function):
            thread = threading.Thread(target=lambda: took.append(function(req.server, None, 2)))
            thread.start()
            thread.join(10)
        took = []
        # The first leaves it locked. That has ended for the system a little after join().
        take(_apache._global_lock)
        take(_apache._global_lock)
        _apache._global_lock(req.server, None, 2)
        take(_apache._global_trylock)
        return took
        """
    assert run(httpd, code) == [None, None, False]


def test_released_at_the_end_of_the_request(httpd):
    """What a request forgot to release is free for the next."""
    server = httpd()
    code = "return _apache._global_trylock(req.server, None, 5)"
    assert [run(server, code) for _ in range(3)] == [True] * 3


def test_released_after_an_error(httpd):
    """The same if its handler raises."""
    server = httpd()
    handler = 'import _apache\ndef handler(req):\n    _apache._global_lock(req.server, "a")\n    1 / 0\n'
    site = server.site("SetHandler python-program\nPythonHandler failing", {"failing.py": handler})
    assert site.get("x").status_code == 500
    assert site.get("x").status_code == 500
    server.expect_log("KK0101.*ZeroDivisionError", 2)


def test_held_by_another_request(httpd):
    """trylock answers False while another request has it; lock waits."""
    server = shared(httpd)
    flag = server.write("logs/flag", "")
    with ThreadPoolExecutor(2) as pool, server.connect() as holder:
        holder.send(f"GET /x?{flag} HTTP/1.0\r\n\r\n".encode())
        holder.read_until(b"\n\r\n")
        holder.read_until(b"\n")
        assert server.get("taker").text == "False"
        waiting = pool.submit(server.get, "waiter")
        assert server.get("taker").text == "False"
        assert not waiting.done()
        flag.unlink()
        assert waiting.result().text == "taken"
    assert server.get("taker").text == "True"


def test_a_child_killed_while_holding(httpd):
    """A lock whose process was killed is free for the others."""
    server = shared(httpd)
    flag = server.write("logs/flag", "")
    with ThreadPoolExecutor(1) as pool, server.connect() as holder:
        holder.send(f"GET /x?{flag} HTTP/1.0\r\n\r\n".encode())
        holder.read_until(b"\n\r\n")
        pid = int(holder.read_until(b"\n"))
        waiting = pool.submit(server.get, "waiter") if httpd.mpm == "prefork" else None
        os.kill(pid, signal.SIGKILL)
        if waiting:
            assert waiting.result().text == "taken"
        wait_for(lambda: pid not in server.child_pids(), "the child to be gone")
        assert server.get("taker").text == "True"


def test_old_children_exclude_new_ones(httpd):
    """After a graceful restart the new children's locks are those of the old ones."""
    server = shared(httpd)
    flag = server.write("logs/flag", "")
    with server.connect() as holder:
        holder.send(f"GET /x?{flag} HTTP/1.0\r\n\r\n".encode())
        holder.read_until(b"\n\r\n")
        pid = int(holder.read_until(b"\n"))
        os.kill(server.process.pid, signal.SIGUSR1)
        wait_for(lambda: set(server.child_pids()) - {pid} and server.get("taker").is_success, "new children")
        server.expect_log("resuming normal operations", 2)
        assert server.get("taker").text == "False"
        flag.unlink()
        assert holder.read_all() == b""
    assert server.get("waiter").text == "taken"


@pytest.mark.parametrize("key", ["'spam'", "b'spam'", "17", "'\\udcff'", "-3"])
def test_keys(httpd, key):
    """A key means the same lock in every process, and not the reserved one."""
    code = f"""
        _apache._global_lock(req.server, {key})
        _apache._global_unlock(req.server, {key})
        _apache._global_lock(req.server, {key})
        free = []
        for index in range(8):
            try:
                _apache._global_unlock(req.server, None, index)
            except RuntimeError:
                free.append(index)
        return [index for index in range(8) if index not in free]
        """
    server = httpd()
    [first] = run(server, code)
    assert first > 0
    assert run(server, code) == [first]


def test_stable_hash(httpd):
    """Two servers give a key the same lock."""
    code = (
        "_apache._global_lock(req.server, 'spam')\n"
        "for index in range(8):\n"
        "    try:\n"
        "        _apache._global_unlock(req.server, None, index)\n"
        "        return index\n"
        "    except RuntimeError:\n"
        "        pass\n"
    )
    assert run(httpd("# one"), code) == run(httpd("# another"), code)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("req, 'spam'", "TypeError"),
        ("None, 'spam'", "TypeError"),
        ("req.server, 1.5", "TypeError"),
        ("req.server, 'spam', 8", "ValueError"),
        ("req.server, 'spam', -2", "ValueError"),
    ],
)
@pytest.mark.parametrize("function", ["_global_lock", "_global_trylock", "_global_unlock"])
def test_wrong_arguments(httpd, function, arguments, error):
    """No server, no key, no such lock."""
    code = f"""
        try:
            _apache.{function}({arguments})
        except ({error}) as error:
            return "refused"
        """
    assert run(httpd, code) == "refused"


def test_locks_of_the_process(httpd):
    """Those without a file: their holder may take one again, and their keys are as those of the
    others."""
    code = """
        _apache._process_lock("spam")
        said = [_apache._process_trylock("spam"), _apache._global_trylock(req.server, "spam")]
        _apache._process_unlock("spam")
        _apache._process_unlock("spam")
        for function, key in (("unlock", "spam"), ("lock", 1.5), ("trylock", None), ("unlock", b"eggs")):
            try:
                getattr(_apache, "_process_" + function)(key)
            except (RuntimeError, TypeError) as error:
                said.append(type(error).__name__)
        return said
        """
    errors = ["RuntimeError", "TypeError", "TypeError", "RuntimeError"]
    assert run(httpd, code) == [True, True, *errors]


@pytest.mark.only_mpm("event")
def test_a_lock_of_the_process_excludes_its_threads(httpd):
    """Until the request that has it ends."""
    handlers = """
        import _apache, threading
        from mod_python import apache

        over = threading.Event()

        def holder(req):
            _apache._process_lock("spam")
            req.write("locked")
            over.wait(30)
            return apache.OK

        def other(req):
            req.write(f"{_apache._process_trylock('spam')} {_apache._process_trylock('eggs')}")
            over.set()
            return apache.OK

        def waiter(req):
            _apache._process_lock("spam")
            req.write("taken")
            return apache.OK
        """
    config = "".join(
        f"<Location /{name}>\nSetHandler python-program\nPythonHandler locks::{name}\n</Location>\n"
        for name in ("holder", "other", "waiter")
    )
    path = "PythonPath \"sys.path + ['${root}/lib']\"\n"
    server = httpd(path + config, {"lib/locks.py": handlers}, workers=4)
    server.changed = True
    with server.connect() as connection:
        connection.send(b"GET /holder HTTP/1.0\r\n\r\n")
        connection.read_until(b"locked")
        assert server.get("other").text == "False True"
        assert server.get("waiter").text == "taken"


def test_number_and_directory(httpd):
    """PythonOption says how many there are and where their files lie."""
    server = httpd.unstarted(
        "PythonOption mod_python.mutex_directory logs\nPythonOption mod_python.mutex_locks 3\n",
    )
    server.start()
    assert run(server, "return _apache._global_trylock(req.server, None, 2)")
    assert len(list((server.root / "logs").glob("python-lock-*"))) == 3


def test_number_and_directory_of_a_virtual_host(httpd):
    """Only the main server's options count: the locks are one server's, not one host's."""
    config = """
        <VirtualHost *:${port}>
            ServerName locks.example
            DocumentRoot "${htdocs}"
            PythonOption mod_python.mutex_directory /nowhere
            PythonOption mod_python.mutex_locks 3
        </VirtualHost>
        """
    code = "import _apache\nreturn _apache._global_trylock(req.server, None, 7)"
    assert httpd(config).run(code, headers={"Host": "locks.example"})


@pytest.mark.parametrize(
    "mechanism", ["pthread", "posixsem", "sysvsem", "fcntl:${root}/logs", "file:${root}/logs"]
)
def test_mutex_directive(httpd, mechanism):
    """Whatever Apache's Mutex directive says, they work."""
    server = httpd(f"Mutex {mechanism} python-lock")
    code = "return _apache._global_trylock(req.server, None, 5)"
    assert [run(server, code) for _ in range(2)] == [True] * 2


@pytest.mark.parametrize("number", ["1", "many", "0x10", "99999999999"])
def test_bad_number(httpd, number):
    """configtest names the line of a number that cannot be."""
    status, text = httpd.configtest(f"PythonOption mod_python.mutex_locks {number}")
    assert status != 0
    assert "line 1 of" in text and "from 2 to 1024" in text


@pytest.mark.skipif(os.getuid() != 0, reason="the children's user is Apache's own")
def test_a_directory_that_children_cannot_search(httpd):
    """The server serves; locks, and they alone, fail, and the log says why."""
    server = httpd.unstarted("PythonOption mod_python.mutex_directory private")
    (server.root / "private").mkdir(0o700)
    server.start()
    code = """
        import _apache
        try:
            _apache._global_lock(req.server, "spam")
        except OSError as error:
            return str(error)
        """
    assert "KK0181" in server.run(code)
    server.expect_log("KK0181.*/private/python-lock-0")


def test_bad_directory(httpd):
    """A directory that is not there stops the start, and the text says what to do."""
    server = httpd.unstarted("PythonOption mod_python.mutex_directory /nowhere")
    command = server.process.command("-DFOREGROUND")
    done = subprocess.run(command, env=server.process.environ(), timeout=60, check=False)
    assert done.returncode != 0
    server.expect_log("KK0180.*/nowhere.*mutex_directory")
    server.expect_log("AH00020: Configuration Failed")
