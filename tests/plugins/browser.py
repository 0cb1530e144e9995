"""Headless Chromium, driven as a person would: pages, text typed, files chosen, buttons.

It is told what to do over a pair of pipes, in the Chrome DevTools Protocol.
"""

import fcntl
import json
import os
import select
import shutil
import signal
import time
from pathlib import Path
from typing import Any

from .installation import PATIENCE

CHROMIUM = shutil.which("chromium")
TIMEOUT = 60 * PATIENCE
# The program reads 3 and writes 4; our own ends must be neither.
LOWEST = 10
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-pipe",
)


def pipe() -> tuple[int, int]:
    """The two ends of a pipe, away from the numbers that the program uses."""
    ends = os.pipe()
    read, write = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, LOWEST) for end in ends)
    for end in ends:
        os.close(end)
    return read, write


class Browser:
    """A Chromium with one page, for a `with` statement."""

    def __init__(self, profile: Path) -> None:
        """profile: a directory for it to keep its files in."""
        assert CHROMIUM
        commands, self._write = pipe()
        self._read, answers = pipe()
        self._pid = os.posix_spawn(
            CHROMIUM,
            [CHROMIUM, *ARGUMENTS, f"--user-data-dir={profile}", "about:blank"],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, commands, 3),
                (os.POSIX_SPAWN_DUP2, answers, 4),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
        )
        os.close(commands)
        os.close(answers)
        self._pending = b""
        self._events: list[str] = []
        self._last = 0
        self._session: str | None = None

    def __enter__(self) -> "Browser":
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._call("Page.enable")
        return self

    def __exit__(self, *exc_info: object) -> None:
        os.close(self._write)  # which ends it
        os.close(self._read)
        end = time.monotonic() + 5
        while os.waitpid(self._pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > end:
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
                break
            time.sleep(0.01)

    def open(self, url: str) -> None:
        """Goes to an address, and waits until the page is there."""
        self._events.clear()
        self._call("Page.navigate", url=url)
        self._wait_for_page()

    def run(self, script: str) -> Any:
        """The value of a piece of JavaScript."""
        done = self._call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def type(self, selector: str, text: str) -> None:
        """Puts the focus on an element, and types."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self._call("Input.insertText", text=text)

    def choose_files(self, selector: str, *paths: Path) -> None:
        """Chooses files in an input of type file."""
        root = self._call("DOM.getDocument")["root"]["nodeId"]
        node = self._call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._call("DOM.setFileInputFiles", files=[str(path) for path in paths], nodeId=node)

    def click(self, selector: str) -> None:
        """Clicks on what leads to another page, and waits until it is there."""
        self._events.clear()
        self.run(f"document.querySelector({json.dumps(selector)}).click()")
        self._wait_for_page()

    def text(self) -> str:
        """What a person reads."""
        return str(self.run("document.body.innerText"))

    def _wait_for_page(self) -> None:
        while "Page.loadEventFired" not in self._events:
            self._receive()

    def _call(self, method: str, **params: object) -> dict[str, Any]:
        """The result of a command."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        while (answer := self._receive()).get("id") != self._last:
            pass
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def _receive(self) -> dict[str, Any]:
        """The next message; the names of events are kept."""
        while b"\0" not in self._pending:
            if not select.select([self._read], [], [], TIMEOUT)[0]:
                raise TimeoutError(f"Chromium has said nothing for {TIMEOUT} s")
            data = os.read(self._read, 1 << 16)
            if not data:
                raise EOFError("Chromium has ended")
            self._pending += data
        text, _, self._pending = self._pending.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        self._events.append(message.get("method", ""))
        return message
