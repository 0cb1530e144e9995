"""Apache as one process (`httpd -X`), as for a debugger: it serves, and ends cleanly."""

import signal
import subprocess

import pytest

from plugins.process import DEADLINE

HANDLER = """
    import threading
    import time

    from mod_python import apache

    def idle():
        while True:
            time.sleep(0.001)

    def handler(req):
        threading.Thread(target=idle, daemon=True).start()
        req.write("Hello!")
        return apache.OK
    """
CONFIG = "SetHandler python-program\nPythonHandler hello\nPythonPath \"sys.path + ['${root}/lib']\""
# What goes wrong at the end does not do so each time.
TIMES = 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_end(httpd, number):
    """A signal ends it while threads of Python's run, although the modules are unloaded then."""
    for _ in range(TIMES):
        server = httpd.unstarted(CONFIG, {"lib/hello.py": HANDLER})
        process = subprocess.Popen(
            server.process.command("-X"),
            env=server.process.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        server.process.wait_for_port(or_else=lambda process=process: process.poll() is not None)
        server.port = server.process.port
        try:
            assert server.get("x").text == "Hello!"
            server.process.wait_for_clients()
            process.send_signal(number)
            assert process.wait(DEADLINE) == 0
        finally:
            process.kill()
            process.wait()
