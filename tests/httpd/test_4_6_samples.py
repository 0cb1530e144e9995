"""The samples of docs/forms.md do what it says."""

from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"


@pytest.fixture
def sample(httpd):
    """A site with one of the samples; its uploads go below it."""

    def sample(name):
        text = (SAMPLES / f"{name}.py").read_text()
        site = httpd.site(f"SetHandler python-program\nPythonHandler {name}\n")
        directory = site.directory / "uploads"
        directory.mkdir()
        directory.chmod(0o777)
        site.write(f"{name}.py", text.replace("/srv/uploads", str(directory)))
        return site, directory

    return sample


def test_greet(sample):
    """Names and colours, escaped, however many there are."""
    site, _ = sample("greet")
    assert site.get("x").text == "<p>Hello, stranger!\n"
    text = site.post("x?colour=red", data={"name": ["<Eva>", "Zoe"], "colour": "blue"}).text
    assert text == "<p>Hello, &lt;Eva&gt;!\n<p>You like red.\n<p>You like blue.\n"


def test_keep(sample):
    """An upload is kept under a name that the program has made up."""
    site, directory = sample("keep")
    content = b"\r\n" * 100_000
    assert site.post("x", files={"photo": ("../x", content)}).text == "200000 bytes of '../x'\n"
    [file] = directory.iterdir()
    assert file.read_bytes() == content
    for wrong in ({"data": {"photo": "x"}}, {"files": {"photo": ("", b"")}}, {"data": {"a": "b"}}):
        assert site.post("x", **wrong).status_code == 400


def test_straight(sample):
    """An upload goes where the program has said."""
    site, directory = sample("straight")
    text = site.post("x", files={"f": ("x", b"spam")}).text
    [file] = directory.iterdir()
    assert text == f"'x' is {file}\n" and file.read_bytes() == b"spam"
