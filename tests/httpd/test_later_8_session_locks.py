"""LATER, section 8: locks of sessions that are not each other's."""

from concurrent.futures import ThreadPoolExecutor

import pytest

#: Makes sessions whose ids have the locks that req.args says, the first one from 0 on, then that
#: and the other one by turns; with each it waits for the other request.
CROSSING = """
    import itertools, secrets, threading
    from mod_python import apache, Session

    def lock_of(sid):
        number = 0
        for character in sid.encode():
            number = (number * 33 + character) % 2**32
        return number % LOCKS

    def ids(*locks):
        for lock in itertools.chain(locks[:1], itertools.cycle(locks[::-1])):
            yield next(sid for _ in range(10**6) if lock_of(sid := secrets.token_hex(16)) == lock)

    class Ids:
        def __init__(self):
            self.of = {}

        def token_hex(self, size):
            return next(self.of[threading.get_ident()])

    made = Ids()
    here = threading.Barrier(2)

    def handler(req):
        made.of[threading.get_ident()] = ids(*map(int, req.args))
        Session.secrets = made
        old = Session.STORE(req)
        here.wait(5)
        old.invalidate()
        new = Session.STORE(req)
        here.wait(5)
        req.write(f"{lock_of(old.id())} {lock_of(new.id())}")
        return apache.OK
    """


@pytest.mark.only_mpm("event")
@pytest.mark.parametrize(("store", "locks"), [("MemorySession", 31), ("FileSession", 7)])
def test_a_new_session_does_not_wait(httpd, store, locks):
    """Two requests that begin anew while they have a session locked do not wait for each other,
    though ids share a few locks: of the process, which is the only one, or of the server."""
    server = httpd("# crossing", workers=4)
    server.changed = True
    code = CROSSING.replace("STORE", store).replace("LOCKS", str(locks))
    site = server.site("SetHandler python-program\nPythonHandler crossing", {"crossing.py": code})
    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(lambda locks: site.get(f"x?{locks}").text, ("01", "10"))
        assert list(answers) == ["0 0", "1 1"]
