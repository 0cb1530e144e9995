"""What a program does wrong costs it its response, not the server (docs/reliability.md):
every member is set to, and every method called with, what nobody should, in every phase."""

import json
import re
import time
from pathlib import Path

import pytest

from plugins.installation import PATIENCE, SANITIZED

PROBES = Path(__file__).with_name("hostile_probes.py")

CONFIG = """
    PythonPath "sys.path + ['${root}/lib']"
    PythonPostReadRequestHandler hostile_probes
    PythonTransHandler hostile_probes
    PythonInputFilter hostile_probes::inputfilter PROBE
    PythonOutputFilter hostile_probes::outputfilter PROBE
    Timeout 5
    KeepAliveTimeout 50ms
    <Location />
        AuthType Basic
        AuthName x
        Require valid-user
        PythonHeaderParserHandler hostile_probes
        PythonAccessHandler hostile_probes
        PythonAuthenHandler hostile_probes
        PythonAuthzHandler hostile_probes
        PythonTypeHandler hostile_probes
        PythonFixupHandler hostile_probes
        SetHandler python-program
        PythonHandler hostile_probes::contenthandler
        PythonLogHandler hostile_probes
        PythonCleanupHandler hostile_probes
    </Location>
    <Location /filtered>
        SetInputFilter PROBE
        SetOutputFilter PROBE
    </Location>
    <Location /list>
        PythonHandler hostile_probes::listhandler
    </Location>
    """
MODULES = (
    "proxy",
    "proxy_http",
    "status",
    "include",
    "deflate",
    "filter",
    "headers",
    "negotiation",
    "autoindex",
)

PHASES = [
    *("postreadrequest", "trans", "headerparser", "access", "authen", "authz", "type", "fixup"),
    *("content", "outputfilter", "inputfilter", "log", "cleanup"),
]
FILTERS = ("outputfilter", "inputfilter")
# Requests for a phase, with the sanitizers; without, there is one for everything.
MOST = 60
STATUS = re.compile(rb"HTTP/1\.1 (\d\d\d) ")
# What makes an answer that has none.
WITHOUT_STATUS = {"assbackwards", "_send_raw"}
# Not the program's exception: one of the C API's, or of what runs handlers.
BROKEN = re.compile("hostile: |KK0109")


def exchange(server, text, body=b""):
    """What comes for a request, until the server closes."""
    with server.connect() as connection:
        connection.send(f"{text}\r\nAuthorization: Basic eDp5\r\n\r\n".encode() + body)
        return connection.read_all()


def what_to_try(server, phase):
    """[phase, target, name, number of the value] for members, [phase, target, name] for methods."""
    answer = exchange(server, "GET /list HTTP/1.0")
    members, methods = json.loads(answer.rpartition(b"\n")[2])
    assert len(members) > 250
    assert len(methods) > 100
    found = [[phase, *one] for one in members + methods if one[0] != "filter" or phase in FILTERS]
    every = len(found) // MOST + 1 if SANITIZED else 1
    return found[PHASES.index(phase) % every :: every]


def check(server, asked):
    """One request: there is an answer, and the log has the cause of a failure."""
    before = len(server.error_log.records())
    path = "/filtered/y" if asked[0] in FILTERS else "/x/y"
    probe = f"POST {path}?a=b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n"
    answer = exchange(server, f"{probe}X-Probe: {json.dumps(asked)}", b"body")
    status = STATUS.match(answer)
    assert status or (answer and asked[2] in WITHOUT_STATUS), (asked, answer[:200])
    if status and status[1][0] == ord("5") and not asked[2].startswith("status"):
        records = server.error_log.records()
        deadline = time.monotonic() + 2 * PATIENCE
        while not any(record.serious for record in records[before:]) and time.monotonic() < deadline:
            time.sleep(0.005)
            records = server.error_log.records()
        assert any(record.serious for record in records[before:]), (asked, answer[:200])


@pytest.mark.parametrize("phase", PHASES)
def test_values(httpd, phase):
    """The child lives, answers each request, and says in the log why one failed."""
    server = httpd(CONFIG, {"lib/hostile_probes.py": PROBES.read_text()}, modules=MODULES)
    server.changed = True  # a child's own tables, for one
    asked = what_to_try(server, phase)
    children = server.child_pids()
    for one in asked:
        check(server, one)
    assert server.child_pids() == children
    wrong = [r.message for r in server.error_log.unexpected() if r.fatal or BROKEN.search(r.message)]
    assert not wrong
