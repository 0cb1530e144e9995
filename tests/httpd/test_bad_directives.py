"""Bad input: a mistake in the configuration stops `apachectl configtest` with file,
line, cause and cure."""

import re

import pytest

# Directive, what the message says about it.
WRONG = [
    ("PythonDebug Maybe", "PythonDebug.*On.*Off"),
    ("PythonDebug", "PythonDebug.*On.*Off"),
    ("PythonAutoReload 1", "PythonAutoReload.*On.*Off"),
    ("PythonEnablePdb perhaps", "PythonEnablePdb.*On.*Off"),
    ("PythonOptimize 2", "PythonOptimize.*On.*Off"),
    ("PythonInterpPerDirectory x", "PythonInterpPerDirectory.*On.*Off"),
    ("PythonInterpPerDirective x", "PythonInterpPerDirective.*On.*Off"),
    ("PythonInterpreter", "PythonInterpreter.*one argument"),
    ("PythonInterpreter a b", "PythonInterpreter.*one argument"),
    ("PythonOption", "PythonOption"),
    ("PythonOption a b c", "PythonOption"),
    ("PythonPath", "PythonPath.*one argument"),
    ("PythonPath \"'no list'\"", "PythonPath.*list"),
    ('PythonPath "1 + 1"', "PythonPath 1 [+] 1: it is no list of strings, but 2: write a Python list"),
    ('PythonPath "1 / 0"', "PythonPath 1 / 0: ZeroDivisionError: .*: write a Python list"),
    ('PythonPath "sys.exit()"', "PythonPath sys.exit.*SystemExit.*: write a Python list"),
    ('PythonPath "[1, 2]"', "PythonPath.*str"),
    ("PythonPath \"['unfinished'\"", "PythonPath"),
    ('PythonPath "no_such_name"', "PythonPath.*no_such_name"),
    ("PythonImport alone", "PythonImport.*two arguments"),
    ("PythonImport spam:: main_interpreter", "PythonImport: 'spam::'.*module::callable"),
    ("PythonImport ::eggs main_interpreter", "PythonImport: '::eggs'.*module::callable"),
    ("PythonHandler", "PythonHandler.*module"),
    ("PythonHandler | .py", "PythonHandler"),
    ("PythonHandler spam |", "PythonHandler.*ext"),
    ("PythonHandler spam | py", r"PythonHandler.*[.]"),
    ("PythonHandler ::function", "PythonHandler.*module"),
    ("PythonHandler spam::", "PythonHandler"),
    ("PythonHandler ../spam", "'../spam' is no handler.*module::object"),
    ("PythonHandler spam::eggs::bacon", "'spam::eggs::bacon' is no handler.*module::object"),
    ("PythonHandler spam::.eggs", "'spam::.eggs' is no handler.*module::object"),
    ("PythonHandler spam::eggs.", "'spam::eggs.' is no handler.*module::object"),
    ("PythonConnectionHandler spam::eggs..bacon", "is no handler.*module::object"),
    ("PythonHandlerModule", "PythonHandlerModule.*one argument"),
    ("PythonHandlerModule ../spam", "PythonHandlerModule: '../spam' is no module name"),
    ("PythonTransHandler spam | .py", "PythonTransHandler"),
    ("PythonRequestTimeout", "PythonRequestTimeout.*one argument"),
    ("PythonRequestTimeout soon", "PythonRequestTimeout: 'soon'.*seconds"),
    ("PythonRequestTimeout -1", "PythonRequestTimeout: '-1'.*seconds"),
    ("PythonRequestTimeout 5lightyears", "PythonRequestTimeout: '5lightyears'.*seconds"),
    ("PythonAllowOverride Maybe", "PythonAllowOverride.*On.*Off"),
]


@pytest.mark.only_mpm("event")
@pytest.mark.parametrize(("directive", "message"), WRONG)
def test_wrong_directive(httpd, directive, message):
    """configtest fails, naming file, line and what would be right."""
    status, text = httpd.configtest(f"# a comment\n{directive}\n")
    assert status != 0, text
    assert "line 2 of" in text and "conf/test.conf" in text
    _, _, cause = text.partition("test.conf:")
    assert re.search(message, cause.replace("\n", " ")), text


@pytest.mark.only_mpm("event")
def test_right_directives(httpd):
    """All directives with right arguments pass."""
    status, text = httpd.configtest(
        """
        PythonDebug On
        PythonAutoReload off
        PythonEnablePdb OFF
        PythonOptimize on
        PythonInterpPerDirectory On
        PythonInterpPerDirective Off
        PythonInterpreter name
        PythonOption key value
        PythonOption key
        PythonPath "sys.path + ['/x']"
        PythonImport json www.example.com
        PythonPostReadRequestHandler a
        PythonTransHandler a::b
        PythonHeaderParserHandler a.b::c.d e
        PythonInitHandler a
        PythonAccessHandler a | .py
        PythonAuthenHandler a
        PythonAuthzHandler a
        PythonTypeHandler a
        PythonFixupHandler a
        PythonHandler a b | .x .y
        PythonLogHandler a
        PythonCleanupHandler a
        PythonHandlerModule a
        PythonAllowOverride off
        PythonRequestTimeout 30
        """
    )
    assert status == 0, text
    assert text.strip().endswith("Syntax OK")


def test_wrong_directive_in_htaccess(httpd):
    """In .htaccess it is a 500 with a record that says the same."""
    site = httpd.site("PythonDebug Maybe", {"page.txt": ""})
    assert site.get("page.txt").status_code == 500
    message = site.expect_log("[.]htaccess").message
    assert "PythonDebug" in message and "On" in message


def test_wrong_path_in_htaccess(httpd):
    """A PythonPath that is no list is an error of the request there."""
    site = httpd.site(
        'SetHandler python-program\nPythonPath "1"\nPythonHandler x', {"x.py": "def handler(req): return 0\n"}
    )
    assert site.get("x").status_code == 500
    assert "PythonPath" in site.expect_log("list").message


@pytest.mark.only_mpm("event")
def test_if_module(httpd):
    """<IfModule mod_python.c> and <IfModule python_module> see the module."""
    for name in ("mod_python.c", "python_module"):
        status, _ = httpd.configtest(f"<IfModule {name}>\nNoSuchDirective\n</IfModule>")
        assert status != 0, name
