"""Sites that are one WSGI application, for the tests of `mod_python.wsgi`."""

import textwrap

CONFIG = """
    SetHandler python-program
    PythonHandler mod_python.wsgi
    PythonOption mod_python.wsgi.application app
    """

# As PEP 3333 has it, checked by the standard library's own idea of it.
VALIDATED = """
from wsgiref.validate import validator
application = validator(application)
"""


def site_of(httpd, code, *, validated=False, config="", **files):
    """A site whose app.py has this code."""
    text = textwrap.dedent(code) + (VALIDATED if validated else "")
    return httpd.site(textwrap.dedent(CONFIG + config), {"app.py": text, **files})


def answer_of(httpd, body, *, validated=False, config="", path="x", **options):
    """The response of an application whose body this is; `ok` begins a plain one."""
    lines = "\n".join("    " + line for line in textwrap.dedent(body).strip().splitlines())
    code = f"def application(environ, start_response):\n{lines}\n"
    code = "def ok(start_response, *headers):\n" + (
        "    return start_response('200 OK', [('Content-Type', 'text/plain'), *headers])\n" + code
    )
    site = site_of(httpd, code, validated=validated, config=config)
    method = options.pop("method", "GET")
    return site.request(method, path, **options)
