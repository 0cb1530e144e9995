"""Manual 5.4.10, PythonOption."""

import pytest

ALL = "return dict(req.get_options())"


def test_key_and_value(httpd):
    """An option is a pair in get_options()."""
    assert httpd.run(ALL, config='PythonOption spam "eggs and bacon"') == {"spam": "eggs and bacon"}


def test_inner_scopes_override(httpd):
    """Inner scopes override, the rest merges: server, host, directory, .htaccess."""
    config = """
        PythonOption a server
        PythonOption b server
        PythonOption c server
        PythonOption d server
        <VirtualHost *:${port}>
            ServerName one.example
            DocumentRoot "${htdocs}"
            PythonOption b host
            PythonOption c host
            PythonOption d host
        </VirtualHost>
        <Directory "${htdocs}">
            PythonOption c directory
            PythonOption d directory
        </Directory>
        """
    options = httpd(config).run(ALL, config="PythonOption d htaccess", headers={"Host": "one.example"})
    assert options == {"a": "server", "b": "host", "c": "directory", "d": "htaccess"}


@pytest.mark.parametrize("removal", ["PythonOption spam", 'PythonOption spam ""'])
def test_without_value_it_removes(httpd, removal):
    """A missing or empty value removes the inherited key."""
    server = httpd("PythonOption spam eggs\nPythonOption other 1")
    assert server.run(ALL, config=removal) == {"other": "1"}
    assert server.run(ALL) == {"spam": "eggs", "other": "1"}


def test_set_again_after_removal(httpd):
    """A key removed can be set again further in."""
    config = """
        PythonOption spam eggs
        <Directory "${htdocs}">
            PythonOption spam
        </Directory>
        """
    assert httpd(config).run(ALL, config="PythonOption spam bacon") == {"spam": "bacon"}


def test_last_one_wins(httpd):
    """Of two in one scope the last holds."""
    assert httpd.run(ALL, config="PythonOption spam 1\nPythonOption spam 2") == {"spam": "2"}


def test_changes_last_for_the_request(httpd):
    """What a handler stores there is gone at the next request."""
    server = httpd("PythonOption kept 1")
    server.run("req.get_options()['stored'] = 'x'")
    assert server.run(ALL) == {"kept": "1"}
