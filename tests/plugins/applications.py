"""Programs that nobody here wrote, each with what it needs in an environment of its own,
and a user who fills in their forms as a browser does."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from bs4 import BeautifulSoup, Tag

from .client import TIMEOUT, tls_context
from .installation import SANITIZED

# What pip says of a registry that it does not reach.
NO_NETWORK = ("Failed to establish a new connection", "NameResolutionError", "TimeoutError")
# Beside the module, where Apache's children can read it, and `make clean` finds it.
DIRECTORY = Path(sys.prefix, "applications")


def run(*command: object, **options: Any) -> str:
    """A command that must not fail; its output."""
    words = [str(word) for word in command]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    return done.stdout


def environment(name: str, *requirements: str) -> Path:
    """The environment with these packages: made by the first test run, or worker, that asks.

    Skips the test if they are not there and the registry is out of reach.
    """
    if SANITIZED:
        pytest.skip("with the sanitizers, applications of this size take minutes")
    key = hashlib.sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()[:8]
    DIRECTORY.mkdir(exist_ok=True)
    DIRECTORY.chmod(0o755)
    place = DIRECTORY / f"{name}-{key}"
    with (DIRECTORY / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            for old in DIRECTORY.glob(f"{name}-*"):
                shutil.rmtree(old)
            _install(place, requirements)
            (place / "complete").touch()
    return place


def _install(place: Path, requirements: tuple[str, ...]) -> None:
    """Makes a virtual environment; what is in it is compiled, for Apache's children cannot write."""
    run(sys.executable, "-m", "venv", "--without-pip", place, umask=0o022)
    words = [sys.executable, "-m", "pip", "--python", place / "bin/python", "install", "--quiet"]
    words += ["--disable-pip-version-check", "--retries", "2", "--compile", *requirements]
    done = subprocess.run(list(map(str, words)), check=False, capture_output=True, text=True, umask=0o022)
    if done.returncode != 0 and any(text in done.stderr for text in NO_NETWORK):
        pytest.skip(f"no network: {', '.join(requirements)} cannot be installed")
    assert done.returncode == 0, done.stdout + done.stderr


def give_to_everybody(directory: Path) -> None:
    """Apache's children, which are another user's, may read and write what is in directory."""
    for path in [directory, *directory.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)


class Page:
    """An answer as a user has it."""

    def __init__(self, user: "User", response: httpx.Response) -> None:
        self.response = response
        self.status = response.status_code
        self._user = user

    @property
    def text(self) -> str:
        """What a person reads."""
        return " ".join(self.soup.get_text(" ").split())

    @property
    def soup(self) -> BeautifulSoup:
        return BeautifulSoup(self.response.text, "html.parser")

    def find(self, selector: str) -> Tag:
        """The first element that a CSS selector matches."""
        found = self.soup.select_one(selector)
        assert found is not None, f"no {selector} in {self.response.url}:\n{self.response.text}"
        return found

    def address(self, selector: str) -> str:
        """The address that a link, image or form leads to."""
        self.find(selector)
        return self.addresses(selector)[0]

    def addresses(self, selector: str) -> list[str]:
        """The same of all that the selector matches."""
        links = [
            next((str(tag[name]) for name in ("href", "src", "action") if name in tag.attrs), "")
            for tag in self.soup.select(selector)
        ]
        return [urljoin(str(self.response.url), link) for link in links]

    def fields(self, selector: str) -> dict[str, Any]:
        """What a browser sends of a form, but for buttons."""
        fields: dict[str, Any] = {}
        for tag in self.find(selector).select("input, textarea, select"):
            name, kind = tag.get("name"), tag.get("type", "text")
            if not name or kind in ("submit", "button", "file", "image", "reset"):
                continue
            if kind in ("checkbox", "radio") and "checked" not in tag.attrs:
                continue
            if tag.name == "select":
                options = tag.select("option")
                chosen = [option for option in options if "selected" in option.attrs]
                if not chosen and "multiple" not in tag.attrs:
                    chosen = options[:1]
                fields[str(name)] = [option.get("value", option.get_text()) for option in chosen]
            elif tag.name == "textarea":
                fields[str(name)] = tag.get_text().removeprefix("\n")
            else:
                fields[str(name)] = tag.get("value", "")
        return fields

    def submit(
        self,
        selector: str,
        values: Mapping[str, Any] | None = None,
        files: Any = None,
        **options: Any,
    ) -> "Page":
        """The page behind a form that is filled in with values; None leaves a field out."""
        form = self.find(selector)
        fields = self.fields(selector) | dict(values or {})
        fields = {name: value for name, value in fields.items() if value is not None}
        address = self.address(selector)
        headers = {"Referer": str(self.response.url)} | options.pop("headers", {})
        if str(form.get("method", "get")).lower() == "get":
            return self._user.get(address, params=fields, headers=headers, **options)
        if form.get("enctype") == "multipart/form-data" and not files:
            files = {"": ("", b"")}  # an input of type file without a file
        return self._user.post(address, data=fields, files=files, headers=headers, **options)


class User:
    """Somebody with a browser: cookies and connections are kept, redirects followed."""

    def __init__(self, url: str, **options: Any) -> None:
        self._client = httpx.Client(
            base_url=url,
            timeout=TIMEOUT,
            trust_env=False,
            verify=tls_context(),
            follow_redirects=True,
            **options,
        )

    @property
    def cookies(self) -> httpx.Cookies:
        return self._client.cookies

    def request(self, method: str, path: str = "", **options: Any) -> Page:
        return Page(self, self._client.request(method, path, **options))

    def get(self, path: str = "", **options: Any) -> Page:
        return self.request("GET", path, **options)

    def post(self, path: str = "", **options: Any) -> Page:
        return self.request("POST", path, **options)

    def __enter__(self) -> "User":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._client.close()


def user(url: str, **options: Any) -> User:
    """A user of the site at url; options are httpx.Client's."""
    return User(url, **options)
