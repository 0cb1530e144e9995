"""Asking a server: one request whose answer is looked at, and load from wrk."""

import http.client
import json
import shutil
import subprocess
from collections.abc import Mapping
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
    median: float
    """Median latency in milliseconds."""
    slow: float
    """99th percentile of the latency in milliseconds."""


def fetch(port: int, path: str, headers: Mapping[str, str]) -> Answer:
    """Get `path` once from the server on `port` of this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request("GET", path, headers=dict(headers))
        response = connection.getresponse()
        body = response.read()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, body)
    except (OSError, http.client.HTTPException) as error:
        raise LoadError(f"no answer: {error!r}") from error
    finally:
        connection.close()


def press(port: int, path: str, headers: Mapping[str, str], seconds: int) -> Load:
    """Load `path` with wrk for `seconds`.

    Raises:
        LoadError: a request failed or was answered with an error status.
    """
    command = ["wrk", f"-t{THREADS}", f"-c{CONNECTIONS}", f"-d{seconds}s"]
    command += [f"--timeout={TIMEOUT}s", "-s", str(SUMMARY)]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    command.append(f"http://127.0.0.1:{port}{path}")
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise LoadError(run.stderr.strip() or run.stdout.strip())
    # wrk prints its own text first; the summary is the last line.
    summary = json.loads(run.stdout.splitlines()[-1])
    if summary["failed"] or not summary["requests"]:
        raise LoadError(f"{summary['failed']} of {summary['requests']} requests failed")
    requests = summary["requests"]
    return Load(requests, requests / summary["seconds"], summary["median"], summary["slow"])


def wrk_version() -> str:
    """The version of wrk, which prints it with its usage and a failure status.

    Raises:
        LoadError: wrk is not installed.
    """
    if shutil.which("wrk") is None:
        raise LoadError("wrk, which makes the load, is not installed: apt-get install wrk")
    run = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False)
    return run.stdout.split(" Copyright")[0].strip()
