"""The httpd.conf that `kukulkan serve` writes: kukulkan.configuration, syntax and httpd."""

import dataclasses
import re
from pathlib import Path

import pytest

from kukulkan import configuration
from kukulkan.configuration import FILES_DENIED, URLS_DENIED, Settings
from kukulkan.errors import KukulkanError
from kukulkan.httpd import Httpd, choose_mpm, find, load_lines
from kukulkan.readable import Account
from kukulkan.syntax import quote, quote_path
from kukulkan.target import Application, Site

SETTINGS = Settings(
    host="127.0.0.1",
    port=8080,
    mpm="event",
    processes=2,
    threads=5,
    reload=True,
    debug=False,
    access_log=False,
    account=None,
)
ROOT = Path("/run/kk")
SITE = Site(Path("/srv/site"))


@pytest.fixture
def apache(tmp_path: Path) -> Httpd:
    """An Apache with every module as a file, but for two that are built in."""
    for module in (
        "mpm_event",
        "mpm_prefork",
        "authz_core",
        "mime",
        "dir",
        "authn_core",
        "authz_host",
        "authz_user",
    ):
        (tmp_path / f"mod_{module}.so").write_text("")
    return Httpd(Path("/usr/sbin/httpd"), tmp_path, frozenset({"core", "mod_unixd", "mod_log_config"}))


def written(apache: Httpd, target: Site | Application = SITE, **changes: object) -> list[str]:
    """The configuration's lines, without indentation."""
    settings = dataclasses.replace(SETTINGS, **changes)
    text = configuration.write(target, settings, apache, "LoadModule python_module /m.so", ROOT)
    return [line.strip() for line in text.splitlines()]


def test_only_what_is_needed_and_not_built_in_is_loaded(apache):
    """The MPM first; nothing that is compiled into Apache."""
    names = [line.split()[1] for line in written(apache) if line.startswith("LoadModule")]
    assert names[0] == "mpm_event_module"
    assert names[-1] == "python_module"
    assert "unixd_module" not in names


def test_a_missing_module_is_named(apache):
    """With the file that is not there."""
    with pytest.raises(KukulkanError, match="lacks mod_nothing"):
        load_lines(apache, ["mod_nothing"])


@pytest.mark.parametrize(("wanted", "chosen"), [(None, "event"), ("prefork", "prefork")])
def test_mpm_is_the_one_wanted_or_the_best(apache, wanted, chosen):
    """Event comes before prefork."""
    assert choose_mpm(apache, wanted) == chosen


def test_mpm_that_is_not_there_is_refused(apache):
    """The message names those that are."""
    with pytest.raises(KukulkanError, match="no worker MPM; it has event, prefork"):
        choose_mpm(apache, "worker")


def test_built_in_mpm_is_the_only_one(apache):
    """No other can be loaded beside it."""
    static = dataclasses.replace(apache, builtin=apache.builtin | {"mod_mpm_prefork"})
    assert choose_mpm(static, None) == "prefork"
    assert not [line for line in written(static, mpm="prefork") if "mpm_prefork" in line]


def test_no_apache_is_an_error_that_says_what_to_install(monkeypatch, tmp_path):
    """For every platform."""
    monkeypatch.setattr("shutil.which", lambda *args, **options: None)
    with pytest.raises(KukulkanError, match="apt-get install apache2"):
        find()
    with pytest.raises(KukulkanError, match="no program 'other'"):
        find("other")


def test_a_program_that_is_no_apache_is_refused(tmp_path):
    """With what it said."""
    program = tmp_path / "httpd"
    program.write_text("#!/bin/sh\necho broken >&2; exit 3\n")
    program.chmod(0o755)
    with pytest.raises(KukulkanError, match=r"not an Apache that runs here: broken"):
        find(str(program))


def test_processes_and_threads_are_as_many_as_asked_for(apache):
    """From the start and for good."""
    lines = written(apache)
    assert {"StartServers 2", "ServerLimit 2", "ThreadsPerChild 5", "MaxRequestWorkers 10"} <= set(lines)
    assert {"StartServers 2", "MaxRequestWorkers 2"} <= set(written(apache, mpm="prefork"))


def test_root_gives_its_children_an_account(apache):
    """Nobody else can."""
    account = Account("www-data", "web", 33, frozenset({33}))
    assert {"User www-data", "Group web"} <= set(written(apache, account=account))
    assert not [line for line in written(apache) if line.startswith(("User", "Group"))]


def test_options_become_directives(apache):
    """Reload, debug and the access log."""
    assert {"PythonAutoReload On", "PythonDebug Off"} <= set(written(apache))
    changed = written(apache, reload=False, debug=True, access_log=True)
    assert {"PythonAutoReload Off", "PythonDebug On"} <= set(changed)
    assert [line for line in changed if line.startswith("CustomLog")]


def test_extensions_load_in_the_main_interpreter(apache):
    """Where all of them can."""
    assert "PythonInterpreter main_interpreter" in written(apache)


def test_ipv6_address_is_put_in_brackets(apache):
    """As Listen wants it."""
    assert "Listen [::1]:8080" in written(apache, host="::1")


def test_site_is_the_document_root(apache):
    """Its modules go to kukulkan.site."""
    lines = written(apache)
    assert {"DocumentRoot /srv/site", "PythonHandler kukulkan.site"} <= set(lines)


def test_application_gets_every_url(apache):
    """Imported from its directory; no file lies below it."""
    lines = written(apache, Application(Path("/srv/my app"), "hello::answer"))
    assert '<Location "/">' in lines
    assert "PythonHandler hello::answer" in lines
    assert """PythonPath "['/srv/my app'] + sys.path\"""" in lines
    assert "DocumentRoot /run/kk/empty" in lines


def test_wsgi_application_gets_every_url(apache):
    """By the handler of WSGI applications."""
    lines = written(apache, Application(Path("/srv/app"), "shop::app", is_wsgi=True))
    assert '<Location "/">' in lines
    assert "PythonHandler mod_python.wsgi" in lines
    assert "PythonOption mod_python.wsgi.application shop::app" in lines


@pytest.mark.parametrize(
    "name", ["_x.py", "__init__.py", "x.pyc", "x.py~", "x.py.bak", ".htaccess", "X.PYC", "x~"]
)
def test_names_that_are_never_served(name):
    """Sources that are no handlers, and copies of sources."""
    assert re.search(FILES_DENIED, name)


@pytest.mark.parametrize("name", ["x.py", "index.html", "a_b.css", "_x.css", "x.pyramid.png", "py"])
def test_names_that_are_served(name):
    """Handlers and everything else."""
    assert not re.search(FILES_DENIED, name)


def test_hidden_directories_are_never_served():
    """But the one that is for everybody is."""
    assert re.search(URLS_DENIED, "/.git/config")
    assert re.search(URLS_DENIED, "/a/__pycache__/b.css")
    assert not re.search(URLS_DENIED, "/.well-known/security.txt")
    assert not re.search(URLS_DENIED, "/a.b/c.css")


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("/srv/site", "/srv/site"), ("a b", '"a b"'), ('"', r'"\""'), ("a\\b", r'"a\\b"'), ("", '""')],
)
def test_quote(text, quoted):
    """What Apache would split or end is in quotation marks."""
    assert quote(text) == quoted


@pytest.mark.parametrize("path", ["/a*", "/a?", "/a[b]", "/a\nb", "/${HOME}"])
def test_paths_with_a_meaning_of_their_own_are_refused(path):
    """Apache would read them as patterns or variables."""
    with pytest.raises(KukulkanError, match="means something else"):
        quote_path(path)
