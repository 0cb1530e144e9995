"""What is reloaded when a helper changes, and what a request's code sees of it:
mod_python._reload, _import_statement and _source_loader."""

import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture
def load(importer, tmp_path: Path):
    """Loads a module of the test's directory, as a handler's module is."""

    def load(name: str, directory: str = "", **options):
        return importer.load(name, f"{tmp_path / directory}/", **options)

    return load


class Requests:
    """The requests of a test: what `_apache._current_request` answers with, by thread."""

    def __init__(self) -> None:
        self._thread = threading.local()

    def begin(self, flags: int = 1, options: dict | None = None, directory: str | None = None, **members):
        """A new request is this thread's from now on; flags 1 is PythonAutoReload On."""
        running = SimpleNamespace(directory=directory, is_location=False, found_in=None)
        standard = {"main": None, "prev": None, "_flags": flags, "_modules": None, "_running": running}
        self._thread.request = SimpleNamespace(**standard | members)
        self._thread.request.get_options = lambda: options or {}
        return self._thread.request

    def resume(self, request) -> None:
        """An earlier one goes on."""
        self._thread.request = request

    def current(self):
        return getattr(self._thread, "request", None)


@pytest.fixture
def requests(apache, importer, monkeypatch):
    """See Requests."""
    requests = Requests()
    monkeypatch.setattr(apache, "_current_request", requests.current)
    return requests


@pytest.fixture
def import_module(importer, tmp_path):
    """apache.import_module(), called by a module that is a file of the test's directory."""

    def import_module(name: str, path=None, reload: bool = True, log: bool = False, importer_of=None):
        globals = importer_of or {"__file__": str(tmp_path / "caller.py")}
        return importer.import_module(name, globals, reload, log, path)

    return import_module


HANDLER = "import helper\nruns = []\ndef answer():\n    return helper.x\n"


# What is reloaded


def test_changed_helper(write, load, requests):
    """It reloads the handler that imports it, at the next request, and nothing else."""
    write("one.py", HANDLER)
    write("two.py", "x = 1\n")
    write("helper.py", "x = 1\n")
    requests.begin()
    one, two = load("one"), load("two")
    write("helper.py", "x = 22\n")
    requests.begin()
    assert load("one") is not one and load("one").answer() == 22
    assert load("two") is two


@pytest.mark.parametrize("has_request", [True, False])
def test_changed_far_helper(write, load, requests, has_request):
    """Those between are reloaded too; a helper that has not changed is not."""
    write("index.py", "import middle, other\ndef answer():\n    return middle.far.x\n")
    write("middle.py", "import far\n")
    write("far.py", "x = 0\n")
    write("other.py", "")
    other = load("index").other
    for n in range(1, 4):
        write("far.py", f"x = {n}\n")
        if has_request:
            requests.begin()
        index = load("index")
        assert index.answer() == n
        assert index.other is other


def test_helper_of_two_handlers(write, load, requests):
    """Both are reloaded, each when it is asked for, the helper once."""
    write("one.py", HANDLER)
    write("two.py", HANDLER)
    write("helper.py", "x = object()\n")
    load("one"), load("two")
    write("helper.py", "x = object()  # changed\n")
    for _ in range(2):
        requests.begin()
        assert load("one").answer() is load("two").answer() is sys.modules["helper"].x
    requests.begin()
    assert load("two") is load("two")


def test_unchanged_modules(write, load, requests):
    """None of them is executed again."""
    write("index.py", HANDLER)
    write("helper.py", "x = 1\n")
    requests.begin()
    index, helper = load("index"), sys.modules["helper"]
    for _ in range(3):
        requests.begin()
        assert load("index") is index and index.helper is helper


def test_helper_of_a_function(write, load, requests):
    """An import statement in a function gives the helper as its file is."""
    write("index.py", "def answer():\n    import helper\n    return helper.x\n")
    for n in range(4):
        write("helper.py", f"x = {n}\n")
        requests.begin()
        assert load("index").answer() == n


def test_helper_that_another_handler_has_loaded(write, load, requests):
    """A handler's first import of it gives it as its file is now."""
    write("helper.py", "x = 1\n")
    load("helper")
    write("helper.py", "x = 22\n")
    write("index.py", HANDLER)
    requests.begin()
    assert load("index").answer() == 22


def test_bytecode_of_a_helper_is_not_believed(write, load, requests):
    """Edits within one second that keep the size are noticed."""
    write("index.py", HANDLER)
    for n in range(5):
        path = write("helper.py", f"x = {n}\n")
        os.utime(path, ns=(0, 1_700_000_000_000_000_000 + n))
        requests.begin()
        assert load("index").answer() == n


@pytest.mark.parametrize("asked", ["yin", "yang"])
@pytest.mark.parametrize("changed", ["yin", "yang"])
def test_circle(write, load, requests, asked, changed):
    """Modules that import each other are reloaded together, once."""
    write("yin.py", "import yang\nx = 1\n")
    write("yang.py", "import yin\nx = 1\n")
    load("yin")
    other = "yang" if changed == "yin" else "yin"
    write(f"{changed}.py", f"import {other}\nx = 22\n")
    requests.begin()
    module = load(asked)
    assert sys.modules[changed].x == 22
    assert module.__dict__["yang" if asked == "yin" else "yin"].__dict__[asked] is module
    before = dict(sys.modules)
    requests.begin()
    assert load(asked) is module and dict(sys.modules) == before


def test_helper_that_is_imported_no_more(write, load, requests):
    """It is not missed, and there again for who imports it later."""
    write("index.py", HANDLER)
    write("helper.py", "x = 1\n")
    load("index")
    write("index.py", "")
    write("helper.py", "x = 22\n")
    requests.begin()
    load("index")
    requests.begin()
    assert load("helper").x == 22


def test_broken_helper(write, load, requests):
    """The handler stays what it was, the error comes at every request, and it works once
    the helper does."""
    write("index.py", HANDLER)
    write("helper.py", "x = 1\n")
    index = load("index")
    write("helper.py", "1 / 0\n")
    for _ in range(2):
        requests.begin()
        with pytest.raises(ZeroDivisionError) as caught:
            load("index")
        assert [os.path.basename(entry.path) for entry in caught.traceback][-2:] == ["index.py", "helper.py"]
        assert sys.modules["index"] is index and index.answer() == 1
    write("helper.py", "x = 333\n")
    requests.begin()
    assert load("index").answer() == 333


def test_broken_handler_with_a_good_helper(write, load, requests):
    """The helper is the new one; the handler is tried again at each request."""
    write("index.py", HANDLER)
    write("helper.py", "x = 1\n")
    index = load("index")
    write("index.py", "import helper\n1 / 0\n")
    write("helper.py", "x = 22\n")
    for _ in range(2):
        requests.begin()
        with pytest.raises(ZeroDivisionError):
            load("index")
        assert sys.modules["index"] is index
    write("index.py", HANDLER)
    requests.begin()
    assert load("index").answer() == 22


def test_file_that_is_gone(write, load, requests, apache):
    """The cached module serves, with one warning; the file's return is noticed."""
    path = write("index.py", "x = 1\n")
    requests.begin()
    index = load("index")
    path.unlink()
    for _ in range(3):
        requests.begin()
        assert load("index") is index
    ((message, level),) = apache.logged
    assert message.startswith(f"KK0210: module 'index': its file {path} has gone") and level == 4
    write("index.py", "x = 22\n")
    requests.begin()
    assert load("index").x == 22


@pytest.mark.parametrize("reload", [True, False])
def test_helper_that_is_gone(write, load, import_module, requests, reload):
    """Nothing else of its name takes its place, another directory's least of all."""
    write("other/helper.py", "x = 1\n")
    requests.begin(flags=reload)
    load("helper", "other", reload=reload)
    write("index.py", HANDLER)
    write("late.py", HANDLER)
    path = write("helper.py", "x = 22\n")
    index = load("index", reload=reload)
    path.unlink()
    requests.begin(flags=reload)
    assert import_module("helper", reload=reload, importer_of=vars(index)) is index.helper
    assert load("late", reload=reload).helper is index.helper


def test_packages_are_as_ever(write, load, requests):
    """A package is no file module, and a change in it reloads nobody else."""
    write("index.py", "import pack\n")
    write("pack/__init__.py", "x = 1\n")
    requests.begin()
    index = load("index")
    assert not hasattr(index.pack, "__mp_info__") and index.__mp_info__.children == set()
    write("pack/__init__.py", "x = 22\n")
    requests.begin()
    assert load("index") is index and index.pack.x == 1


def test_freeze(own, write, load, requests):
    """freeze_modules(): nothing is reloaded any more; what is new is still imported."""
    write("index.py", HANDLER)
    write("helper.py", "x = 1\n")
    write("later.py", "import helper\n")
    index = load("index")
    own("_reload").freeze()
    write("helper.py", "x = 22\n")
    requests.begin()
    assert load("index") is index
    assert load("later").helper.x == 1


# One instance for a request


def test_one_look_in_a_request(write, load, requests):
    """What changes while a request runs is the next request's."""
    write("index.py", HANDLER)
    write("helper.py", "x = 1\n")
    request = requests.begin()
    index = load("index")
    write("index.py", "x = 22\n")
    assert load("index") is index
    requests.begin()
    new = load("index")
    assert new.x == 22
    requests.resume(request)
    assert load("index") is index


def test_statement_in_a_request_that_goes_on(write, load, requests):
    """Code that has seen the old helper goes on with it, also in modules loaded since."""
    write("index.py", "def answer():\n    import helper\n    return helper\n")
    write("late.py", "import helper\n")
    write("helper.py", "x = 1\n")
    request = requests.begin()
    index = load("index")
    old = index.answer()
    write("helper.py", "x = 22\n")
    requests.begin()
    new = load("index").answer()
    assert new.x == 22
    requests.resume(request)
    assert index.answer() is old and load("late").helper is old
    requests.begin()
    assert load("late").helper is new


def test_subrequest_and_redirect(write, load, requests):
    """They belong to the request that they come from."""
    write("index.py", "x = 1\n")
    first = requests.begin()
    index = load("index")
    write("index.py", "x = 22\n")
    redirected = requests.begin(prev=first)
    assert load("index") is index
    requests.begin(main=redirected)
    assert load("index") is index
    requests.begin()
    assert load("index").x == 22


def test_off(write, load, requests):
    """Without PythonAutoReload no file is looked at, and a request notes nothing."""
    write("index.py", HANDLER.replace("import helper\n", "") + "import helper\n")
    write("helper.py", "x = 1\n")
    request = requests.begin(flags=0)
    index = load("index", reload=False)
    write("helper.py", "x = 22\n")
    requests.begin(flags=0)
    assert load("index", reload=False) is index and index.answer() == 1
    assert request._modules is None


def test_many_threads(write, load, requests):
    """Of many requests at once each sees the changed helper; it is executed once."""
    write("helper.py", "x = object()\n")
    names = [f"handler{n}" for n in range(4)]
    for name in names:
        write(f"{name}.py", HANDLER)
        load(name)
    write("helper.py", "import time\ntime.sleep(0.02)\nx = object()\n")
    barrier = threading.Barrier(8)
    answers = []

    def call(number: int) -> None:
        barrier.wait()
        requests.begin()
        answers.append(load(names[number % 4]).answer())

    threads = [threading.Thread(target=call, args=(n,), daemon=True) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads), "deadlock"
    assert len(answers) == 8 and len(set(answers)) == 1


# __mp_clone__ and __mp_purge__


def test_clone(write, load, requests):
    """It fills the new module before that one's code runs."""
    code = """
        pool = globals().get("pool") or [__name__]
        def __mp_clone__(new):
            new.pool = pool
        """
    write("index.py", code)
    old = load("index")
    write("index.py", code + "x = 22\n")
    requests.begin()
    new = load("index")
    assert new is not old and new.pool is old.pool and new.x == 22


def test_clone_of_everything(write, load, requests):
    """A module that gives the new one all it has leaves it its own file, spec and info."""
    code = "def __mp_clone__(new):\n    vars(new).update(globals())\n"
    write("index.py", code)
    old = load("index")
    write("index.py", code + "x = 22\n")
    requests.begin()
    new = load("index")
    assert new.__spec__ is not old.__spec__ and new.__loader__ is new.__spec__.loader
    assert new.__mp_info__ is not old.__mp_info__ and new.__mp_info__.stamp != old.__mp_info__.stamp
    requests.begin()
    assert load("index") is new


def test_clone_that_fails(write, load, requests, apache):
    """It is logged, the old module's __mp_purge__() is called, and the new one is empty."""
    code = """
        purged = []
        def __mp_clone__(new):
            new.left = 1
            1 / 0
        def __mp_purge__():
            purged.append(1)
        """
    write("index.py", code)
    old = load("index")
    write("index.py", "x = 22\n")
    requests.begin()
    new = load("index")
    assert new.x == 22 and not hasattr(new, "left") and old.purged == [1]
    ((message, level),) = apache.logged
    assert message.startswith("KK0211: __mp_clone__() of module 'index'") and "ZeroDivisionError" in message
    assert level == 3


def test_no_clone_for_what_cannot_be_compiled(write, load, requests):
    """The old module keeps what it has."""
    write("index.py", "clones = []\ndef __mp_clone__(new):\n    clones.append(1)\n")
    old = load("index")
    write("index.py", "x = (\n")
    requests.begin()
    with pytest.raises(SyntaxError):
        load("index")
    assert old.clones == [] and sys.modules["index"] is old


# import_module()


def test_members(write, import_module, tmp_path):
    """A file module has __mp_info__ and __mp_path__."""
    path = write("lib/index.py", "import helper\n")
    write("lib/helper.py", "")
    module = import_module("index", path=["./lib"])
    info = module.__mp_info__
    assert (info.label, info.file, info.children) == ("index", str(path), {"helper"})
    assert module.__mp_path__ == ["./lib"] and module.helper.__mp_path__ == []


def test_file_names(write, import_module, requests, tmp_path):
    """Absolute, and from the handler's and the importing file's directories."""
    write("site/lib/index.py", "x = 1\n")
    requests.begin(directory=f"{tmp_path}/site/")
    caller = {"__file__": str(tmp_path / "site/pages/page.py")}
    names = [str(tmp_path / "site/lib/index.py"), "~/lib/index.py", "../lib/index.py", "./../lib/index.py"]
    modules = [import_module(name, importer_of=caller) for name in names]
    assert modules[0].x == 1 and len(set(map(id, modules))) == 1


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("~/x.py", ImportError, "no directory; give the absolute path"),
        ("/no/such/file.py", FileNotFoundError, "file.py"),
        ("/etc/hosts", ImportError, "ends in .py"),
        ("no_such_module", ModuleNotFoundError, "no_such_module"),
        ("lib/x.py", ImportError, r"beside the importing one is \./lib/x\.py"),
    ],
)
def test_what_cannot_be_imported(import_module, requests, name, error, text):
    """The error says what is missing."""
    requests.begin()
    with pytest.raises(error, match=text):
        import_module(name)


def test_search_order(write, import_module, load, requests, tmp_path, monkeypatch):
    """path, the importer's directory, its __mp_path__, importer.path, sys.path."""
    places = ["given", "own", "mp_path", "option", "sys_path"]
    write("own/caller.py", "")
    monkeypatch.syspath_prepend(str(tmp_path / "sys_path"))
    option = {"mod_python.importer.path": f"['{tmp_path}/option']"}
    globals = vars(load("caller", "own"))
    globals["__mp_path__"] = [f"{tmp_path}/mp_path"]
    for place in reversed(places):
        write(f"{place}/wanted.py", f"x = '{place}'\n")
        requests.begin(options=option)
        found = import_module("wanted", path=[f"{tmp_path}/given"], importer_of=globals)
        assert found.x == place


def test_statements_search_too(write, load, requests, tmp_path):
    """In the module's __mp_path__, and in importer.path from the handler's directory."""
    write("x/lib/first.py", "")
    write("x/site/index.py", "__mp_path__.append('../lib')\nimport first, second\n")
    write("x/shared/second.py", "import third\n")
    write("x/shared/third.py", "")
    options = {"mod_python.importer.path": "['~/../shared']"}
    requests.begin(options=options, directory=f"{tmp_path}/x/site/")
    index = load("index", "x/site")
    assert index.__mp_info__.children == {"first", "second"}
    assert index.second.__mp_info__.children == {"third"}


@pytest.mark.parametrize("text", ["__import__('os').getcwd()", "'/x'", "[1]", "[", "sys.path", "[" * 10000])
def test_importer_path_is_not_evaluated(write, load, requests, text):
    """What is no literal list of strings is an error that says what to write."""
    write("index.py", "import elsewhere\n")
    requests.begin(options={"mod_python.importer.path": text})
    with pytest.raises(ValueError, match="is no list of strings: write the directories"):
        load("index")


def test_log(write, import_module, requests, apache):
    """What is imported and reloaded is logged, once each."""
    write("index.py", "x = 1\n")
    for text in ("x = 1\n", "x = 1\n", "x = 22\n"):
        if text == "x = 22\n":
            write("index.py", text)
        requests.begin()
        import_module("./index.py", log=True)
    assert [message for message, _ in apache.logged] == [
        "mod_python: importing module 'index'",
        "mod_python: reimporting module 'index'",
    ]


def test_import_module_makes_a_child(write, load, requests, tmp_path, importer):
    """What a file module imports so reloads it, too."""
    write("index.py", "module = take('./helper.py', globals(), True, False)\n")
    write("helper.py", "x = 1\n")
    import builtins

    builtins.take = importer.import_module
    try:
        requests.begin()
        assert load("index").module.x == 1
        write("helper.py", "x = 22\n")
        requests.begin()
        assert load("index").module.x == 22
    finally:
        del builtins.take


# Graphs


def test_graph(own, write, load, requests):
    """Both graphs have the modules and who imports whom; verbose, the files too."""
    graph = own("_module_graph")
    write("index.py", HANDLER)
    write("helper.py", "x = 1\n")
    write('od"d.py', "")
    load("index")
    load('od"d')
    text = graph.graph(graph.all_modules())
    assert text.startswith("digraph modules {") and text.endswith("}\n")
    assert '"index" -> "helper";' in text and '"od\\"d" [label="od\\"d"];' in text
    assert "helper.py" not in text and "helper.py\\n20" in graph.graph(graph.all_modules(), 1)
    requests.begin()
    assert graph.request_modules() == []
    load("index")
    assert {info.label for info in graph.request_modules()} == {"index", "helper"}
    assert graph.module_info("helper").file.endswith("/helper.py")
    with pytest.raises(KeyError):
        graph.module_info("os")
