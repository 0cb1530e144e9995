"""sys.path as handlers' directories and PythonPath make it: mod_python._importer."""

import sys

import pytest


def test_directory_in_front(importer, monkeypatch):
    """The newest directory comes first; one that is there stays where it is."""
    monkeypatch.setattr(sys, "path", ["/lib"])
    for directory in ("/a/", "/b/", "/a/", "/b"):
        importer.add_directory(directory)
    assert sys.path == ["/b", "/a", "/lib"]


def test_root_directory(importer, monkeypatch):
    """Of "/" there is more left than an empty string."""
    monkeypatch.setattr(sys, "path", [])
    importer.add_directory("/")
    assert sys.path == ["/"]


def test_path_replaces(importer, monkeypatch):
    """The list takes the place of what sys.path held, in the same list object."""
    path = ["/old"]
    monkeypatch.setattr(sys, "path", path)
    importer.set_path("sys.path + ['/new']")
    assert sys.path is path and path == ["/old", "/new"]


def test_path_that_is_set_again(importer, monkeypatch):
    """The same text does nothing: what code has changed stays."""
    monkeypatch.setattr(sys, "path", ["/old"])
    importer.set_path("['/new']")
    generation = importer.path_generation()
    sys.path.append("/more")
    importer.set_path("['/new']")
    assert sys.path == ["/new", "/more"]
    assert importer.path_generation() == generation


def test_paths_by_turns(importer, monkeypatch):
    """Two directories with their own PythonPath do not make it grow."""
    monkeypatch.setattr(sys, "path", ["/old"])
    generation = importer.path_generation()
    for _ in range(10):
        for name in "ab":
            importer.set_path(f"sys.path + ['/{name}']")
            assert f"/{name}" in sys.path
    assert len(sys.path) <= 3
    assert importer.path_generation() == generation + 20


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("['/a'", "SyntaxError: .*never closed"),
        ("no_such_name", "NameError: name 'no_such_name'"),
        ("'/a'", "it is no list of strings, but '/a'"),
        ("['/a', 1]", r"it is no list of strings, but \['/a', 1\]"),
        ("('/a',)", "it is no list of strings"),
    ],
)
def test_bad_path(importer, text, message):
    """What is no list is a ValueError that says why; sys.path stays."""
    before = sys.path[:]
    with pytest.raises(ValueError, match=message):
        importer.evaluate_path(text)
    with pytest.raises(ValueError, match=message):
        importer.set_path(text)
    assert sys.path == before


def test_path_may_use_os(importer):
    """os and sys are there for the expression."""
    assert importer.evaluate_path("[os.path.join('/a', 'b')] + sys.path")[0] == "/a/b"
