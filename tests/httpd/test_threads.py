"""Many requests at once: 16 threads in one interpreter, and several interpreters."""

from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.only_mpm("event")

PYTHON = "SetHandler python-program\nPythonHandler busy"


def many(call, count, threads=16):
    """The results of `call(n)` for n below count, from 16 client threads."""
    with ThreadPoolExecutor(threads) as executor:
        return list(executor.map(call, range(count)))


def test_sixteen_requests_at_once(httpd):
    """16 handlers of one interpreter wait for each other, so they run at once."""
    site = httpd.site(
        PYTHON,
        {
            "busy.py": """
                import threading

                barrier = threading.Barrier(16, timeout=20)

                def handler(req):
                    barrier.wait()
                    req.write("met")
                    return 0
                """
        },
    )
    assert many(lambda n: site.get("x").text, 16) == ["met"] * 16


def test_requests_do_not_mix(httpd):
    """Each thread has its own request: attributes, tables and results stay apart."""
    site = httpd.site(
        PYTHON + "\nPythonFixupHandler busy",
        {
            "busy.py": """
                import time

                def fixuphandler(req):
                    req.number = req.args
                    req.notes["number"] = req.args
                    return 0

                def handler(req):
                    time.sleep(0.002)
                    body = req.read().decode()
                    req.headers_out["X-Number"] = req.number
                    req.write(f"{req.number} {req.notes['number']} {req.args} {body}")
                    return 0
                """
        },
    )

    def call(n):
        answer = site.post(f"x?{n}", content=str(n))
        return answer.text == f"{n} {n} {n} {n}" and answer.headers["X-Number"] == str(n)

    assert all(many(call, 320))


def test_one_import_at_a_time(httpd):
    """A module that 16 first requests want is executed once."""
    site = httpd.site(
        PYTHON,
        {
            "busy.py": """
                import time, sys
                sys.busy_imports = getattr(sys, "busy_imports", 0) + 1
                time.sleep(0.2)

                def handler(req):
                    req.write(str(sys.busy_imports))
                    return 0
                """
        },
    )
    assert set(many(lambda n: site.get("x").text, 16)) == {"1"}


def test_interpreters_made_at_once(httpd):
    """16 threads ask for 8 new interpreters at the same time."""
    site = httpd("# interpreters").site(
        files={f"{n}/.htaccess": f"{PYTHON}\nPythonInterpreter made{n}\n" for n in range(8)}
        | {
            f"{n}/busy.py": "def handler(req):\n    req.write(req.interpreter)\n    return 0\n"
            for n in range(8)
        }
    )
    answers = many(lambda n: site.get(f"{n % 8}/x").text, 64)
    assert answers == [f"made{n % 8}" for n in range(64)]
    site.server.changed = True


def test_reload_under_load(httpd):
    """While a module is rewritten, requests get one version or the next, whole."""

    def version(n):
        return f"first = {n}\nimport time\ntime.sleep(0.001)\nlast = {n}\ndef handler(req):\n    req.write(f'{{first}} {{last}}')\n    return 0\n"

    site = httpd.site(PYTHON, {"busy.py": version(0)})

    def call(n):
        if n % 20 == 10:
            new = site.write(f"busy{n}.tmp", version(n))
            new.rename(site.directory / "busy.py")
            return True
        first, last = site.get("x").text.split()
        return first == last

    assert all(many(call, 400))


def test_threads_of_their_own(httpd):
    """Handlers may start threads, which may use the request while it lasts."""
    assert httpd.run(
        """
        import threading
        seen = []
        threads = [
            threading.Thread(target=lambda: seen.append(req.headers_in["Host"])) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return len(seen), len(set(seen))
        """
    ) == [8, 1]


def test_errors_in_many_threads(httpd):
    """Errors in 16 threads are answered and logged one by one."""
    site = httpd.site(PYTHON, {"busy.py": "def handler(req):\n    raise ValueError(req.args)\n"})
    assert set(many(lambda n: site.get(f"x?{n}").status_code, 64)) == {500}
    site.expect_log("KK0101: PythonHandler busy.*ValueError: [0-9]+ ", times=64)


def test_graceful_restart_under_load(httpd):
    """A graceful restart loses no request."""
    server = httpd("# graceful under load")
    site = server.site(PYTHON, {"busy.py": "def handler(req):\n    req.write('x')\n    return 0\n"})

    def call(n):
        if n == 100:
            server.graceful()
            return "x"
        return site.get("x").text

    assert set(many(call, 400)) == {"x"}
