"""Modules of other projects, from beside the package: mod_python._beside."""

import sys

import pytest


@pytest.fixture
def beside(own, monkeypatch, tmp_path):
    """The module, with another directory beside it."""
    module = own("_beside")
    monkeypatch.setattr(module, "_DIRECTORY", str(tmp_path / "beside"))
    (tmp_path / "beside").mkdir()
    yield module
    for name in [name for name in sys.modules if name.startswith(("mod_python._beside.", "spam_beside"))]:
        del sys.modules[name]


@pytest.mark.parametrize("package", [None, "beside/spam_beside", "other/spam_beside"])
def test_the_file_beside_it_is_taken(beside, monkeypatch, tmp_path, package):
    """Whatever else has its name, beside it or on sys.path."""
    (tmp_path / "beside" / "spam_beside.py").write_text("WHICH = 'ours'")
    if package:
        (tmp_path / package).mkdir(parents=True)
        (tmp_path / package / "__init__.py").write_text("WHICH = 'another'")
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    assert beside.load("spam_beside").WHICH == "ours"
    assert beside.load("spam_beside") is beside.load("spam_beside")
    assert "spam_beside" not in sys.modules


def test_elsewhere(beside, monkeypatch, tmp_path):
    """Where there is none beside it, sys.path has it; or nobody."""
    with pytest.raises(ImportError):
        beside.load("spam_beside")
    (tmp_path / "spam_beside.py").write_text("WHICH = 'elsewhere'")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert beside.load("spam_beside").WHICH == "elsewhere"


def test_failure(beside, tmp_path):
    """A module that fails is not kept half done."""
    (tmp_path / "beside" / "spam_beside.py").write_text("1/0")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            beside.load("spam_beside")
