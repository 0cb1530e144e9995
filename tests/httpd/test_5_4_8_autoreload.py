"""Manual 5.4.8, PythonAutoReload."""

import os

PYTHON = "SetHandler python-program\nPythonHandler reloaded\n"


def version(n):
    """A module that answers its version, always of the same length."""
    return f"def handler(req):\n    req.write('version {n}')\n    return 0\n"


def test_changed_file(httpd):
    """A changed file is executed anew, also when the change comes within the same
    second and does not change the size."""
    site = httpd.site(PYTHON, {"reloaded.py": version(0)})
    answers = []
    for n in range(1, 6):
        answers.append(site.get("x").text)
        site.write("reloaded.py", version(n))
    assert answers == [f"version {n}" for n in range(5)]


def test_older_file(httpd):
    """A file that has become older has changed too."""
    site = httpd.site(PYTHON, {"reloaded.py": version(1)})
    assert site.get("x").text == "version 1"
    path = site.write("reloaded.py", version(2))
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert site.get("x").text == "version 2"


def test_unchanged_file(httpd):
    """A file that has not changed is not executed again."""
    site = httpd.site(
        PYTHON,
        {
            "reloaded.py": """
                calls = []

                def handler(req):
                    calls.append(1)
                    req.write(str(len(calls)))
                    return 0
                """
        },
    )
    assert [site.get("x").text for _ in range(3)] == ["1", "2", "3"]


def test_new_module_starts_afresh(httpd):
    """The new module has nothing of the old one."""
    site = httpd.site(
        PYTHON,
        {
            "reloaded.py": """
                leftover = 1

                def handler(req):
                    req.write(str("leftover" in globals()))
                    return 0
                """
        },
    )
    assert site.get("x").text == "True"
    site.write(
        "reloaded.py",
        "def handler(req):\n    req.write(str('leftover' in globals()))\n    return 0\n",
    )
    assert site.get("x").text == "False"


def test_failing_reload(httpd):
    """A reload that fails reports its error and is tried again at the next request."""
    site = httpd.site(PYTHON, {"reloaded.py": version(1)})
    assert site.get("x").text == "version 1"
    site.write("reloaded.py", "def handler(req:\n")
    assert site.get("x").status_code == 500
    assert site.get("x").status_code == 500
    site.expect_log("KK0104: PythonHandler reloaded.*SyntaxError", times=2)
    site.write("reloaded.py", version(2))
    assert site.get("x").text == "version 2"


def test_off(httpd):
    """Off: the file is not looked at again."""
    site = httpd.site(PYTHON + "PythonAutoReload Off", {"reloaded.py": version(1)})
    assert site.get("x").text == "version 1"
    site.write("reloaded.py", version(2))
    assert site.get("x").text == "version 1"


def test_file_that_is_gone(httpd):
    """When the file is gone the module in memory still serves."""
    site = httpd.site(PYTHON, {"reloaded.py": version(1)})
    assert site.get("x").text == "version 1"
    (site.directory / "reloaded.py").unlink()
    assert site.get("x").text == "version 1"
    site.expect_log(r"KK0210: module 'reloaded.*': its file .*/reloaded.py has gone")


def test_running_requests_keep_the_old_module(httpd):
    """A request that runs while the module is replaced goes on with the old one."""
    site = httpd.site(
        PYTHON,
        {
            "reloaded.py": """
                import os, time
                word = "old"

                def handler(req):
                    if req.args == "wait":
                        req.write("begun ")
                        end = time.monotonic() + 10
                        while not os.path.exists(os.path.dirname(__file__) + "/go"):
                            assert time.monotonic() < end
                            time.sleep(0.005)
                    req.write(word)
                    return 0
                """
        },
    )
    site.server.changed = True
    with site.connect() as connection:
        connection.send(f"GET {site.prefix}x?wait HTTP/1.0\r\n\r\n".encode())
        connection.read_until(b"begun ")
        site.write("reloaded.py", version(2))
        if site.server.process.settings.mpm == "event":
            assert site.get("x").text == "version 2"
        site.write("go", "")
        assert connection.read_all() == b"old"
    assert site.get("x").text == "version 2"
