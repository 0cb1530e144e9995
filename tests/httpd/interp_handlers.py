"""Handlers that hold an interpreter, or wait in it, while a test looks at the others; and
interpreters that cannot be made."""

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from plugins.httpd import write_file

PYTHON = "SetHandler python-program\nPythonHandler spam\n"

# Waits in a call that holds the GIL until there is something to read in the FIFO.
HOLD = """
    import ctypes, os
    from mod_python import apache

    def handler(req):
        if req.args == "hold":
            fifo = os.open(os.path.dirname(req.filename) + "/fifo", os.O_RDWR)
            apache.log_error(f"holding {req.interpreter_index}", apache.APLOG_NOTICE)
            ctypes.PyDLL(None).read(fifo, ctypes.create_string_buffer(1), 1)
            os.close(fifo)
        req.write(f"{req.interpreter} {req.interpreter_index}")
        return apache.OK
    """


@contextmanager
def held(site, path=""):
    """Within, a request to the handler above holds a GIL; gives what it has logged."""
    fifo = site.directory / path / "fifo"
    os.mkfifo(fifo)
    fifo.chmod(0o666)
    with ThreadPoolExecutor(1) as executor:
        answer = executor.submit(site.get, f"{path}x?hold")
        try:
            yield site.expect_log("holding ").message.split("holding ")[1]
        finally:
            with open(fifo, "r+b", buffering=0) as writer:
                writer.write(b"x")
            assert answer.result().status_code == 200


# Waits, without the GIL, until the test opens the FIFO.
WAIT = """
    import os
    from mod_python import apache

    def handler(req):
        apache.log_error(f"waiting {req.interpreter_index}", apache.APLOG_NOTICE)
        os.close(os.open(req.filename + ".fifo", os.O_RDONLY))
        req.write(f"{req.interpreter} {req.interpreter_index}")
        return apache.OK
    """


@contextmanager
def waiting(site, count, path="", name="x"):
    """Within, that many requests to the handler above wait; gives where they are, and then
    their answers. The FIFO is the name's own."""
    fifo = site.directory / path / f"{name}.fifo"
    os.mkfifo(fifo)
    fifo.chmod(0o666)
    answers = []
    with ThreadPoolExecutor(count) as executor:
        requests, members = [], []
        try:
            for _ in range(count):
                requests.append(executor.submit(site.get, path + name))
                members.append(int(site.expect_log("waiting ").message.split("waiting ")[1]))
            yield members, answers
        finally:
            writer = os.open(fifo, os.O_RDWR)
            answers += [request.result().text for request in requests]
            os.close(writer)
            fifo.unlink()


#: Runs when an interpreter starts; breaks it in a way while a file is there.
SITECUSTOMIZE = """
    import os, sys
    where = os.path.dirname(__file__)
    if os.path.exists(where + "/no_dispatch"):
        sys.modules["mod_python._dispatch"] = None
    if os.path.exists(where + "/no_site"):
        raise SystemExit("site-packages are broken")
    """


@contextmanager
def customized():
    """A directory for PYTHONPATH with the above; not pytest's own, which only root can search."""
    with tempfile.TemporaryDirectory(prefix="kukulkan-test-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        write_file(directory, "sitecustomize.py", SITECUSTOMIZE)
        yield directory
