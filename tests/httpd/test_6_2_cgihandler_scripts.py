"""Manual 6.2: CGI scripts that others wrote, run as they are; docs/cgi.md names them."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

PYTHON = "SetHandler python-program\nPythonHandler mod_python.cgihandler\n"

HGWEB = Path("/usr/share/doc/mercurial-common/examples/hgweb.cgi")
DEBIAN = "/usr/lib/python3/dist-packages"
ROUNDUP = Path(sysconfig.get_path("data"), "share/roundup/cgi-bin/roundup.cgi")

needs_mercurial = pytest.mark.skipif(
    not HGWEB.exists()
    or not shutil.which("hg")
    or f"cpython-{sys.version_info[0]}{sys.version_info[1]}"
    not in str(sorted(Path(DEBIAN, "mercurial").rglob("*.so"))),
    reason="Debian's mercurial, for this Python, is not installed",
)
needs_roundup = pytest.mark.skipif(not ROUNDUP.exists(), reason="roundup is not installed")
needs_trac = pytest.mark.skipif(
    not importlib.util.find_spec("trac") or not importlib.util.find_spec("pkg_resources"),
    reason="trac is not installed",
)


def run(*command, **options):
    """A command that must not fail; its output."""
    done = subprocess.run(
        [str(word) for word in command], check=False, capture_output=True, text=True, timeout=120, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def give_to_everybody(directory):
    """Apache's children, which are nobody's, may read and write what is in directory."""
    for path in [directory, *directory.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)


@pytest.fixture
def hg(httpd, tmp_path):
    """A site with Mercurial's hgweb.cgi, for a repository of one commit, and the hg command."""
    environ = {"PATH": os.environ["PATH"], "HGRCPATH": "", "HOME": str(tmp_path)}

    def command(*words):
        return run("hg", *words, env=environ)

    site = httpd("# hgweb").site(
        PYTHON + f"PythonInterpreter hgweb\nPythonPath \"sys.path + ['{DEBIAN}']\"\n"
        "SetEnv HGRCPATH ${htdocs}/hgrc\n",
        {"../hgrc": "[trusted]\nusers = *\n"},
    )
    repository = site.directory / "repository"
    command("init", repository)
    site.write("repository/spam.txt", "spam and eggs\n")
    site.write("repository/.hg/hgrc", "[web]\npush_ssl = no\nallow-push = *\ncontact = Brian\n")
    command("commit", "-R", repository, "-A", "-m", "a commit of spam", "-u", "brian")
    give_to_everybody(repository)
    # The line that every installation has to edit.
    text = HGWEB.read_text().replace("/path/to/repo/or/config", str(repository))
    site.write("hgweb.cgi", text)
    return site, command


@needs_mercurial
def test_hgweb_pages(hg):
    """Mercurial's hgweb.cgi: pages, a file, a page that is not there, a style sheet."""
    site, _ = hg
    for _ in range(2):
        assert "a commit of spam" in site.get("hgweb.cgi").text
    assert site.get("hgweb.cgi/raw-file/tip/spam.txt").text == "spam and eggs\n"
    assert site.get("hgweb.cgi/rev/nothing").status_code == 404
    style = site.get("hgweb.cgi/static/style-paper.css")
    assert style.headers["Content-Type"].startswith("text/css")


@needs_mercurial
def test_hgweb_clone_and_push(hg, tmp_path):
    """hg clones from hgweb.cgi, commits, and pushes to it."""
    site, command = hg
    clone = tmp_path / "clone"
    command("clone", f"{site.url}hgweb.cgi", clone)
    assert (clone / "spam.txt").read_text() == "spam and eggs\n"
    (clone / "spam.txt").write_text("spam, spam\n")
    command("commit", "-R", clone, "-m", "more spam", "-u", "brian")
    command("push", "-R", clone, f"{site.url}hgweb.cgi")
    assert site.get("hgweb.cgi/raw-file/tip/spam.txt").text == "spam, spam\n"


@needs_roundup
def test_roundup(httpd):
    """Roundup's roundup.cgi: the first page, and logging in."""
    site = httpd.site()
    tracker = site.directory / "tracker"
    admin = Path(sys.executable).with_name("roundup-admin")
    run(admin, "-i", tracker, "install", "classic", "anydbm")
    site.write(".htaccess", PYTHON + f"SetEnv TRACKER_HOMES demo={tracker}\n")
    shutil.copy(ROUNDUP, site.directory)
    config = tracker / "config.ini"
    config.write_text(
        config.read_text()
        .replace("#web = NO DEFAULT", f"web = {site.url}roundup.cgi/demo/")
        .replace("#domain = NO DEFAULT", "domain = localhost")
        .replace("#host = NO DEFAULT", "host = localhost")
    )
    run(admin, "-i", tracker, "initialise", "secret")
    give_to_everybody(tracker)
    for _ in range(2):
        page = site.get("roundup.cgi/demo/")
        assert page.status_code == 200
        assert "Roundup" in page.text
    form = {"@action": "login", "__login_name": "admin", "__login_password": "secret"}
    page = site.post("roundup.cgi/demo/", data=form, headers={"Referer": f"{site.url}roundup.cgi/demo/"})
    assert "admin" in page.text


@needs_trac
def test_trac(httpd, tmp_path):
    """The trac.cgi that `trac-admin deploy` makes: the wiki's first page, and a page that is not."""
    site = httpd.site(PYTHON)
    environment = site.directory / "environment"
    trac_admin = Path(sys.executable).with_name("trac-admin")
    run(trac_admin, environment, "initenv", "Spam project", "sqlite:db/trac.db")
    run(trac_admin, environment, "deploy", tmp_path / "deployed")
    shutil.copy(tmp_path / "deployed/cgi-bin/trac.cgi", site.directory)
    give_to_everybody(environment)
    for _ in range(2):
        page = site.get("trac.cgi")
        assert page.status_code == 200, page.text
        assert "Spam project" in page.text
    assert site.get("trac.cgi/nothing").status_code == 404


def test_cgi_module(httpd):
    """The module cgi run as a script: cgi.test() shows environment and form."""
    site = httpd.site(PYTHON)
    shutil.copy(importlib.util.find_spec("cgi").origin, site.directory / "test.py")
    page = site.post(
        "test.py?one=1",
        files={"upload": ("spam.txt", b"spam spam")},
        data={"field": "eggs"},
    )
    assert page.headers["Content-Type"] == "text/html"
    assert "FieldStorage('field', None, 'eggs')" in page.text.replace("&#x27;", "'")
    assert "spam.txt" in page.text
    assert "QUERY_STRING" in page.text


def test_cgitb(httpd):
    """cgitb.enable() shows the error; the log has it, too."""
    site = httpd.site(
        PYTHON, {"script.py": "import cgitb\ncgitb.enable()\ndef f(spam):\n    return 1 / spam\nf(0)\n"}
    )
    for _ in range(2):
        page = site.get("script.py")
        assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html")
        assert "ZeroDivisionError" in page.text
        assert "spam" in page.text
    site.expect_log("KK0142: ZeroDivisionError", times=2)


def test_wsgiref(httpd):
    """wsgiref's CGIHandler, with which frameworks run under CGI, and its demonstration."""
    site = httpd.site(
        PYTHON,
        {
            "script.py": "from wsgiref.handlers import CGIHandler\nfrom wsgiref.simple_server import demo_app\nCGIHandler().run(demo_app)\n"
        },
    )
    page = site.get("script.py/info?q=1")
    assert page.text.startswith("Hello world!")
    assert "PATH_INFO = '/info'" in page.text
