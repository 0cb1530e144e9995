"""Manual 6.2, the CGI handler: what a script is given, and what becomes of what it prints."""

import pytest

PYTHON = "SetHandler python-program\nPythonHandler mod_python.cgihandler"


def script(httpd, text, name="script.py", config=""):
    """A site whose directory has one script."""
    return httpd.site(f"{PYTHON}\n{config}", {name: text})


def test_hello(httpd):
    """A script as everybody's first one."""
    site = script(
        httpd,
        """
        #!/usr/bin/python3
        print("Content-Type: text/plain")
        print()
        print("Hello!")
        """,
    )
    answer = site.get("script.py")
    assert (answer.status_code, answer.text) == (200, "Hello!\n")
    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.headers["Content-Length"] == "7"
