"""The environments of the applications that tests/httpd runs: plugins/applications.py."""

import threading

import pytest

from plugins import applications
from plugins.installation import SANITIZED

pytestmark = pytest.mark.skipif(SANITIZED, reason="with the sanitizers none is installed")


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """What is installed where, instead of installing it."""
    calls = []
    monkeypatch.setattr(applications, "DIRECTORY", tmp_path / "applications")

    def install(place, requirements):
        place.mkdir()
        calls.append(requirements)

    monkeypatch.setattr(applications, "_install", install)
    return calls


def test_made_once(installed):
    """However many ask, and whenever."""
    places = []
    threads = [
        threading.Thread(target=lambda: places.append(applications.environment("spam", "spam==1")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(places)) == 1
    assert applications.environment("spam", "spam==1") == places[0]
    assert installed == [("spam==1",)]


def test_other_versions(installed):
    """Another version takes the place of the one before."""
    first = applications.environment("spam", "spam==1")
    assert applications.environment("spam", "spam==2").exists()
    assert not first.exists()


def test_an_interrupted_installation(installed, monkeypatch):
    """What was not finished is made anew."""
    place = applications.environment("spam", "spam==1")
    (place / "complete").unlink()
    assert applications.environment("spam", "spam==1") == place
    assert len(installed) == 2


def test_no_network(monkeypatch, tmp_path):
    """Without the registry the test is skipped, and says why; nothing else skips it."""
    monkeypatch.setattr(applications, "DIRECTORY", tmp_path)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/")
    with pytest.raises(pytest.skip.Exception, match="no network: spam==1"):
        applications.environment("spam", "spam==1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(AssertionError, match="No matching distribution"):
        applications.environment("spam", "spam==1")
