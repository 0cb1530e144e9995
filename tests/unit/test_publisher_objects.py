"""From paths to objects: mod_python._publisher_objects."""

import os
import textwrap

import pytest

NOT_FOUND = 404

LIBRARY = """
    class Engine:
        __call__ = run = lambda self, source="": source
        name = "engine"

    def run(command=""):
        return command
"""

HELPERS = """
    def helper():
        return "helped"

    def decorate(function):
        def wrapper(*args):
            return function(*args)
        return wrapper

    class Base:
        def inherited(self):
            return "inherited"
"""

PAGE = """
    import functools
    import os
    import os.path as path
    import subprocess
    from html import escape
    from os import environ, environb, getcwd
    from smtplib import SMTP
    from string import Template
    from subprocess import run
    from threading import Thread
    from types import SimpleNamespace

    import installed
    from helpers import Base, decorate, helper
    from installed import Engine
    from installed import run as installed_run

    VALUE = "text"
    NUMBER = 7
    NOTHING = None
    TABLE = {"a": "b"}
    PATTERN = "{0.__class__}"
    _private = "secret"
    __mangled = "secret"
    _entries = []
    appended = _entries.append
    joined = "".join
    listed = [1]

    def page(req):
        return "page"

    page.attribute = "of a function"

    @decorate
    def decorated():
        return "decorated"

    @functools.cache
    def cached():
        return "cached"

    partial = functools.partial(page, None)
    foreign_partial = functools.partial(run, "id")
    lambda_ = lambda: "lambda"

    class Root(Base):
        title = "root"
        class Inner:
            secret = "inner"

        def __init__(self):
            self.child = None
            self.engine = Engine()
            self.helper = helper
            self.run = run
            self.os = os
            self.environ = environ
            self._hidden = "hidden"

        def method(self, req):
            return "method"

        @property
        def computed(self):
            return "computed"

        @property
        def broken(self):
            raise ZeroDivisionError

        @property
        def absent(self):
            raise AttributeError

        def __call__(self):
            return "called"

        @classmethod
        def made(cls):
            return "made"

    class Strings(str):
        def shout(self):
            return self.upper()

    class Worker(Thread):
        def work(self):
            return "work"

    class Anything:
        def __getattr__(self, name):
            return f"any {name}"

    class Members:
        def __init__(self, function):
            self.function = function
            functools.update_wrapper(self, function)

        def __call__(self):
            return "members only"

    @Members
    def members():
        return "everybody"

    root = Root()
    root.child = Root()
    shouting = Strings("text")
    worker = Worker()
    anything = Anything()
    engine = Engine()
    template = Template("$x")
    namespace = SimpleNamespace(a="b")
    thread_class = Thread
"""


class Guard:
    """Lets everything pass, and keeps it."""

    def __init__(self):
        self.entered = []

    def enter(self, thing):
        self.entered.append(thing)


@pytest.fixture
def objects(own):
    return own("_publisher_objects")


@pytest.fixture
def refused(own):
    return own("_errors").SERVER_RETURN


@pytest.fixture
def load(importer, tmp_path, monkeypatch):
    """Loads a published module from text; beside it is helpers.py, and a package is installed."""

    def load(text, name="page"):
        library = tmp_path / "lib" / "site-packages"
        library.mkdir(parents=True, exist_ok=True)
        (library / "installed.py").write_text(textwrap.dedent(LIBRARY))
        monkeypatch.syspath_prepend(library)
        site = tmp_path / "site"
        site.mkdir(exist_ok=True)
        (site / "helpers.py").write_text(textwrap.dedent(HELPERS))
        (site / f"{name}.py").write_text(textwrap.dedent(text))
        return importer.load_file(str(site / f"{name}.py"))

    return load


@pytest.fixture
def find(objects, refused, load):
    """What a path leads to in PAGE; the status if it is refused."""
    module = load(PAGE)

    def find(path, module=module):
        try:
            return objects.find(module, path.split("/"), Guard())
        except refused as error:
            return int(error.args[0])

    return find


@pytest.mark.parametrize(
    ("path_info", "names"),
    [
        (None, []),
        ("", []),
        ("/", []),
        ("/a", ["a"]),
        ("/a/", ["a"]),
        ("/a/b", ["a", "b"]),
        ("//a", ["", "a"]),
        ("/a//", ["a", ""]),
        ("/a//b", ["a", "", "b"]),
        ("/a/..", ["a", ".."]),
    ],
)
def test_split(objects, path_info, names):
    """A slash at the end is dropped, one."""
    assert objects.split(path_info) == names


INDEX = "/d/index.py"


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("/d/form.py", [("/d/form.py", []), (INDEX, ["form"])]),
        ("/d/form", [("/d/form.py", []), (INDEX, ["form"])]),
        ("/d/form.PY", [("/d/form.py", []), (INDEX, ["form"])]),
        ("/d/form.pub", [("/d/form.py", []), (INDEX, ["form"])]),
        ("/d/form.tar.gz", [("/d/form.py", []), (INDEX, ["form"])]),
        ("/d/form.html", [("/d/form.html.py", []), (INDEX, ["form.html"])]),
        ("/d/form.py.py", [("/d/form.py.py", []), (INDEX, ["form.py"])]),
        ("/d/a.b.py", [("/d/a.b.py", []), (INDEX, ["a.b"])]),
        ("/d/os.path", [("/d/os.path.py", []), (INDEX, ["os.path"])]),
        ("/d/", [(INDEX, [])]),
        ("/d/index", [(INDEX, [])]),
        ("/d/index.py", [(INDEX, [])]),
        ("/d/_form.py", []),
        ("/d/__init__.py", []),
        ("/d/__init__", []),
        ("/d/.py", []),
        ("/d/.hidden", []),
        ("/d/..", []),
        ("/d/form.pyc", [("/d/form.pyc.py", []), (INDEX, ["form.pyc"])]),
        ("/d/form.py.", [("/d/form.py..py", []), (INDEX, ["form.py."])]),
        ("/d/..\\form.py", []),
        ("/d/a\\b.py", [("/d/a\\b.py", []), (INDEX, ["a\\b"])]),
    ],
)
def test_candidates(objects, filename, expected):
    """The file of that name; else the directory's index, with the name in front."""
    assert objects.candidates(filename, (".tar.gz", ".py", ".pub")) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("VALUE", "text"),
        ("NUMBER", 7),
        ("NOTHING", None),
        ("TABLE", {"a": "b"}),
        ("root/title", "root"),
        ("root/child/title", "root"),
        ("root/child/child", None),
        ("root/computed", "computed"),
        ("shouting", "text"),
        ("anything/at_all", "any at_all"),
        ("anything/2024-11.html", "any 2024-11.html"),
    ],
)
def test_values(find, path, expected):
    """Of the module, and of objects in it."""
    assert find(path) == expected


@pytest.mark.parametrize(
    ("path", "result"),
    [
        ("decorated", "decorated"),
        ("cached", "cached"),
        ("members", "members only"),
        ("partial", "page"),
        ("lambda_", "lambda"),
        ("helper", "helped"),
        ("root", "called"),
        ("root/child", "called"),
        ("root/made", "made"),
        ("root/helper", "helped"),
        ("root/inherited", "inherited"),
        ("shouting/shout", "TEXT"),
        ("worker/work", "work"),
    ],
)
def test_callables(find, path, result):
    """The site's own, also those that come from other modules of it."""
    assert find(path)() == result


def test_classes_are_found(find):
    """They are published as text."""
    assert find("Root").__name__ == "Root"
    assert find("root/Inner").__name__ == "Inner"


#: What must not be reached, and why somebody would try.
HOSTILE = {
    # names that begin with an underscore, at any place
    "_private": "private",
    "__mangled": "private",
    "__name__": "module",
    "__file__": "module",
    "__dict__": "module",
    "__builtins__": "module",
    "__doc__": "module",
    "__spec__": "module",
    "__loader__/get_source": "module",
    "__getattribute__": "module",
    "root/_hidden": "private",
    "root/__class__": "class",
    "root/__dict__": "object",
    "root/__init__": "object",
    "root/__init__/__globals__": "object",
    "root/__class__/__base__": "class",
    "anything/_private": "dynamic",
    "anything/__class__": "dynamic",
    "_": "underscore",
    "__": "underscore",
    # functions and methods
    "page/__globals__": "function",
    "page/__code__": "function",
    "page/__defaults__": "function",
    "page/__call__": "function",
    "page/__get__": "function",
    "page/attribute": "function",
    "page/func_globals": "function",
    "root/method/__self__": "method",
    "root/method/__func__": "method",
    "root/method/im_self": "method",
    "partial/func": "partial",
    "cached/cache_clear": "wrapper",
    "members/function": "what a wrapper of the site's own wraps",
    "members/function/attribute": "what a wrapper of the site's own wraps",
    "cached/cache_info": "wrapper",
    # modules, however they are called
    "os": "module",
    "os/system": "module",
    "os/environ": "module",
    "path": "module",
    "path/join": "module",
    "subprocess": "module",
    "subprocess/run": "module",
    "functools": "module",
    "installed": "module",
    "installed/run": "module",
    "root/os": "module in an object",
    "root/os/environ": "module in an object",
    # what was imported
    "run": "standard library",
    "escape": "standard library",
    "getcwd": "C",
    "environ": "of the process",
    "environb": "of the process",
    "root/environ": "of the process",
    "SMTP": "class of the standard library",
    "Thread": "class of the standard library",
    "thread_class": "class of the standard library",
    "Template": "class of the standard library",
    "installed_run": "installed package",
    "Engine": "installed class",
    "engine": "called, it runs what is installed",
    "engine/run": "object of an installed class",
    "engine/name": "object of an installed class",
    "root/engine/run": "object of an installed class",
    "root/run": "standard library",
    "template/template": "object of the standard library",
    "template/substitute": "object of the standard library",
    "foreign_partial": "standard library",
    "worker/start": "inherited from the standard library",
    "worker/run": "inherited from the standard library",
    "worker/join": "inherited from the standard library",
    "worker/daemon/real": "built-in",
    # built-in types and functions
    "VALUE/format": "str.format",
    "VALUE/upper": "str",
    "VALUE/encode": "str",
    "PATTERN/format": "str.format",
    "PATTERN/format_map": "str.format",
    "shouting/format": "str.format, inherited",
    "shouting/format_map": "str.format, inherited",
    "NUMBER/real": "int",
    "NUMBER/to_bytes": "int",
    "TABLE/keys": "dict",
    "TABLE/a": "dict",
    "TABLE/clear": "dict",
    "listed/append": "list",
    "appended": "method of a built-in object",
    "joined": "method of a built-in object",
    "namespace/a": "built-in",
    "NOTHING/x": "None",
    "print": "builtins",
    "eval": "builtins",
    "open": "builtins",
    "exec": "builtins",
    # classes
    "Root/title": "class",
    "Root/method": "class",
    "Root/mro": "class",
    "Root/made": "class",
    "root/Inner/secret": "class",
    # names that look like others
    "": "empty",
    "root/": "empty",
    ".": "dot",
    "..": "dots",
    "root/..": "dots",
    "root.title": "dotted",
    "VALUE\x00": "NUL",
    "\uff36\uff21\uff2c\uff35\uff25": "NFKC of this is VALUE",
    "\uff3fprivate": "NFKC of this is _private",
    "root/\uff3fhidden": "NFKC of this is _hidden",
    "value": "case",
    "VALUE ": "blank",
    "\udcff": "no UTF-8",
    "root/absent": "raises AttributeError",
    "no_such": "missing",
    "root/no_such": "missing",
    "root/child/child/x": "missing",
    "x" * 100_000: "long",
    "root/" + "child/" * 1000 + "title": "deep",
}


@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: f"{path:.30}")
def test_what_is_not_found(find, path):
    """Whatever is tried, the answer is that there is nothing."""
    assert find(path) == NOT_FOUND


def test_errors_of_properties_are_errors(find):
    """They are not hidden."""
    with pytest.raises(ZeroDivisionError):
        find("root/broken")


def test_all_is_what_is_published(find, load):
    """And nothing else; what it names may come from anywhere, but be no module."""
    module = load(
        """
        import os
        from os import environ, getcwd
        from subprocess import run
        from installed import Engine

        __all__ = ["engine", "environ", "getcwd", "os", "page", "run", "_private", "missing"]
        _private = "secret"
        engine = Engine()
        engine.other = Engine()
        def page(): return "page"
        def other(): return "other"
        """,
        "listing",
    )
    assert find("page", module)() == "page"
    assert find("run", module).__name__ == "run"
    assert find("engine", module)("x") == "x"
    assert find("engine/run", module)("x") == "x"
    assert find("engine/other/name", module) == "engine"
    for path in ("other", "os", "os/system", "environ", "getcwd", "_private", "missing", "Engine"):
        assert find(path, module) == NOT_FOUND


def test_guard_sees_each_object_on_the_way(objects, load):
    """In order, the module first, and before anything of the next is touched."""
    module = load(PAGE)
    guard = Guard()
    objects.find(module, ["root", "child", "title"], guard)
    assert guard.entered == [module, module.root, module.root.child, "root"]


def test_guard_is_not_asked_about_names_that_are_refused(objects, refused, load):
    """They tell nothing about what is protected."""
    guard = Guard()
    with pytest.raises(refused):
        objects.find(load(PAGE), ["root", "_hidden"], guard)
    assert guard.entered == []


def test_symbolic_links(objects, tmp_path):
    """As Options has it: of Apache's own, FollowSymLinks and SymLinksIfOwnerMatch."""
    (tmp_path / "file.py").write_text("")
    (tmp_path / "link.py").symlink_to("file.py")
    (tmp_path / "broken.py").symlink_to("missing.py")
    file, link, broken = (str(tmp_path / name) for name in ("file.py", "link.py", "broken.py"))
    assert objects.may_follow(file, 0)
    assert not objects.may_follow(link, 0)
    assert objects.may_follow(link, objects.OPT_SYM_LINKS)
    assert objects.may_follow(link, objects.OPT_SYM_OWNER)
    assert not objects.may_follow(broken, objects.OPT_SYM_OWNER)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_symbolic_links_of_another_owner(objects, tmp_path):
    """They are not followed where the owner is to match."""
    (tmp_path / "file.py").write_text("")
    link = tmp_path / "link.py"
    link.symlink_to("file.py")
    os.chown(link, 12345, -1, follow_symlinks=False)
    assert not objects.may_follow(str(link), objects.OPT_SYM_OWNER)
    assert objects.may_follow(str(link), objects.OPT_SYM_LINKS)
