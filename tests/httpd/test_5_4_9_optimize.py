"""Manual 5.4.9, PythonOptimize."""

CODE = """
    def handler(req):
        checked = "asserted"
        try:
            assert False
            checked = "optimised"
        except AssertionError:
            pass
        req.write(f"{checked} {__debug__} {sys.flags.optimize}")
        return 0

    import sys
    """

PYTHON = "SetHandler python-program\nPythonHandler optimised"


def test_off_by_default(httpd):
    """Without it assertions hold."""
    assert httpd.site(PYTHON, {"optimised.py": CODE}).get("x").text == "asserted True 0"


def test_on(httpd):
    """On: handlers are compiled as by python -O."""
    site = httpd("PythonOptimize On").site(PYTHON, {"optimised.py": CODE})
    assert site.get("x").text == "optimised False 1"


def test_imported_modules(httpd):
    """So are the modules that they import."""
    server = httpd(
        "PythonOptimize On",
        {"lib/with_assertion.py": "try:\n    assert 0\n    ok = 1\nexcept AssertionError:\n    ok = 0\n"},
    )
    value = server.run(
        "import with_assertion\nreturn with_assertion.ok",
        config="PythonPath \"sys.path + ['${root}/lib']\"",
    )
    assert value == 1


def test_every_interpreter(httpd):
    """It holds in every interpreter."""
    server = httpd("PythonOptimize On")
    for name in ("main_interpreter", "another"):
        assert server.run("return __debug__", config=f"PythonInterpreter {name}") is False


def test_context(httpd):
    """It belongs at server level."""
    status, text = httpd.configtest("<Directory /x>\nPythonOptimize On\n</Directory>")
    assert status != 0 and "line 2 of" in text
