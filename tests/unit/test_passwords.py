"""Comparing passwords: mod_python._passwords."""

import argon2
import pytest


@pytest.fixture
def passwords(own):
    return own("_passwords")


def latin1(text):
    """What a header has for text that a browser sends as UTF-8."""
    return text.encode().decode("iso-8859-1")


@pytest.mark.parametrize("stored", ["secret", b"secret"])
def test_text(passwords, stored):
    """Compared as it is."""
    assert passwords.is_right(stored, "secret")
    assert not passwords.is_right(stored, "Secret")
    assert not passwords.is_right(stored, "")


@pytest.mark.parametrize("sent", [latin1("pässwörd"), "pässwörd"])
def test_text_beyond_ascii(passwords, sent):
    """Browsers send UTF-8, other programs ISO-8859-1."""
    assert passwords.is_right("pässwörd", sent)
    assert not passwords.is_right("passwörd", sent)


def test_text_beyond_iso_8859_1(passwords):
    """It can come as UTF-8 only."""
    assert passwords.is_right("пароль", latin1("пароль"))
    assert not passwords.is_right("пароль", "??????")


@pytest.mark.parametrize("stored", [None, 0, 1, True, ["secret"], object()])
def test_what_is_no_password_is_never_right(passwords, stored):
    """Nothing is guessed."""
    assert not passwords.is_right(stored, str(stored))


@pytest.mark.parametrize(
    "stored",
    ["{SHA}abc", "$apr1$x$y", "$2y$05$abc", "$5$a$b", "$6$a$b", "$y$a$b", "{SSHA}abc", "$argon2id$v=19$x"],
)
def test_a_hash_is_no_password(passwords, stored):
    """Who has read it cannot send it."""
    assert not passwords.is_right(stored, stored)


def test_hashes_are_aprs(passwords):
    """The stand-in's hash of a password is that backwards."""
    assert passwords.is_right("{SHA}terces", "secret")
    assert passwords.is_right(b"{SHA}terces", "secret")
    assert not passwords.is_right("{SHA}terces", "terces")


def test_bcrypt_2b_is_2y(passwords, apache):
    """APR knows the algorithm by its other name only."""
    seen = []
    apache._password_validate = lambda password, hash: seen.append(hash) or True
    assert passwords.is_right("$2b$05$salt$2b$", "secret")
    assert seen == [b"$2y$05$salt$2b$"]


def test_argon2(passwords):
    """By argon2-cffi."""
    stored = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("secret")
    assert passwords.is_right(stored, "secret")
    assert not passwords.is_right(stored, "Secret")
    assert not passwords.is_right(stored[:-5], "secret")


def test_argon2_without_its_library(passwords, monkeypatch):
    """An error that says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "argon2", None)
    with pytest.raises(ImportError, match="/bin/pip install argon2-cffi"):
        passwords.is_right("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$abc", "secret")


@pytest.mark.parametrize("name", ["José", latin1("José")])
def test_users(passwords, name):
    """Found by their names, as either encoding has them."""
    users = {"José": "secret", "Eva": "apple"}
    assert passwords.is_user(users, name, "secret")
    assert not passwords.is_user(users, name, "apple")
    assert not passwords.is_user(users, "Adam", "secret")
    assert not passwords.is_user({}, "Adam", "secret")


def test_unknown_users_cost_a_comparison(passwords, apache):
    """So that the time does not tell who exists."""
    seen = []
    apache._password_validate = lambda password, hash: bool(seen.append(hash))
    assert not passwords.is_user({"Eva": "$2y$05$abc"}, "Adam", "apple")
    assert seen == [b"$2y$05$abc"]
