"""Handlers as directives name them: mod_python._handlers."""

import os
import sys
from types import SimpleNamespace

import pytest

REQUEST = object()


@pytest.fixture
def handlers(own):
    """mod_python._handlers over the stand-in for _apache."""
    return own("_handlers")


class Greeter:
    """What a handler's module may contain."""

    def __init__(self, argument):
        self.argument = argument

    def greet(self):
        """A handler as a method."""


class Refusing:
    def __init__(self, argument):
        raise ZeroDivisionError


def greet():
    """A handler as a function."""


MODULE = SimpleNamespace(
    __file__="/srv/hello.py",
    greet=greet,
    Greeter=Greeter,
    Refusing=Refusing,
    greeter=Greeter(1),
    inner=SimpleNamespace(greet=greet),
)

# resolve_object()


def test_function(handlers):
    """A name is looked up in the module, dots lead on from there."""
    assert handlers.resolve_object(MODULE, "greet", REQUEST, False) == (greet, True)
    assert handlers.resolve_object(MODULE, "inner.greet", REQUEST, False) == (greet, True)


def test_class_is_instantiated(handlers):
    """With the argument, each time, wherever on the way it is met."""
    for path in ("Greeter", "Greeter.greet"):
        found, is_lasting = handlers.resolve_object(MODULE, path, REQUEST, False)
        greeter = getattr(found, "__self__", found)
        assert type(greeter) is Greeter and greeter.argument is REQUEST
        assert not is_lasting


def test_instance_lasts(handlers):
    """A method of an instance that the module keeps is the same next time."""
    found, is_lasting = handlers.resolve_object(MODULE, "greeter.greet", REQUEST, False)
    assert found == MODULE.greeter.greet and is_lasting


@pytest.mark.parametrize("path", ["nothing", "inner.nothing", "Greeter.nothing", "greet.a.b"])
def test_missing(handlers, path):
    """The error names the file and the whole path; silent, it is None."""
    with pytest.raises(AttributeError) as caught:
        handlers.resolve_object(MODULE, path, REQUEST, False)
    assert type(caught.value).__name__ == "MissingObject"
    assert str(caught.value) == f"module '/srv/hello.py' contains no '{path}'"
    assert handlers.resolve_object(MODULE, path, REQUEST, True)[0] is None


def test_class_that_raises(handlers):
    """What a constructor raises is no missing object, silent or not."""
    for silent in (False, True):
        with pytest.raises(ZeroDivisionError):
            handlers.resolve_object(MODULE, "Refusing", REQUEST, silent)


# Handler


def handler_of(handlers, tmp_path, text, **options):
    """A handler of PythonAuthenHandler in the test's directory."""
    return handlers.Handler("PythonAuthenHandler", text, f"{tmp_path}/", **options)


@pytest.mark.parametrize(
    ("text", "module", "path"),
    [
        ("hello", "hello", "authenhandler"),
        ("hello::check", "hello", "check"),
        ("a.b::C.check", "a.b", "C.check"),
        ("hello::", "hello", "authenhandler"),
    ],
)
def test_words_of_a_directive(handlers, tmp_path, text, module, path):
    """Module and object; the phase names the object if the directive does not."""
    handler = handler_of(handlers, tmp_path, text)
    assert (handler.module, handler.path) == (module, path)
    assert str(handler) == f"PythonAuthenHandler {text}"


def test_resolve(handlers, tmp_path):
    """The module comes from the handler's directory, which comes first on sys.path."""
    file = tmp_path / "hello.py"
    file.write_text("def authenhandler(req): return 1\n")
    handler = handler_of(handlers, tmp_path, "hello")
    function = handler.resolve(REQUEST, True)
    assert function(REQUEST) == 1
    assert sys.path[0] == str(tmp_path)
    assert handler.resolve(REQUEST, True) is function
    file.write_text("def authenhandler(req): return 22\n")
    assert handler.resolve(REQUEST, False) is function
    assert handler.resolve(REQUEST, True)(REQUEST) == 22


def test_class_for_each_request(handlers, tmp_path):
    """A class makes a new object for each request, reloading or not."""
    (tmp_path / "hello.py").write_text(
        "class Check:\n    def __init__(self, req): self.req = req\n    def check(self): pass\n"
    )
    handler = handler_of(handlers, tmp_path, "hello::Check.check")
    for reload in (True, False):
        for request in (object(), object()):
            assert handler.resolve(request, reload).__self__.req is request


def test_path_that_is_replaced(handlers, importer, tmp_path):
    """The directory is back on sys.path after PythonPath has replaced that."""
    (tmp_path / "hello.py").write_text("def authenhandler(req): pass\n")
    handler = handler_of(handlers, tmp_path, "hello")
    handler.resolve(REQUEST, False)
    importer.set_path(repr(sys.path[1:]))
    assert str(tmp_path) not in sys.path
    handler.resolve(REQUEST, False)
    assert sys.path[0] == str(tmp_path)


def test_callable(handlers, tmp_path):
    """req.add_handler() may be given a callable: that is called."""
    handler = handler_of(handlers, tmp_path, greet)
    assert handler.resolve(REQUEST, True) is greet
    assert str(handler).endswith("::greet")


def test_callable_instance(handlers, tmp_path):
    """Also one that has no name."""
    handler = handler_of(handlers, tmp_path, Named())
    assert "Named" in str(handler)


class Named:
    def __call__(self, req):
        """A handler as an instance."""


def test_not_callable(handlers, tmp_path):
    """What cannot be called is refused with its type."""
    (tmp_path / "hello.py").write_text("authenhandler = 1\n")
    with pytest.raises(TypeError, match="authenhandler in module hello is no handler: it is int"):
        handler_of(handlers, tmp_path, "hello").resolve(REQUEST, True)


def test_silent(handlers, tmp_path):
    """PythonHandlerModule: a missing function is None, a missing module an error."""
    (tmp_path / "hello.py").write_text("")
    assert handler_of(handlers, tmp_path, "hello", is_silent=True).resolve(REQUEST, True) is None
    with pytest.raises(ModuleNotFoundError):
        handler_of(handlers, tmp_path, "missing", is_silent=True).resolve(REQUEST, True)


@pytest.mark.parametrize(
    ("directory", "is_location", "message"),
    [
        ("/srv/none/", False, "no module named 'missing' in /srv/none/, nor on sys.path"),
        ("/here/", True, "on sys.path: <Location /here/> has no directory .* PythonPath"),
        (None, True, "on sys.path: <Location> has no directory .* PythonPath"),
        (None, False, "on sys.path: outside any <Directory> .* PythonPath"),
    ],
)
@pytest.mark.parametrize("name", ["missing", "missing.part"])
def test_missing_module(handlers, directory, is_location, message, name):
    """The error says where it was looked for."""
    handler = handlers.Handler("PythonHandler", name, directory, is_location)
    with pytest.raises(ModuleNotFoundError, match=message.replace("'missing'", f"'{name}'")):
        handler.resolve(REQUEST, True)


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("missing.py", "write the name without '.py'"),
        ("missing:handler", "write two colons before the object"),
        ("/srv/shop/missing.py", "write the module's name, not its path"),
    ],
)
def test_misspelt_module(handlers, name, cure):
    """What is often written in place of a module's name is told with its cure."""
    handler = handlers.Handler("PythonHandler", name, "/srv/none/", False)
    with pytest.raises(ModuleNotFoundError, match=f"nor on sys.path; {cure}$"):
        handler.resolve(REQUEST, True)


@pytest.mark.parametrize("is_own", [True, False])
def test_module_behind_closed_doors(handlers, tmp_path, monkeypatch, is_own):
    """A directory that may not be listed is named: Python itself passes over it."""
    scandir = os.scandir

    def guarded(place="."):
        if place == str(tmp_path):
            raise PermissionError
        return scandir(place)

    monkeypatch.setattr(os, "scandir", guarded)
    if not is_own:
        monkeypatch.syspath_prepend(tmp_path)
    handler = handlers.Handler("PythonHandler", "missing", str(tmp_path) if is_own else None, False)
    with pytest.raises(ModuleNotFoundError, match=f"; {tmp_path} cannot be read by the user of Apache"):
        handler.resolve(REQUEST, True)


def test_module_that_lacks_another(handlers, tmp_path):
    """A module that is there and imports one that is not: that error comes through."""
    (tmp_path / "hello.py").write_text("import no_such_module\n")
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_module'") as caught:
        handler_of(handlers, tmp_path, "hello").resolve(REQUEST, True)
    assert caught.value.name == "no_such_module"


def test_places_of_a_pattern_share_what_was_found(handlers, tmp_path, monkeypatch):
    """Each has its own place; it is looked for once, and again when sys.path has changed."""
    (tmp_path / "hello.py").write_text("def authenhandler(req): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    original = handlers.Handler("PythonAuthenHandler", "hello", None, True)
    one = handlers.PlacedHandler(original, "/a.html")
    function = one.resolve(REQUEST, False)
    other = handlers.PlacedHandler(original, "/b.html")
    assert (one.directory, other.directory) == ("/a.html", "/b.html")
    assert other.direct is other.function is function and other.found_in.__name__ == "hello"
    original.direct = None
    assert one.direct is other.direct is None
    missing = handlers.PlacedHandler(handlers.Handler("PythonAuthenHandler", "none", None, True), "/a.html")
    with pytest.raises(ModuleNotFoundError, match=r"<Location /a\.html> has no directory"):
        missing.resolve(REQUEST, False)


def test_location_is_no_directory(handlers, tmp_path):
    """The path of a <Location> is not put on sys.path, though a directory may be called so."""
    (tmp_path / "hello.py").write_text("def authenhandler(req): pass\n")
    with pytest.raises(ModuleNotFoundError):
        handler_of(handlers, tmp_path, "hello", is_location=True).resolve(REQUEST, True)
    assert str(tmp_path) not in sys.path
