"""Manual 4.1, Multiple Interpreters."""

import os

import pytest

TELL = """
    from mod_python import apache

    def handler(req):
        req.write(req.interpreter)
        return apache.OK
    """

COUNT = """
    from mod_python import apache

    calls = []

    def handler(req):
        calls.append(req)
        req.write(f"{req.interpreter} {len(calls)}")
        return apache.OK
    """

VHOSTS = """
    <VirtualHost *:${port}>
        ServerName one.example
        DocumentRoot "${htdocs}"
    </VirtualHost>
    <VirtualHost *:${port}>
        ServerName two.example
        ServerAlias other.example
        DocumentRoot "${htdocs}"
    </VirtualHost>
    <Location />
        SetHandler python-program
        PythonPath "sys.path + ['${root}/lib']"
        PythonHandler count
    </Location>
    """


def test_named_after_the_server(httpd):
    """By default the interpreter has the name of the server."""
    assert httpd.run("return req.interpreter") == "www.example.com"


def test_one_for_each_virtual_host(httpd):
    """Virtual hosts have interpreters of their own, with modules of their own; an
    alias shares its host's."""
    server = httpd(VHOSTS, {"lib/count.py": COUNT})
    server.changed = True  # it counts

    def count(host):
        return server.get("x", headers={"Host": host}).text

    assert count("one.example") == "one.example 1"
    assert count("one.example") == "one.example 2"
    assert count("two.example") == "two.example 1"
    assert count("other.example") == "two.example 2"


def test_reused_for_later_requests(httpd):
    """An interpreter, once created, stays: its modules keep their state."""
    site = httpd.site("SetHandler python-program\nPythonHandler count", {"count.py": COUNT})
    answers = [site.get("x").text for _ in range(3)]
    assert answers == [f"www.example.com {n}" for n in (1, 2, 3)]


def test_main_interpreter_by_name(httpd):
    """main_interpreter names the main one, which is interpreter 0 of the process."""
    value = httpd.run(
        """
        import threading
        try:
            import _interpreters
        except ImportError:
            import _xxsubinterpreters as _interpreters
        current = _interpreters.get_current()
        main = _interpreters.get_main()
        return [req.interpreter, current == main]
        """,
        config="PythonInterpreter main_interpreter",
    )
    assert value == ["main_interpreter", True]


def test_default_is_not_the_main_one(httpd):
    """The interpreter named after the server is a subinterpreter."""
    assert httpd.run(
        """
        try:
            import _interpreters
        except ImportError:
            import _xxsubinterpreters as _interpreters
        return _interpreters.get_current() != _interpreters.get_main()
        """
    )


def test_namespaces_are_separate(httpd):
    """What one interpreter changes in a module, another does not see."""
    set_it = "import json\njson.changed = True\nreturn req.interpreter"
    ask = "import json\nreturn hasattr(json, 'changed')"
    assert httpd.run(set_it, config="PythonInterpreter left") == "left"
    assert httpd.run(ask, config="PythonInterpreter left") is True
    assert httpd.run(ask, config="PythonInterpreter right") is False


def test_any_string_is_a_name(httpd):
    """The name may be any string."""
    site = httpd.site(
        'SetHandler python-program\nPythonHandler tell\nPythonInterpreter "spam & eggs/ü"',
        {"tell.py": TELL},
    )
    assert site.get("x").text == "spam & eggs/ü"


def test_many_interpreters(httpd):
    """A process can have many of them, each with its own modules."""
    names = [f"many{n}" for n in range(12)]
    for name in names:
        assert httpd.run("return req.interpreter", config=f"PythonInterpreter {name}") == name


@pytest.mark.only_mpm("event")
def test_thread_state_is_kept(httpd):
    """threading.local keeps its values between the requests that one worker thread
    serves in one interpreter."""
    files = {
        "lib/local.py": """
            import threading
            from mod_python import apache

            local = threading.local()

            def handler(req):
                local.count = getattr(local, "count", 0) + 1
                req.write(str(local.count))
                return apache.OK
            """
    }
    config = """
        SetHandler python-program
        PythonPath "sys.path + ['${root}/lib']"
        PythonHandler local
        """
    server = httpd(config, files, workers=1)
    assert [server.get("x").text for _ in range(3)] == ["1", "2", "3"]


def test_interpreter_in_every_phase(httpd):
    """One request keeps its interpreter through its phases."""
    site = httpd.site(
        """
        SetHandler python-program
        PythonInterpreter steady
        PythonFixupHandler steady::note
        PythonHandler steady
        """,
        {
            "steady.py": """
                from mod_python import apache

                def note(req):
                    req.seen = req.interpreter
                    return apache.OK

                def handler(req):
                    req.write(req.seen + " " + req.interpreter)
                    return apache.OK
                """
        },
    )
    assert site.get("x").text == "steady steady"


def test_created_in_the_child_only(httpd):
    """The handlers run in a child process, as the unprivileged user."""
    server = httpd()
    pid, uid = server.run("import os\nreturn [os.getpid(), os.getuid()]")
    assert pid in server.child_pids()
    assert uid != 0 or os.getuid() != 0
