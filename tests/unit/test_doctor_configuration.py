"""What `kukulkan doctor` says of configurations, and of the programs that they lead to."""

import os
import sys
from pathlib import Path

import pytest

from kukulkan import directives, doctor, imports, installation, readable


@pytest.fixture(autouse=True)
def anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's permissions matter, but where a test is about them."""
    monkeypatch.setattr(readable, "child_account", lambda: None)


def examine(path: Path) -> list[str]:
    """What is found, as "FILE:LINE severity: what"."""
    found = doctor.examine(path, is_trying=False)
    return [f"{os.path.basename(each.file)}:{each.line} {each.severity}: {each.what}" for each in found]


def test_reading(write):
    """Continued lines, variables, sections, quotation marks and included files."""
    root = write("etc/apache2.conf", "").parent
    write("etc/envvars", "export APACHE_RUN_USER=www-data\nexport LOG=$X/log\n")
    write("etc/conf.d/a.conf", 'PythonOption a "b c"\n')
    write("etc/conf.d/b.conf", "  PythonOption 'd' e\\\"f\n")
    path = write(
        "etc/apache2.conf",
        f"ServerRoot {root}\n# User nobody\nDefine site /srv/a\\\n/b\nUser ${{APACHE_RUN_USER}}\n"
        "<IfModule x>\n<Directory ${site}>\n\tInclude conf.d/*.conf\n</Directory>\n</IfModule>\nPythonDebug On",
    )
    found, findings, _ = directives.read(path, {})
    assert findings == []
    told = {(each.name, each.arguments): each for each in found}
    assert ("user", ("www-data",)) in told
    option = told["pythonoption", ("a", "b c")]
    assert option.directory() == "/srv/a/b" and option.line == 1 and option.file.endswith("a.conf")
    assert [section.name for section in option.sections] == ["ifmodule", "directory"]
    assert told["pythondebug", ("On",)].line == 11


@pytest.mark.parametrize(
    ("text", "what"),
    [("Include absent.conf", "there is no "), ("Include httpd.conf", "Include goes too deep")],
)
def test_includes_that_fail(write, text, what):
    """They are told, and the rest is read."""
    found, findings, _ = directives.read(write("httpd.conf", text + "\nUser x\n"), {})
    assert any(what in each.what for each in findings) and found[-1].name == "user"


def test_file_that_includes_itself_twice(write):
    """It is read a few times, not a million times, and told once."""
    text = "Include httpd.conf\nInclude httpd.conf\nUser x\n"
    found, findings, _ = directives.read(write("httpd.conf", text), {})
    assert len(findings) == 1 and len(found) < 100


def test_load_module(write, monkeypatch, tmp_path):
    """The old module, ours twice, mod_wsgi beside it, and one of another environment."""
    own = write("own/mod_python/mod_python.so", "")
    other = write("other/mod_python/mod_python.so", "")
    write("other/mod_python/_importer.py", "")
    monkeypatch.setattr(installation, "module_file", lambda: own)
    load = "LoadModule python_module"
    text = f"{load} {own}\n{load} /usr/absent/mod_python.so\n{load} modules/mod_python.so\n{load} {other}\n"
    path = write("httpd.conf", text + "LoadModule wsgi_module modules/mod_wsgi.so\n")
    old = write("modules/mod_python.so", "")
    told = "\n".join(examine(path))
    assert not told.startswith("httpd.conf:1 ")
    assert "httpd.conf:2 error: there is no /usr/absent/mod_python.so" in told
    assert "httpd.conf:2 error: python_module is loaded twice" in told
    assert f"httpd.conf:3 error: {old} is not Kukulkan's module" in told
    assert "httpd.conf:4 warning:" in told and "is of another environment" in told
    assert "httpd.conf:5 error: mod_wsgi beside Kukulkan" in told
    assert examine(write("other.conf", "LoadModule wsgi_module modules/mod_wsgi.so\n")) == []


def test_another_python(write):
    """In PythonPath and PythonHome."""
    home = write("home/lib/python2.7/os.py", "").parents[2]
    text = f"PythonPath \"sys.path + ['/usr/lib/python2.7/site-packages', '/no/such']\"\nPythonHome {home}\nPythonPath [\n"
    told = examine(write("httpd.conf", text))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert told[0] == (
        f"httpd.conf:1 error: PythonPath has /usr/lib/python2.7/site-packages, which is Python 2.7's; "
        f"the module runs Python {version}"
    )
    assert "httpd.conf:1 warning: PythonPath has /no/such, which is not there" in told
    assert (
        f"httpd.conf:2 error: PythonHome {home} has python2.7; the module was built for Python {version}"
        in told
    )
    assert told[-1].startswith("httpd.conf:3 error: PythonPath [ is no Python expression")


def test_handlers_of_another_environment(write):
    """What PythonHome has installed can be a handler; what it has not is missing."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    package = write(f"home/lib/python{version}/site-packages/tracker/frontend.py", "print 'x'\n")
    text = f"PythonHome {package.parents[4]}\nPythonHandler tracker.frontend\nPythonFixupHandler tracker.absent\n"
    told = [each for each in examine(write("httpd.conf", text)) if "there is no module" in each]
    assert len(told) == 1
    assert told[0].startswith("httpd.conf:3 error: there is no module tracker.absent")


@pytest.mark.parametrize("is_trying", [True, False])
def test_imports_of_another_environment(write, is_trying):
    """What PythonHome has installed is not missing; it is not tried, but what is known is told."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    home = write(f"home/lib/python{version}/site-packages/itsown/__init__.py", "").parents[4]
    single = sorted(imports.SINGLE)[0]
    write(f"home/lib/python{version}/site-packages/{single}/__init__.py", "")
    page = write("site/page.py", f"import itsown, {single}, absent\n")
    text = f"PythonHome {home}\n<Directory {page.parent}>\nPythonHandler page\n</Directory>\n"
    found = doctor.examine(write("httpd.conf", text), is_trying=is_trying)
    told = [each.what for each in found if each.file == str(page)]
    assert len(told) == 2
    assert any(each.startswith("there is no module absent") for each in told)
    assert any(each.startswith(f"the package {single} does not load in several") for each in told)


def test_handlers(write, tmp_path):
    """Their modules are looked for in the directory, PythonPath and this environment, and
    what is found there is looked at."""
    write("site/page.py", "print 'x'\n")
    write("site/sub/other.py", "print 'x'\n")
    write("lib/pack/__init__.py", "")
    write("lib/pack/part.py", "import urlparse\n")
    path = write(
        "httpd.conf",
        f'PythonPath "sys.path+[\'{tmp_path}/lib\']"\n<Directory "{tmp_path}/site/">\n'
        "PythonHandler page mod_python.publisher pack.part::x absent | .py\n</Directory>\n"
        "<Location /x>\nPythonAuthenHandler page\n</Location>\n",
    )
    told = examine(path)
    assert "page.py:1 error: Python 2: print statement: print 'x'" in told
    assert "other.py:1 error: Python 2: print statement: print 'x'" in told
    assert "part.py:1 error: Python 2: there is no module urlparse" in told
    missing = [each for each in told if "there is no module" in each and each.startswith("httpd.conf")]
    assert len(missing) == 2 and "module absent in" in missing[0] and "httpd.conf:6" in missing[1]


def test_htaccess(write):
    """Its directory is that of the file."""
    write("site/page.py", "")
    write("site/sub/.htaccess", "SetHandler python-program\nPythonHandler page\n")
    path = write("site/.htaccess", "PythonHandler page\n")
    assert [each.partition(" in ")[0] for each in examine(path.parent)] == [
        ".htaccess:2 error: there is no module page"
    ]


def test_relative_load_module(write, monkeypatch):
    """A relative name begins at ServerRoot: this environment's module may be linked there."""
    own = write("own/mod_python/mod_python.so", "")
    monkeypatch.setattr(installation, "module_file", lambda: own)
    link = write("root/modules/x", "").with_name("mod_python.so")
    link.symlink_to(own)
    line = "LoadModule python_module modules/mod_python.so\n"
    path = write("etc/httpd.conf", f"ServerRoot {link.parents[1]}\n{line}")
    assert examine(path) == []


def test_importer_path(write, tmp_path):
    """Handlers are looked for in its directories too, and what is there is looked at; what is no
    list of strings is told."""
    write("far/spam.py", "import eggs\n")
    write("far/eggs.py", "print 'x'\n")
    option = "PythonOption mod_python.importer.path"
    text = f"{option} \"['{tmp_path}/far', '~/lib']\"\nPythonHandler spam\n"
    path = write("httpd.conf", f'{text}{option} "sys.path+[1]"\n{option}\n')
    told = examine(path)
    assert "eggs.py:1 error: Python 2: print statement: print 'x'" in told
    assert len(told) == 2
    assert told[1].startswith(
        "httpd.conf:3 error: PythonOption mod_python.importer.path sys.path+[1] is no list"
    )


def test_layout_of_debian(write, monkeypatch, tmp_path):
    """Without ServerRoot all names begin beside the configuration; modules and sites are links;
    .htaccess files count where they are allowed; a2dismod is how a module is taken out."""
    monkeypatch.setattr(installation, "module_file", lambda: write("own.so", ""))
    write("etc/envvars", "export APACHE_LOG_DIR=/var/log/apache2$SUFFIX\n")
    write("etc/ports.conf", "Listen 80\n")
    write("www/sub/.htaccess", "PythonHandler absent\n")
    write("www/off/.htaccess", "PythonHandler absent\n")
    for name, text in (
        ("mods/python.load", f"LoadModule python_module {write('old.so', '')}\n"),
        ("mods/wsgi.load", "LoadModule wsgi_module /usr/lib/mod_wsgi.so\n"),
        ("sites/site.conf", f"<Directory {tmp_path}/www/sub>\nAllowOverride All\n</Directory>\n"),
    ):
        file = write(f"etc/{name.replace('/', '-available/', 1)}", text)
        link = file.parents[1] / name.replace("/", "-enabled/", 1)
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(f"../{file.parent.name}/{file.name}")
    lines = ("mods-enabled/*.load", "mods-enabled/*.conf", "ports.conf", "sites-enabled/*.conf")
    text = "".join(f"Include{'Optional' if '*' in line else ''} {line}\n" for line in lines)
    path = write("etc/apache2.conf", text)
    told = examine(path)
    assert [each.partition(":")[0] for each in told] == ["python.load", "wsgi.load", ".htaccess"]
    cures = [each.cure for each in doctor.examine(path, is_trying=False)]
    assert "(a2dismod wsgi)" in cures[1]


@pytest.mark.parametrize("name", ["apache2.conf", "httpd.conf", "conf/httpd.conf"])
def test_directory_of_a_configuration(write, tmp_path, name):
    """/etc/apache2 stands for the configuration in it, and so does the directory of a server."""
    write(name, "PythonNoReload On\n")
    assert examine(tmp_path) == [f"{Path(name).name}:1 error: there is no directive PythonNoReload"]


def test_link_to_nothing(write):
    """A link that a2enmod has made and whose file has gone is told as what it is."""
    path = write("httpd.conf", "IncludeOptional sites/*.conf\n")
    path.with_name("sites").mkdir()
    (path.parent / "sites" / "old.conf").symlink_to("absent")
    (found,) = doctor.examine(path)
    assert "No such file" in found.what and found.cure == "Take the link out."


def test_unknown_directives(write):
    """Those of old versions and mistyped ones are told with what they became."""
    text = "PythonNoReload On\nPythonAuthHandler mod_python.publisher\nPythonDebug On\n"
    found = doctor.examine(write("httpd.conf", text))
    assert [(each.line, each.what, each.cure) for each in found] == [
        (1, "there is no directive PythonNoReload", "Write PythonAutoReload Off."),
        (2, "there is no directive PythonAuthHandler", "Did you mean PythonAuthzHandler?"),
    ]


def test_directives_of_apache_2_2(write):
    """Access is told once for each section, .htaccess files too; what is gone, with its successor."""
    text = "LoadModule access_module modules/mod_access.so\nLockFile /tmp/x\n<Directory {}>\n{}</Directory>\n"
    place = write("www/.htaccess", "Order allow,deny\nDeny from all\n").parent
    access = "Order allow,deny\nAllow from all\nAllowOverride All\n"
    assert [
        each.partition(":")[2][:40] for each in examine(write("httpd.conf", text.format(place, access)))
    ] == [
        "1 error: Apache 2.4 has no access_module",
        "2 error: Apache 2.4 has no LockFile",
        "4 warning: Order is of Apache 2.2: in 2.4, "[:40],
        "1 warning: Order is of Apache 2.2: in 2.4, "[:40],
    ]


def test_directives_that_are_gone(write):
    """Those at which Apache 2.4 does not start, and none that it has: ScriptSock is mod_cgid's."""
    gone = ["AuthzDefaultAuthoritative Off", "RewriteLog /tmp/x", "RewriteLogLevel 1", "SSLMutex default"]
    text = "\n".join(["ScriptSock x", "MaxClients 5", "NameVirtualHost *:80", *gone])
    assert examine(write("httpd.conf", text)) == [
        f"httpd.conf:{line} error: Apache 2.4 has no {directive.partition(' ')[0]}"
        for line, directive in enumerate(gone, 4)
    ]


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        ("mod_python.publisher", None),
        ("mod_python.pubisher", "Install it"),
        ("django.core.handlers.modpython", "mod_python.wsgi"),
        ("httpdapi", "handler(req)"),
    ],
)
def test_installed_handlers(write, handler, told):
    """Parts of packages are looked for, too; what is nowhere any more is told with its successor."""
    found = doctor.examine(write("httpd.conf", f"PythonHandler {handler}\n"))
    assert [told in each.cure for each in found] == ([True] if told else [])


def test_directories_by_pattern(write, tmp_path):
    """Wildcards are followed; of a regular expression it is said that nobody looked."""
    write("home/a/www/page.py", "print 'x'\n")
    text = (
        f"<Directory {tmp_path}/home/*/www>\nPythonHandler page\n</Directory>\n"
        f'<Directory ~ "^/x">\nPythonHandler absent\n</Directory>\n'
    )
    told = examine(write("httpd.conf", text))
    assert len(told) == 2 and told[0].startswith("page.py:1 error: Python 2")
    assert told[1].startswith("httpd.conf:5 warning: there is no module absent")
    assert told[1].endswith("the directories that fit the pattern were not looked at")


def test_pages_of_a_location(write, tmp_path):
    """What a URL runs is found by DocumentRoot and Alias, each virtual host's own."""
    for place in ("one/app", "two/app", "aliased"):
        write(f"{place}/page.py", "x = `1`\n")
    host = "<VirtualHost *>\nDocumentRoot {}\n{}\n</VirtualHost>\n"
    location = "<Location /app>\nPythonHandler mod_python.publisher\n</Location>"
    text = host.format(tmp_path / "one", location) + host.format(tmp_path / "two", "")
    path = write("httpd.conf", text)
    assert [Path(each.file).parts[-3] for each in doctor.examine(path)] == ["one"]
    path.write_text(host.format(tmp_path / "one", f"Alias /app {tmp_path}/aliased\n{location}"))
    assert [Path(each.file).parts[-2] for each in doctor.examine(path)] == ["aliased"]


def test_macros(write):
    """What a macro is used with is not guessed."""
    text = "<Macro Site $name>\n<Directory /srv/$name>\nPythonHandler $name\n</Directory>\n</Macro>\n"
    assert doctor.examine(write("httpd.conf", text)) == []


def test_configuration_of_mod_wsgi(write, tmp_path):
    """Each directive is told with what takes its place; scripts and their modules are looked at."""
    write("app/shop.wsgi", "print 'x'\n")
    write("lib/old.py", "import urlparse\n")
    text = (
        f"LoadModule wsgi_module modules/mod_wsgi.so\nWSGIDaemonProcess shop python-path={tmp_path}/lib\n"
        f"WSGIScriptAlias /shop {tmp_path}/app/shop.wsgi\nWSGIApplicationGroup %{{GLOBAL}}\n"
        f"WSGIScriptAlias / {tmp_path}/absent.py\n"
    )
    found = doctor.examine(write("httpd.conf", text))
    told = [f"{os.path.basename(each.file)}:{each.line} {each.severity}" for each in found]
    assert told == [
        "shop.wsgi:1 error",
        *(f"httpd.conf:{line} warning" for line in (2, 3, 4)),
        "httpd.conf:5 error",
        "httpd.conf:5 warning",
        "old.py:1 error",
    ]
    alias = found[2].cure
    assert '<Location "/shop">' in alias and "application shop," in alias and "Rename the file" in alias
    assert "main_interpreter" in found[3].cure


def test_main_interpreter_of_a_part(write, monkeypatch):
    """PythonInterpreter in one place of the server cures nothing of the others."""
    monkeypatch.setattr(doctor.imports, "is_there", lambda name, further=(): True)
    page = write("site/page.py", "import numpy\n")
    handler = f"<Directory {page.parent}>\nPythonHandler page\n</Directory>\n"
    main = "PythonInterpreter main_interpreter\n"
    for text, number in (
        (handler + main, 0),
        (f"<IfModule mod_python.c>\n{main}</IfModule>\n{handler}", 0),
        (f"<Location />\n{main}</Location>\n{handler}", 0),
        (f"<Location /other>\n{main}</Location>\n{handler}", 1),
        (handler, 1),
    ):
        assert len(examine(write("httpd.conf", text))) == number
