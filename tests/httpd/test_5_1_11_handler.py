"""Manual 5.1.11, PythonHandler."""

import pytest

CODE = "def handler(req):\n    req.write('handled ' + req.phase)\n    return 0\n"


def test_in_htaccess(httpd):
    """It may stand in .htaccess."""
    site = httpd.site("SetHandler python-program\nPythonHandler content", {"content.py": CODE})
    assert site.get("x").text == "handled PythonHandler"


@pytest.mark.parametrize(
    "scope",
    [
        "{}",
        '<Directory "${{htdocs}}">\n{}\n</Directory>',
        "<Location />\n{}\n</Location>",
        "<VirtualHost *:${{port}}>\nDocumentRoot ${{htdocs}}\n{}\n</VirtualHost>",
    ],
    ids=["server", "directory", "location", "virtual host"],
)
def test_in_every_context(httpd, scope):
    """It may stand in the server, a virtual host, a directory, a location."""
    directives = "SetHandler python-program\nPythonPath \"sys.path + ['${root}/lib']\"\nPythonHandler content"
    server = httpd(scope.format(directives), {"lib/content.py": CODE})
    assert server.get("x").text == "handled PythonHandler"


def test_directory_request(httpd):
    """SetHandler covers the directory itself as well."""
    site = httpd.site("SetHandler python-program\nPythonHandler content", {"content.py": CODE})
    assert site.get("").text == "handled PythonHandler"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "SPAM"])
def test_every_method(httpd, method):
    """It is called for every method."""
    site = httpd.site("SetHandler python-program\nPythonHandler content", {"content.py": CODE})
    assert site.request(method, "x").text == "handled PythonHandler"
