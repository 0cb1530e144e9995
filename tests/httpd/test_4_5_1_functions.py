"""Manual 4.5.1, the functions of mod_python.apache."""

import pytest

LEVELS = {
    "APLOG_EMERG": "emerg",
    "APLOG_ALERT": "alert",
    "APLOG_CRIT": "crit",
    "APLOG_ERR": "error",
    "APLOG_WARNING": "warn",
    "APLOG_NOTICE": "notice",
    "APLOG_INFO": "info",
    "APLOG_DEBUG": "debug",
}


@pytest.mark.parametrize(("name", "level"), LEVELS.items())
def test_log_error_levels(httpd, name, level):
    """log_error writes a record of the level given."""
    server = httpd("LogLevel debug")
    server.run(f"apache.log_error('level of {name}.', apache.{name}, req.server)")
    assert server.expect_log(f"level of {name}[.]").level == level


def test_log_level_without_server(httpd):
    """Without a server LogLevel does not apply: what is below warn is not logged."""
    server = httpd("LogLevel debug")
    server.run("apache.log_error('too low', apache.APLOG_INFO)\napache.log_error('high enough')")
    server.expect_log("high enough")
    assert not server.error_log.find("too low")


def test_log_error_default_level(httpd):
    """Without a level it is an error."""
    server = httpd()
    server.run("apache.log_error('no level given')")
    assert server.expect_log("no level given").level == "error"


def test_log_error_noerrno(httpd):
    """APLOG_NOERRNO, under both spellings, may be added to a level."""
    server = httpd()
    server.run("apache.log_error('first', apache.APLOG_WARNING | apache.APLOG_NOERRNO)")
    server.run("apache.log_error('second', apache.APLOG_WARNING | apache.APLOG_NOERNO)")
    assert server.expect_log("first").level == "warn"
    assert server.expect_log("second").level == "warn"


def test_log_error_with_server(httpd):
    """With a server the record goes to that server's log, under its LogLevel."""
    config = """
        <VirtualHost *:${port}>
            ServerName logging.example
            DocumentRoot "${htdocs}"
            ErrorLog logs/vhost_log
            LogLevel warn
        </VirtualHost>
        """
    server = httpd(config)
    server.run(
        """
        apache.log_error("to the host", apache.APLOG_WARNING, req.server)
        apache.log_error("too low", apache.APLOG_INFO, req.server)
        apache.log_error("to the default log", apache.APLOG_WARNING)
        """,
        headers={"Host": "logging.example"},
    )
    server.expect_log("to the default log")
    text = (server.root / "logs" / "vhost_log").read_text()
    assert "to the host" in text
    assert "too low" not in text
    assert "to the default log" not in text


def test_log_error_text(httpd):
    """A message is one record: line breaks and percent signs do no harm."""
    server = httpd()
    server.run(r"apache.log_error('100%s\nsecond line', apache.APLOG_NOTICE)")
    assert "second line" in server.expect_log("100%s").message


def test_log_error_wrong_arguments(httpd):
    """No message, a level that is no int, a server that is none."""
    assert (
        httpd.run(
            """
        names = []
        for arguments in [(), ("x", "high"), ("x", 3, req)]:
            try:
                apache.log_error(*arguments)
            except TypeError as error:
                names.append(type(error).__name__)
        return names
        """
        )
        == ["TypeError"] * 3
    )


def test_allow_methods(httpd):
    """allow_methods makes the bitmask of M_* constants."""
    assert httpd.run("return apache.allow_methods(apache.M_GET, apache.M_POST)") == 0b101
    assert httpd.run("return apache.allow_methods()") == 0


def test_config_tree(httpd):
    """config_tree gives the server's directives as nested lists, a copy."""
    config = """
        ServerAdmin tree@example.com
        <Directory "${htdocs}/tree">
            Options None
        </Directory>
        """
    server = httpd(config)
    tree = server.run("return apache.config_tree()")
    assert "ServerAdmin" in str(tree) and "tree@example.com" in str(tree)
    assert "Options" in str(tree)
    assert isinstance(tree, list)
    assert server.run(
        """
        apache.config_tree().clear()
        return len(apache.config_tree()) > 0
        """
    )


def test_config_tree_leaves_out_htaccess(httpd):
    """Directives of .htaccess files are not in the tree."""
    assert "PythonOption" not in str(
        httpd.run("return apache.config_tree()", config="PythonOption in htaccess")
    )


def test_server_root(httpd):
    """server_root is ServerRoot."""
    server = httpd()
    assert server.run("return apache.server_root()") == str(server.root)


def test_make_table(httpd):
    """make_table is the old name of table."""
    assert httpd.run(
        """
        table = apache.make_table()
        table["spam"] = "eggs"
        return [str(type(table)), dict(table)]
        """
    ) == ["<class 'mp_table'>", {"spam": "eggs"}]


def test_interpreter_and_main_server(httpd):
    """apache.interpreter and apache.main_server."""
    assert httpd.run("return [apache.interpreter, str(type(apache.main_server))]") == [
        "www.example.com",
        "<class 'mp_server'>",
    ]
    assert httpd.run("return apache.main_server.server_hostname") == "www.example.com"


def test_exists_config_define(httpd):
    """exists_config_define tells what -D named."""
    server = httpd(defines=("SPAM",))
    code = "return [apache.exists_config_define(name) for name in ('SPAM', 'EGGS')]"
    assert server.run(code) == [True, False]


def test_mpm_query(httpd, mpm):
    """mpm_query answers what the MPM is."""
    threaded, forked = httpd.run(
        "return [apache.mpm_query(apache.AP_MPMQ_IS_THREADED), apache.mpm_query(apache.AP_MPMQ_IS_FORKED)]"
    )
    assert bool(threaded) == (mpm == "event")
    assert forked
    assert (
        httpd.run(
            """
        try:
            apache.mpm_query("threads")
        except TypeError:
            return "refused"
        """
        )
        == "refused"
    )


def test_resolve_object(httpd):
    """resolve_object walks attributes and instantiates classes on the way."""
    assert httpd.run(
        """
        import types
        module = types.ModuleType("spam")
        class Eggs:
            def __init__(self, argument):
                self.argument = argument
        module.Eggs = Eggs
        return [
            apache.resolve_object(module, "Eggs.argument", "given"),
            apache.resolve_object(module, "none", silent=1),
        ]
        """
    ) == ["given", None]


def test_resolve_object_missing(httpd):
    """A name that is not there is an AttributeError that names file and object."""
    text = httpd.run(
        """
        import json
        try:
            apache.resolve_object(json, "no.such")
        except AttributeError as error:
            return str(error)
        """
    )
    assert text.startswith("module '") and text.endswith("contains no 'no.such'")
