"""The reserved keys of PythonOption: their old names, and how values are read."""

import pytest

from mod_python import _options

# LATER, section 1.
OLD = {
    "mod_python.session.session_type": "session",
    "mod_python.session.cookie_name": "session_cookie_name",
    "mod_python.session.application_path": "ApplicationPath",
    "mod_python.session.database_directory": "session_directory",
    "mod_python.dbm_session.database_filename": "session_dbm",
    "mod_python.file_session.enable_fast_cleanup": "session_fast_cleanup",
    "mod_python.file_session.verify_session_timeout": "session_verify_cleanup",
    "mod_python.file_session.cleanup_grace_period": "session_grace_period",
    "mod_python.file_session.cleanup_time_limit": "session_cleanup_time_limit",
}
NEW_ONLY = ["mod_python.session.application_domain", "mod_python.dbm_session.database_directory"]


@pytest.mark.parametrize("key", OLD)
def test_old_names(key):
    """An old name counts where the key itself is not set."""
    assert _options.text({OLD[key]: "old"}, key, "default") == "old"
    assert _options.text({OLD[key]: "old", key: "new"}, key, "default") == "new"
    assert _options.text({}, key, "default") == "default"


@pytest.mark.parametrize("key", NEW_ONLY)
def test_no_old_name(key):
    """The others have one name only."""
    assert _options.text({key.rpartition(".")[2]: "old"}, key, "default") == "default"


@pytest.mark.parametrize("value", ["yes", "TRUE", "True", "1", "no", "False", "0", "NO"])
def test_flags(value):
    """yes, true, 1, no, false, 0 in any case."""
    expected = value.lower() in ("yes", "true", "1")
    assert _options.flag({"key": value}, "key", not expected) is expected


@pytest.mark.parametrize("value", ["on", "off", "", "2", "y", " yes", "None"])
def test_no_flags(value):
    """Anything else is a ValueError that names the key."""
    with pytest.raises(ValueError, match="PythonOption key: "):
        _options.flag({"key": value}, "key", True)


def test_default_of_a_flag():
    """Without the key it is the default."""
    assert _options.flag({}, "key", True) is True


def test_paths():
    """The bytes that a table shows as ISO-8859-1 are a file name in UTF-8; others round-trip."""
    assert _options.path({"key": "/srv/caf\u00c3\u00a9"}, "key") == "/srv/caf\u00e9"
    assert _options.path({"key": "/srv/\u00e9"}, "key") == "/srv/\udce9"
    assert _options.path({"key": "/srv"}, "key") == "/srv"
    assert _options.path({}, "key") is None
