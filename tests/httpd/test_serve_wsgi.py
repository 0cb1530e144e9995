"""`kukulkan serve` finds out that it is given a WSGI application."""

import pytest

from .test_serve import public_directory, run, serving

WSGI = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("wsgi %(SCRIPT_NAME)s %(PATH_INFO)s" % environ).encode()]
"""
FLASK = """
from flask import Flask, request
app = Flask(__name__)

@app.route("/hello/<name>", methods=["GET", "POST"])
def hello(name):
    return f"flask {request.method} {name} {request.form.get('x', '')}"
"""
HANDLER = (
    WSGI
    + """
from mod_python import apache
def handler(req):
    req.write("handler")
    return apache.OK
"""
)


@pytest.fixture(scope="module")
def modules():
    """A directory of modules."""
    with public_directory() as root:
        for name, text in {"plain": WSGI, "flasky": FLASK, "both": HANDLER}.items():
            (root / f"{name}.py").write_text(text)
        yield root


@pytest.mark.parametrize("path", ["plain:application", "plain.py:application", "plain", "plain.py"])
def test_an_application(modules, path):
    """By its name, or by what its module defines; every URL is its own."""
    with serving(path, cwd=modules) as served:
        assert served.get("a%20b/c?d").text == "wsgi  /a b/c"
        assert served.get("").text == "wsgi  /"
        assert "Serving plain::application at " in served.announced


def test_a_flask_application(modules):
    """`app` will do."""
    with serving("flasky.py", cwd=modules) as served:
        assert served.get("hello/you").text == "flask GET you "
        assert served.get("elsewhere").status_code == 404


def test_a_module_with_both(modules):
    """A handler comes first; one colon says otherwise."""
    with serving("both.py", cwd=modules) as served:
        assert served.get("x").text == "handler"
    with serving("both:application", cwd=modules) as served:
        assert served.get("x").text == "wsgi  /x"


def test_reload(modules):
    """A changed application is loaded again."""
    (modules / "changing.py").write_text(WSGI)
    with serving("changing:application", cwd=modules) as served:
        assert served.get("x").text.startswith("wsgi")
        (modules / "changing.py").write_text(WSGI.replace('"wsgi ', '"changed '))
        assert served.get("x").text.startswith("changed")


def test_an_application_that_is_not_there(modules):
    """The log on the terminal says so."""
    with serving("plain:nothing", cwd=modules) as served:
        assert served.get("x").status_code == 404
        _, errors = served.end()
        assert "KK0150" in errors


def test_config_only(modules):
    """The configuration is one that can be copied."""
    done = run("serve", "--config-only", "plain:application", cwd=modules)
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "PythonHandler mod_python.wsgi" in lines
    assert "PythonOption mod_python.wsgi.application plain::application" in lines
