"""docs/error-codes.md and the sources know the same error codes."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = [
    *(ROOT / "core").glob("*.[ch]"),
    *(ROOT / "src" / "mod_python").glob("*.py"),
]
HEADING = re.compile(r"^## (KK\d{4})$", re.MULTILINE)
CODE = re.compile(r"KK\d{4}")


def documented():
    """The codes that have a section, in its order."""
    return HEADING.findall((ROOT / "docs" / "error-codes.md").read_text())


def used():
    """The codes that the sources write, and the files that do."""
    files = {}
    for path in SOURCES:
        for code in CODE.findall(path.read_text()):
            files.setdefault(code, set()).add(path.name)
    return files


def test_every_code_is_documented():
    """Who finds a code in the log finds it in the documentation."""
    missing = {code: files for code, files in used().items() if code not in documented()}
    assert not missing


def test_every_documented_code_is_used():
    """The documentation has none that cannot be met."""
    assert set(documented()) <= set(used())


def test_each_has_one_section_in_order():
    """They are found by their number."""
    assert documented() == sorted(set(documented()))


def test_each_section_tells_level_and_meaning():
    """A section begins with the level, and what has happened."""
    sections = HEADING.split((ROOT / "docs" / "error-codes.md").read_text())[1:]
    for code, text in zip(sections[::2], sections[1::2], strict=True):
        assert re.match(r"\n\nLevel: (critical|error|warning|info)\.\n\*.+\*\n\n", text), code
