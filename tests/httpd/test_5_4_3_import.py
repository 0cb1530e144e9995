"""Manual 5.4.3, PythonImport."""

CONFIG = """
    PythonPath "sys.path + ['${root}/lib']"
    PythonImport early www.example.com
    """

EARLY = """
    from mod_python import apache

    state = [apache.interpreter, apache.main_server.server_hostname]
    apache.log_error("imported in " + apache.interpreter, apache.APLOG_NOTICE)

    def call():
        state.append("called")
    """

STATE = """
    import sys
    return "early" in sys.modules and sys.modules["early"].state
    """


def test_imported_at_child_start(httpd):
    """The module is imported when a child starts, before any request."""
    server = httpd(CONFIG, {"lib/early.py": EARLY})
    server.expect_log("imported in www.example.com")
    assert server.run(STATE) == ["www.example.com", "www.example.com"]
    server.changed = True


def test_once_for_each_child(httpd):
    """Every child imports it, once."""
    server = httpd(CONFIG + "# again\n", {"lib/early.py": EARLY})
    server.expect_log("imported in")
    server.get("x")
    server.graceful()
    server.expect_log("imported in")
    server.get("x")
    assert not server.error_log.find("imported in")


def test_only_in_the_interpreter_named(httpd):
    """Another interpreter does not have it."""
    server = httpd(CONFIG.replace("www.example.com", "elsewhere"), {"lib/early.py": EARLY})
    assert server.run(STATE) is False
    assert server.run(STATE, config="PythonInterpreter elsewhere")[0] == "elsewhere"


def test_callable(httpd):
    """module::callable is imported and called without arguments."""
    config = CONFIG.replace("early", "early::call")
    assert httpd(config, {"lib/early.py": EARLY}).run(STATE)[-1] == "called"


def test_class(httpd):
    """A class is a callable like any other: called, and without arguments."""
    code = (
        EARLY
        + "\n    class Starter:\n        def __init__(self, *args):\n            state.append(list(args))\n"
    )
    config = CONFIG.replace("early", "early::Starter")
    assert httpd(config, {"lib/early.py": code}).run(STATE)[-1] == []


def test_in_order(httpd):
    """Several are imported in the order of the configuration."""
    config = """
        PythonPath "sys.path + ['${root}/lib']"
        PythonImport order_b www.example.com
        PythonImport order_a www.example.com
        """
    code = "import order_log\norder_log.names.append(__name__)\n"
    files = {"lib/order_log.py": "names = []\n", "lib/order_a.py": code, "lib/order_b.py": code}
    names = httpd(config, files).run("import order_log\nreturn order_log.names")
    assert names == ["order_b", "order_a"]


def test_errors_are_only_logged(httpd):
    """A module that fails is logged; the child lives and the others are imported."""
    config = """
        PythonPath "sys.path + ['${root}/lib']"
        PythonImport no_such_module www.example.com
        PythonImport raising www.example.com
        PythonImport early::missing www.example.com
        PythonImport early::call www.example.com
        """
    server = httpd(config, {"lib/early.py": EARLY, "lib/raising.py": "1 / 0\n"})
    assert server.run(STATE)[-1] == "called"
    server.expect_log("KK0106: PythonImport no_such_module.*ModuleNotFoundError")
    server.expect_log("KK0106: PythonImport raising.*ZeroDivisionError")
    server.expect_log("KK0106: PythonImport early::missing.*contains no 'missing'")
    server.changed = True  # the errors come once


def test_from_the_standard_library(httpd):
    """Any importable module will do."""
    server = httpd("PythonImport json.tool www.example.com")
    assert server.run("import sys\nreturn 'json.tool' in sys.modules")


def test_system_exit(httpd):
    """A module that calls sys.exit() does not end the child."""
    server = httpd(CONFIG, {"lib/early.py": "import sys\nsys.exit(3)\n"})
    assert server.run("return 1") == 1
    server.expect_log("KK0106: PythonImport early.*SystemExit")
    server.changed = True


def test_context(httpd):
    """It belongs at server level, with two arguments."""
    status, text = httpd.configtest("<Directory /x>\nPythonImport a b\n</Directory>")
    assert status != 0 and "line 2 of" in text
    status, text = httpd.configtest("PythonImport alone")
    assert status != 0 and "line 1 of" in text and "PythonImport" in text
