"""Asking a server: requests whose answers are looked at, load from wrk, and lines to be echoed."""

import http.client
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 16
"""Open connections, as the project's marks are stated for."""

THREADS = 1
"""Threads of wrk. One is busy for a third of a processor's time, so it is no
limit, and it counts over exactly the time it worked; of two, one may stop a
tenth of a second before the other."""

TIMEOUT = 30
"""Seconds an answer may take before it counts as a failure; CGI is slow."""

LINE = b"The quick brown fox jumps over the lazy dog, again and again.\n"
"""What is echoed."""

BOUNDARY = "----boundary-of-a-form"

RECEIVE = 1 << 18
"""Bytes of echoes taken at once, at most."""

SUMMARY = Path(__file__).with_name("summary.lua")


class LoadError(Exception):
    """An answer was wrong or missing, or wrk could not run."""


@dataclass(frozen=True)
class Answer:
    """One HTTP response; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Load:
    """What one slice of load measured."""

    requests: int
    rate: float
    """Requests per second."""
    median: float | None = None
    """Median latency in milliseconds; None where lines are on their way together."""
    slow: float | None = None
    """99th percentile of the latency in milliseconds."""
    failed: int = 0
    """Requests that got no answer or a wrong one."""


def fetch(port: int, path: str, headers: Mapping[str, str], requests: int) -> Iterator[Answer]:
    """Get `path` from the server on `port` of this machine, `requests` times on one connection.

    Raises:
        LoadError: no answer came.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        for _ in range(requests):
            connection.request("GET", path, headers=dict(headers))
            response = connection.getresponse()
            body = response.read()
            names = {name.lower(): value for name, value in response.getheaders()}
            yield Answer(response.status, names, body)
    except (OSError, http.client.HTTPException) as error:
        raise LoadError(f"no answer: {error!r}") from error
    finally:
        connection.close()


def press(
    port: int,
    path: str,
    headers: Mapping[str, str],
    seconds: int,
    losses: float,
    connections: int = CONNECTIONS,
) -> Load:
    """Load `path` with wrk for `seconds`.

    With more connections than usual the server may close some that wait for their next
    request; wrk opens others.

    Raises:
        LoadError: more requests than the share `losses` failed or were answered with an error status.
    """
    command = ["wrk", f"-t{THREADS}", f"-c{connections}", f"-d{seconds}s"]
    command += [f"--timeout={TIMEOUT}s", "-s", str(SUMMARY)]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    command.append(f"http://127.0.0.1:{port}{path}")
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise LoadError(run.stderr.strip() or run.stdout.strip())
    # wrk prints its own text first; the summary is the last line.
    summary = json.loads(run.stdout.splitlines()[-1])
    requests, failed = summary["requests"], summary["failed"]
    if connections <= CONNECTIONS:
        failed += summary["closed"]
    if failed > losses * requests or not requests:
        raise LoadError(f"{failed} of {requests} requests failed")
    return Load(requests, requests / summary["seconds"], summary["median"], summary["slow"], failed)


def echo(port: int, lines: int) -> Load:
    """Send `lines` lines over one connection, without waiting for their echoes, which are read meanwhile.

    Raises:
        LoadError: what came back is not what was sent.
    """
    sent = LINE * lines
    start = time.perf_counter()
    try:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
            sender = threading.Thread(target=send, args=(connection, sent), daemon=True)
            sender.start()
            echoed = receive(connection, len(sent))
            sender.join()
    except OSError as error:
        raise LoadError(f"no echo: {error!r}") from error
    seconds = time.perf_counter() - start
    if echoed != sent:
        raise LoadError(f"{len(echoed)} bytes of echoes are not the {len(sent)} bytes sent")
    return Load(lines, lines / seconds)


def upload(port: int, path: str, size: int, times: int) -> Load:
    """Send a form with a file of `size` bytes to `path`, `times` times on one connection; the
    answer is the size of the file, or of the whole.

    Raises:
        LoadError: no answer came, or not OK.
    """
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="file.bin"\r\n\r\n'
    body = head.encode() + bytes(size) + f"\r\n--{BOUNDARY}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    start = time.perf_counter()
    try:
        for _ in range(times):
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            answer = response.read()
            if response.status != 200 or int(answer) not in (size, len(body)):
                raise LoadError(f"status {response.status}, {answer[:80]!r} to an upload of {size} bytes")
    except (OSError, http.client.HTTPException) as error:
        raise LoadError(f"no answer: {error!r}") from error
    finally:
        connection.close()
    return Load(times, times / (time.perf_counter() - start))


def send(connection: socket.socket, data: bytes) -> None:
    """Send everything; a failure shows in what is received."""
    with suppress(OSError):
        connection.sendall(data)


def receive(connection: socket.socket, size: int) -> bytes:
    """Receive `size` bytes, or what comes before the end."""
    received = bytearray()
    while len(received) < size:
        data = connection.recv(RECEIVE)
        if not data:
            break
        received += data
    return bytes(received)


def wrk_version() -> str:
    """The version of wrk, which prints it with its usage and a failure status.

    Raises:
        LoadError: wrk is not installed.
    """
    if shutil.which("wrk") is None:
        raise LoadError("wrk, which makes the load, is not installed: apt-get install wrk")
    run = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False)
    return run.stdout.split(" Copyright")[0].strip()
