"""`make test-asan` would see what it looks for: the sanitizers are in Apache's children, and a
report fails a test."""

import pytest

from plugins.config import Settings
from plugins.httpd import Httpd
from plugins.installation import SANITIZED

pytestmark = pytest.mark.skipif(not SANITIZED, reason="it is about the sanitizers")

CONFIG = """
    SetHandler python-program
    PythonPath "['${root}/lib'] + sys.path"
    PythonHandler faults
    """

HANDLER = """
    import ctypes, os, signal
    from mod_python import apache

    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]

    def handler(req):
        block = libc.malloc(1234)
        if req.args == "freed":
            libc.free(block)
            ctypes.string_at(block, 100)
        elif req.args == "beyond":
            ctypes.string_at(block, 2000)
        elif req.args == "interrupted":
            libc.free(block)
            kept = [text * 10 for text in dir(os)]
            os.kill(os.getpid(), signal.SIGTERM)
            while True:
                kept.append(str(kept.pop()))
        return apache.OK
    """


def problems_of(mpm, query):
    """What went wrong with a server of one request."""
    server = Httpd(Settings(CONFIG, mpm), {"lib/faults.py": HANDLER})
    server.start()
    with server.connect() as connection:
        connection.send(f"GET /?{query} HTTP/1.0\r\n\r\n".encode())
        connection.read_all()
    return server.stop()


@pytest.mark.parametrize(
    ("what", "report"), [("freed", "heap-use-after-free"), ("beyond", "heap-buffer-overflow")]
)
def test_memory_that_is_not_the_programs(mpm, what, report):
    """Memory that was freed, or was never asked for, is read: that is reported."""
    problems = problems_of(mpm, what)
    assert any(f"AddressSanitizer: {report}" in problem for problem in problems), problems


def test_leak(mpm):
    """Memory that nothing points to any more is reported when the child ends."""
    problems = problems_of(mpm, "leak")
    assert any("LeakSanitizer" in text and "1234 byte(s)" in text for text in problems), problems


@pytest.mark.only_mpm("prefork")
def test_end_in_the_midst_of_a_handler(mpm):
    """What an interrupted handler has is no leak."""
    assert problems_of(mpm, "interrupted") == []
