"""Manual 4.6, uploads: byte for byte, whatever their size, and nothing left behind."""

import contextlib
import hashlib
import os
import random
import re
import signal
import subprocess
from pathlib import Path

import pytest

from plugins.installation import PATIENCE, SANITIZED
from plugins.process import wait_for

BOUNDARY = b"---------------------------1234"
HEAD = b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="f"; filename="f.bin"\r\n\r\n'
TAIL = b"\r\n--" + BOUNDARY + b"--\r\n"
SETUP = "SetHandler python-program\nPythonHandler upload\n"

UPLOAD = """
    import hashlib
    from mod_python import apache, util

    def handler(req):
        form = util.FieldStorage(req)
        digest, size, file = hashlib.sha256(), 0, form["f"].file
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
        req.write(f"{size} {digest.hexdigest()}")
        return apache.OK
    """


def head_of(site, size):
    """The request's header for an upload of so many bytes."""
    length = len(HEAD) + size + len(TAIL)
    lines = [f"POST {site.prefix}x HTTP/1.1", "Host: x", "Connection: close", f"Content-Length: {length}"]
    lines += [f"Content-Type: multipart/form-data; boundary={BOUNDARY.decode()}", "", ""]
    return "\r\n".join(lines).encode() + HEAD


def answer_to(content):
    """What the handler says of it."""
    return f"{len(content)} {hashlib.sha256(content).hexdigest()}".encode()


def spooling(httpd, directory, options=""):
    """A site whose uploads go to a directory."""
    config = f'{SETUP}PythonOption mod_python.form.directory "{directory}"\n{options}'
    return httpd.site(config, {"upload.py": UPLOAD})


PIECES = [b"\r", b"\n", b"\r\n", b"--", b"\r\n--" + BOUNDARY[:-1], BOUNDARY, b"\0", b"\x1a", b"spam" * 50]


@pytest.mark.parametrize("seed", range(4))
def test_byte_by_byte(httpd, seed):
    """What could be taken for a delimiter arrives unchanged, in whatever pieces it comes."""
    chance = random.Random(seed)
    content = b"".join(chance.choices(PIECES, k=60))
    site = spooling(httpd, "/tmp", "PythonOption mod_python.form.spool_size 100")
    data = head_of(site, len(content)) + content + TAIL
    with site.connect() as connection:
        connection.socket.setsockopt(6, 1, 1)  # TCP_NODELAY: each piece is a segment
        while data:
            size = chance.choice([1, 2, 3, 50, 500])
            connection.send(data[:size])
            data = data[size:]
        assert connection.response().body == answer_to(content)


@pytest.mark.parametrize("distance", [-3, -2, -1, 0, 1, 2, 3])
@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n", b"\r\n\r\n", b""])
def test_ends_of_blocks(httpd, distance, end):
    """Nor does it matter where a block of what is read ends."""
    site = spooling(httpd, "/tmp")
    content = b"x" * ((1 << 18) - len(HEAD) - len(end) + distance) + end
    with site.connect() as connection:
        connection.send(head_of(site, len(content)) + content + TAIL)
        assert connection.response().body == answer_to(content)


def open_files(pid, directory):
    """The files below a directory that a process has open."""
    targets = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            targets.append(os.readlink(link))
    return [target for target in targets if target.startswith(f"{directory}/")]


@pytest.fixture
def spool(httpd):
    """A directory of uploads, that the children may write to."""
    server = httpd.unstarted()
    directory = server.root / "spool"
    directory.mkdir()
    directory.chmod(0o777)
    server.start()
    return server, directory


@pytest.mark.parametrize("how", ["done", "gone", "killed"])
def test_nothing_is_left(spool, how):
    """While an upload comes in its file has no name; when the request ends, or the client
    goes, or the process is killed, it is gone."""
    server, directory = spool
    site = spooling(server, directory)
    assert site.post("x", files={"f": b"first"}).content == answer_to(b"first")
    content = b"x" * (1 << 20)
    with site.connect() as connection:
        connection.send(head_of(site, len(content)) + content[1:])
        [pid] = server.child_pids()
        wait_for(lambda: open_files(pid, directory), "the temporary file")
        assert list(directory.iterdir()) == []
        if how == "killed":
            os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ConnectionResetError):
                assert connection.read_all() == b""
            wait_for(lambda: server.child_pids() not in ([], [pid]), "another child")
        elif how == "gone":
            connection.reset()
            server.expect_log("KK0111")
        else:
            connection.send(b"x" + TAIL)
            assert connection.response().body == answer_to(content)
    if how != "killed":
        wait_for(lambda: not open_files(pid, directory), "the file's end")
    assert list(directory.iterdir()) == []
    assert site.post("x", files={"f": b"alive"}).content == answer_to(b"alive")


PART = b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
REFUSED = [
    ("PythonOption mod_python.form.max_fields 1", PART % (BOUNDARY, b"a", b"1"), 413),
    ("PythonOption mod_python.form.max_field_size 5", PART % (BOUNDARY, b"a", b"123456"), 413),
    ("PythonOption mod_python.form.max_uploads 1", PART % (BOUNDARY, b'b"; filename="b', b""), 413),
    ("PythonOption mod_python.form.max_header_size 50", PART % (BOUNDARY, b"a" * 51, b""), 413),
    ("PythonOption mod_python.form.max_body_size 1", b"", 413),
    ("LimitRequestBody 1000", b"", 413),
    ("# strict", b"--" + BOUNDARY + b"\r\nX: 1\r\n\r\n", 400),
]


@pytest.mark.parametrize(("option", "rest", "status"), REFUSED)
def test_nothing_is_left_of_what_is_refused(spool, option, rest, status):
    """When the form is found to be too large, or malformed, an upload was written already."""
    server, directory = spool
    site = spooling(server, directory, f"{option}\n")
    site.write("upload.py", UPLOAD.replace("FieldStorage(req)", "FieldStorage(req, strict_parsing=1)"))
    body = HEAD + b"x" * (1 << 20) + b"\r\n" + rest + b"--" + BOUNDARY + b"--\r\n"
    answer = site.post(
        "x",
        content=body,
        headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY.decode()}"},
    )
    assert answer.status_code == status
    server.expect_log("KK012[01]|KK0111|AH01587")
    for pid in server.child_pids():
        wait_for(lambda pid=pid: not open_files(pid, directory), "the file's end")
    assert list(directory.iterdir()) == []


@pytest.fixture
def small_disk(spool):
    """The same on a disk of one megabyte."""
    _, directory = spool
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=777", "kukulkan-test", str(directory)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount a small disk here")
    yield spool
    subprocess.run(["umount", str(directory)], check=True)


def test_disk_full(small_disk):
    """A full disk is an error that says so, the space is free again, and the child lives."""
    server, directory = small_disk
    site = spooling(server, directory)
    assert site.post("x", files={"f": b"first"}).content == answer_to(b"first")
    [pid] = server.child_pids()
    for size in (2 << 20, (1 << 20) + 100, 5 << 20):
        assert site.post("x", files={"f": b"x" * size}).status_code == 507
    record = server.expect_log("KK0122", 3)
    assert record.level == "error"
    assert re.search(
        rf"form not read: an upload cannot be kept in {directory}: .*No space left", record.message
    )
    assert open_files(pid, directory) == [] and os.statvfs(directory).f_bfree * 4096 >= 1 << 20
    assert site.post("x", files={"f": b"x" * 900_000}).content == answer_to(b"x" * 900_000)
    assert server.child_pids() == [pid]


def test_no_directory(httpd):
    """The same for a directory that is not there; what needs none is served."""
    site = spooling(httpd, "/nowhere")
    assert site.post("x", files={"f": b"x" * 100_000}).status_code == 500
    site.expect_log("KK0122: .* cannot be kept in /nowhere: .*No such file or directory")
    assert site.post("x", files={"f": b"small"}).content == answer_to(b"small")


SIZE = 2 << 30
#: Bytes that a child may grow by.
GROWTH = 16 << 20
COUNT = """
    from mod_python import apache, util

    def handler(req):
        file = util.FieldStorage(req)["f"].file
        size = file.seek(0, 2)
        file.seek(size - 4)
        req.write(f"{size} {file.read().decode()}")
        return apache.OK
    """


def high_water_mark(pid):
    """The most memory that a process has had, in bytes."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) * 1024


def upload(site, size):
    """What the handler answers to an upload of zeros that ends in a word."""
    block = memoryview(bytes(1 << 20))
    with site.connect() as connection:
        connection.socket.settimeout(120 * PATIENCE)
        connection.send(head_of(site, size))
        for start in range(0, size - 4, len(block)):
            connection.socket.sendall(block[: size - 4 - start])
        connection.send(b"last" + TAIL)
        return connection.response().body


@pytest.mark.only_mpm("event")
@pytest.mark.skipif(SANITIZED, reason="AddressSanitizer keeps what is freed for a while")
def test_memory(httpd):
    """An upload of 2 GiB takes no more memory than a small one, but for 16 MiB."""
    server = httpd("LimitRequestBody 0\n", workers=2)
    free = os.statvfs(server.root)
    if free.f_bavail * free.f_frsize < 2 * SIZE:
        pytest.skip("no room for an upload of 2 GiB")
    server.write("spool/.keep", "")
    (server.root / "spool").chmod(0o777)
    site = server.site(
        f'{SETUP}PythonOption mod_python.form.directory "{server.root}/spool"', {"upload.py": COUNT}
    )
    assert upload(site, 1 << 18) == b"262144 last"
    [pid] = server.child_pids()
    idle = high_water_mark(pid)
    assert upload(site, SIZE) == f"{SIZE} last".encode()
    grown = high_water_mark(pid) - idle
    assert grown < GROWTH, grown


def test_many_uploads_leave_nothing(httpd):
    """Files, descriptors and memory are given back with each request."""
    site = spooling(httpd, "/tmp", "PythonOption mod_python.form.spool_size 1000")
    files = [("f", (str(number), b"x" * 5000)) for number in range(50)]
    site.write(
        "upload.py", "from mod_python import util\ndef handler(req):\n util.FieldStorage(req)\n return 0\n"
    )
    site.post("x", files=files)
    [pid] = site.server.child_pids()
    before = len(os.listdir(f"/proc/{pid}/fd"))
    for _ in range(20):
        assert site.post("x", files=files).status_code == 200
    assert len(os.listdir(f"/proc/{pid}/fd")) <= before + 10
