"""Sites with one CGI script, for tests."""

PYTHON = "SetHandler python-program\nPythonHandler mod_python.cgihandler\n"


def script(httpd, text, name="script.py", config=""):
    """A site whose directory has one script."""
    return httpd.site(PYTHON + config, {name: text})


def printing(httpd, expression, path="script.py", **options):
    """What a script prints for an expression."""
    site = script(
        httpd,
        f'import os, sys\nprint("Content-Type: text/plain; charset=utf-8\\n")\nprint({expression}, end="")\n',
    )
    method = options.pop("method", "GET")
    answer = site.request(method, path, **options)
    assert answer.status_code == 200, answer.text
    return answer.text


def responding(httpd, header, body="body", name="script.py", **options):
    """The response to a script that prints this header and body."""
    text = f"import sys\nsys.stdout.write({header + body!r})\n"
    return script(httpd, text, name).request(options.pop("method", "GET"), name, **options)
