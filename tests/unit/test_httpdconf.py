"""Configurations as Python objects (LATER, section 14)."""

import re
import runpy
from pathlib import Path

import pytest

CONFIG_C = Path(__file__).parents[2] / "core" / "config.c"


@pytest.fixture
def conf(own):
    return own("httpdconf")


@pytest.fixture
def everything(conf):
    """An object with one of each kind."""
    return conf.Container(
        conf.Comment("one\n\ntwo"),
        conf.Directory(
            "C:\\x y",
            conf.SetHandler("mod_python"),
            conf.IfModule("m.c", conf.Files("*.py", conf.PythonInterpPerDirective())),
            conf.LogFormat('"%h \\"%r\\""'),
        ),
        conf.Container(conf.Listen("80"), only_if="1 > 2"),
        conf.Container(conf.Listen("81"), only_if="mod_python.version.LIBEXECDIR"),
        conf.ContainerTag("Limit", "GET", [conf.Require("user x")]),
        conf.ContainerTag("IfDefine", "x", []),
        conf.Directive("A", "b\\c", flipslash=0),
        conf.Directive("A", "b\\c"),
    )


def test_text(everything):
    """str() is configuration, contents two spaces in; what is only_if something false is absent."""
    assert str(everything) == (
        "# one\n#\n# two\n"
        "<Directory C:/x y>\n"
        "  SetHandler mod_python\n"
        "  <IfModule m.c>\n"
        "    <Files *.py>\n"
        "      PythonInterpPerDirective Off\n"
        "    </Files>\n"
        "  </IfModule>\n"
        '  LogFormat "%h \\"%r\\""\n'
        "</Directory>\n"
        "Listen 81\n"
        "<Limit GET>\n  Require user x\n</Limit>\n"
        "<IfDefine x>\n</IfDefine>\n"
        "A b\\c\n"
        "A b/c\n"
    )


def test_repr_is_the_python_that_makes_it(conf, everything):
    """eval() of repr() is the same again; it is indented."""
    again = eval(repr(everything), vars(conf).copy())
    assert str(again) == str(everything)
    assert repr(again) == repr(everything)
    assert "\n        SetHandler('mod_python'),\n" in repr(everything)


TAGS = "Directory Files IfModule Location VirtualHost"
DIRECTIVES = """
    AddHandler AddOutputFilter AddType AuthBasicAuthoritative AuthBasicProvider AuthName AuthType CustomLog
    DirectoryIndex DocumentRoot ErrorLog KeepAliveTimeout Listen LoadModule LockFile LogFormat LogLevel
    MaxClients MaxConnectionsPerChild MaxRequestsPerChild MaxSpareServers MaxSpareThreads MaxThreadsPerChild
    MinSpareThreads Mutex NameVirtualHost NumServers Options PidFile Require ServerAdmin ServerName ServerPath
    ServerRoot SetHandler StartServers StartThreads ThreadsPerChild Timeout TypesConfig
"""


def test_every_name(conf):
    """Each directive and section has a class of its name, which writes that; backslashes are
    those of paths, but for LogFormat and PythonPath."""
    for name in TAGS.split():
        tag = getattr(conf, name)("a\\b", conf.Listen("80"))
        assert str(tag) == f"<{name} a/b>\n  Listen 80\n</{name}>\n"
        assert isinstance(tag, conf.ContainerTag)
    for name in [*DIRECTIVES.split(), *(name for name in conf.__all__ if name.startswith("Python"))]:
        directive = getattr(conf, name)("a\\b")
        path = "a\\b" if name in ("LogFormat", "PythonPath") else "a/b"
        assert str(directive) == f"{name} {path}\n"
        assert repr(directive) == f"{name}('a\\\\b')"
        assert isinstance(directive, conf.Directive)


def test_no_directive_is_missing(conf):
    """Each row of the core's table has a class here, and there is no other."""
    table = CONFIG_C.read_text().partition("mp_directives[] = {")[2]
    rows = set(re.findall(r'^    [A-Z]\w+\([^"]*"(Python\w+)"', table, re.MULTILINE))
    assert len(rows) > 30
    assert {name for name in conf.__all__ if name.startswith("Python")} == rows


@pytest.mark.parametrize("name", ["PythonInterpPerDirectory", "PythonInterpPerDirective"])
def test_off_is_the_default(conf, name):
    """The two of interpreters may go without an argument."""
    assert str(getattr(conf, name)()) == f"{name} Off\n"


def test_append(conf):
    """append() adds at the end, in sections too; other types are TypeError."""
    section = conf.Location("/x")
    section.append(conf.SetHandler("None"))
    assert str(section) == "<Location /x>\n  SetHandler None\n</Location>\n"
    for wrong in ("Listen 80", None, 7, ["x"]):
        with pytest.raises(TypeError):
            conf.Container().append(wrong)
        with pytest.raises(TypeError):
            conf.Location("/x", wrong)


def test_line_breaks_are_refused(conf):
    """A value cannot become another directive."""
    with pytest.raises(ValueError, match="one line"):
        conf.ServerName("x\nUser root")
    with pytest.raises(ValueError, match="one line"):
        conf.Location("/x>\n")


def test_quote_if_space(conf):
    """Quotation marks only where there is a space."""
    assert conf.quote_if_space("a b") == '"a b"'
    assert conf.quote_if_space("a/b") == "a/b"


def test_basic_config(conf, tmp_path, capsys):
    """It writes a script that prints a configuration, and directories; not twice."""
    root = tmp_path / "a server"
    script = conf.write_basic_config(
        str(root),
        listen="127.0.0.1:80",
        pythonhandler="mine::handler",
        pythonpath=["/a", "/b\\c"],
        pythonoptions=["key value"],
        mp_comments=["a comment"],
    )
    assert script == str(root / "conf" / "httpd_conf.py")
    assert sorted(path.name for path in root.iterdir()) == ["conf", "logs", "public"]
    runpy.run_path(script)
    lines = capsys.readouterr().out.splitlines()
    for line in (
        f'ServerRoot "{root}"',
        "Listen 127.0.0.1:80",
        "PythonPath \"sys.path+['/a', '/b\\\\\\\\c']\"",
        "PythonOption key value",
        "# a comment",
        "  PythonHandler mine::handler",
    ):
        assert line in lines
    assert conf.write_basic_config(str(root)) is None
    assert "mine::handler" in (root / "conf" / "httpd_conf.py").read_text()
    assert conf.write_basic_config(str(root), replace_config=True) == script
    assert "mine::handler" not in (root / "conf" / "httpd_conf.py").read_text()


def test_names_of_directories(conf, tmp_path):
    """Directories and the script may have other names; without createdirs none is made."""
    (tmp_path / "etc").mkdir()
    script = conf.write_basic_config(
        str(tmp_path), conf="etc", logs="log", htdocs="/srv/pages", conf_name="c.py", createdirs=False
    )
    assert script == str(tmp_path / "etc" / "c.py")
    assert [path.name for path in tmp_path.iterdir()] == ["etc"]
    text = (tmp_path / "etc" / "c.py").read_text()
    assert "/srv/pages" in text and f"{tmp_path}/log/error_log" in text
