"""What the PATH of `kukulkan serve` may be: kukulkan.target."""

from pathlib import Path

import pytest

from kukulkan.errors import KukulkanError
from kukulkan.target import Application, Site, handlers_of, resolve


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    """A directory with a site, a module and a package."""
    (tmp_path / "site").mkdir()
    for name in (
        "hello.py",
        "two words.py",
        "page.html",
        "site/b.py",
        "site/a.py",
        "site/_c.py",
        "site/d.txt",
    ):
        (tmp_path / name).write_text("")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    return tmp_path.resolve()


def test_a_directory_is_a_site(cwd):
    """Named from the current directory or absolutely."""
    assert resolve("site", cwd) == Site(cwd / "site")
    assert resolve(str(cwd / "site"), Path("/")) == Site(cwd / "site")
    assert resolve(".", cwd) == Site(cwd)


def test_a_file_is_the_module_in_it(cwd):
    """Its directory is where it is imported from."""
    assert resolve("hello.py", cwd) == Application(cwd, "hello")
    assert resolve("site/a.py::answer", cwd) == Application(cwd / "site", "a::answer")


@pytest.mark.parametrize("name", ["hello", "hello::handler", "package.part::Class.method", "json"])
def test_a_module_is_imported_from_the_current_directory(cwd, name):
    """Or from Python's path, as `json` is."""
    assert resolve(name, cwd) == Application(cwd, name)


def test_a_package_directory_is_a_site_unless_an_object_is_named(cwd):
    """What exists as a directory is served as one."""
    assert resolve("package", cwd) == Site(cwd / "package")
    assert resolve("package::handler", cwd) == Application(cwd, "package::handler")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("none", "no module 'none'"),
        ("none/at/all", "no file or directory"),
        ("hello::", "not the name of a Python object"),
        ("hello::a b", "not the name of a Python object"),
        ("hello:", "after the : in 'hello:', is not the name"),
        ("hello:a b", "not the name of a Python object"),
        ("none:app", "no module 'none'"),
        ("page.html", "is not a Python module"),
        ("two words.py", "must be a Python name"),
    ],
)
def test_anything_else_is_refused_with_the_reason(cwd, text, message):
    """Nothing is guessed."""
    with pytest.raises(KukulkanError, match=message):
        resolve(text, cwd)


@pytest.mark.parametrize(
    ("text", "handler"),
    [
        ("hello:application", "hello::application"),
        ("hello.py:app", "hello::app"),
        ("package.part:Class.method", "package.part::Class.method"),
        ("json:loads", "json::loads"),
    ],
)
def test_one_colon_names_a_wsgi_application(cwd, text, handler):
    """Of a module or of a file."""
    assert resolve(text, cwd) == Application(cwd, handler, True)


@pytest.mark.parametrize(
    ("code", "handler", "is_wsgi"),
    [
        ("def application(environ, start_response): ...", "thing::application", True),
        ("app = object()", "thing::app", True),
        ("app = application = object()", "thing::application", True),
        ("from x import y as app", "thing::app", True),
        ("class application: ...", "thing::application", True),
        ("application: object = 1", "thing::application", True),
        ("try:\n    import x as app\nexcept ImportError:\n    app = None", "thing::app", True),
        ("def handler(req): ...\napp = 1", "thing", False),
        ("def f():\n    app = 1", "thing", False),
        ("app.run()", "thing", False),
        ("app = (", "thing", False),
        ("# coding: nonsense\napp = 1", "thing", False),
        ("", "thing", False),
    ],
)
def test_a_module_with_an_application_is_one(cwd, code, handler, is_wsgi):
    """As a file and by name, unless it has a handler."""
    (cwd / "thing.py").write_text(code)
    assert resolve("thing.py", cwd) == resolve("thing", cwd) == Application(cwd, handler, is_wsgi)


def test_a_part_of_a_package_with_an_application(cwd):
    """As Django makes it."""
    (cwd / "package" / "wsgi.py").write_text("application = 1")
    assert resolve("package.wsgi", cwd) == Application(cwd, "package.wsgi::application", True)
    (cwd / "package" / "__init__.py").write_text("app = 1")
    assert resolve("package.wsgi", cwd) == Application(cwd, "package.wsgi::application", True)


def test_a_path_with_a_colon_is_a_path(cwd):
    """What exists is what is meant."""
    (cwd / "a:b").mkdir()
    assert resolve("a:b", cwd) == Site(cwd / "a:b")


def test_nothing_is_imported_to_find_out(cwd):
    """A module with an error in it is found; the error is Apache's log's."""
    (cwd / "broken.py").write_text("raise SystemExit")
    assert resolve("broken", cwd) == Application(cwd, "broken")


def test_handlers_of_a_site_are_listed_in_order(cwd):
    """Without those whose names begin with an underscore, and those with neither a handler nor
    an `index` to publish."""
    for name in ("a.py", "b.py", "_c.py"):
        (cwd / "site" / name).write_text("def handler(req): ...")
    (cwd / "site" / "protocol.py").write_text("def connectionhandler(conn): ...")
    (cwd / "site" / "helper.py").write_text("def help(): ...")
    (cwd / "site" / "d.py").write_text("import time\n\nasync def index(): ...")
    (cwd / "site" / "e.py").write_text("VALUE = 1\ndef index(): ...")
    assert [path.name for path in handlers_of(Site(cwd / "site"))] == ["a.py", "b.py", "d.py", "e.py"]


def test_page_that_cannot_be_read(tmp_path, monkeypatch):
    """It is listed, so that whoever serves the directory is told of it."""
    (tmp_path / "closed.py").touch()

    def refuse(path):
        raise PermissionError

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert handlers_of(Site(tmp_path)) == [tmp_path / "closed.py"]
