"""`kukulkan serve`: a real Apache, started and stopped as a person would."""

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pexpect
import pytest

from mod_python import version
from plugins.installation import PATIENCE, sanitizer_environ

DEADLINE = 20 * PATIENCE
# The command's; those of handlers come in log records, hence indented.
OWN_TRACEBACK = re.compile("^Traceback", re.MULTILINE)
EXAMPLES = Path(__file__).parents[2] / "examples"

HELLO = """\
"Says hello."
from mod_python import apache
def handler(req):
    req.content_type = "text/plain"
    req.write("hello from " + __file__)
    return apache.OK
def other(req):
    req.write("other at " + req.uri)
    return apache.OK
"""
DECLINES = "from mod_python import apache\ndef handler(req):\n    return apache.DECLINED\n"
RAISES_DECLINED = (
    "from mod_python import apache\ndef handler(req):\n    raise apache.SERVER_RETURN(apache.DECLINED)\n"
)

FILES = {
    "hello.py": HELLO,
    "sub/hello.py": HELLO,
    "declines.py": DECLINES,
    "raises.py": RAISES_DECLINED,
    "helper.py": "SECRET = 'secret'\n",
    "_private.py": HELLO,
    "published.py": "'Published.'\ndef index(): return 'index é'\ndef say(req, what=''): return 'say ' + what\n",
    "sub/functions.py": "def only(): return 'only'\n",
    "filtering.py": "def outputfilter(filter): pass\ndef other(): return 'secret'\n",
    "error.py": "def handler(req):\n    raise ValueError('a fine mess')\n",
    "page.psp": "<% name = 'é' %>psp <%= name %>",
    "style.css": "body {}\n",
    "hello.py~": "SECRET = 'secret'\n",
    ".env": "SECRET=secret\n",
    "__pycache__/x.css": "secret\n",
}


@contextmanager
def public_directory() -> Iterator[Path]:
    """A temporary directory that Apache's children can read; pytest's own are private."""
    with tempfile.TemporaryDirectory(prefix="kukulkan-test-") as name:
        root = Path(name).resolve()
        root.chmod(0o755)
        yield root


@pytest.fixture(scope="module")
def site() -> Iterator[Path]:
    """A directory of handlers."""
    with public_directory() as root:
        for file, text in FILES.items():
            (root / file).parent.mkdir(exist_ok=True, parents=True)
            (root / file).write_text(text)
        yield root


class Served:
    """A running `kukulkan serve`."""

    def __init__(self, process: subprocess.Popen[str], temporary: Path) -> None:
        self.process = process
        self.temporary = temporary
        self.announced = self._announcement()
        url = re.search(r"http://\S+/", self.announced)
        assert url, self.announced + process.communicate(timeout=DEADLINE)[1]
        self.url = url[0]

    def _announcement(self) -> str:
        lines = []
        assert self.process.stdout
        for line in self.process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        return "".join(lines)

    def get(self, path: str, **options: object) -> httpx.Response:
        return httpx.get(self.url + path, timeout=DEADLINE, trust_env=False, **options)

    def end(self, signum: int = signal.SIGINT) -> tuple[int, str]:
        """The exit status and what was written to standard error."""
        self.process.send_signal(signum)
        _, errors = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, errors


def environment(temporary: Path) -> dict[str, str]:
    """That of the test run, with temporary files in a directory of their own."""
    return {**os.environ, "TMPDIR": str(temporary), **sanitizer_environ(temporary)}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "kukulkan", *map(str, arguments)]


@contextmanager
def serving(*arguments: object, cwd: Path | None = None) -> Iterator[Served]:
    """`kukulkan serve ARGUMENTS` on a free port; it must end well."""
    with public_directory() as temporary:
        process = subprocess.Popen(
            command("serve", *arguments, "--port", 0),
            cwd=cwd,
            env=environment(temporary),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            served = Served(process, temporary)
            yield served
            if process.poll() is None:
                status, errors = served.end()
                assert status == 0, errors
                assert not OWN_TRACEBACK.search(errors)
        finally:
            # Killed, it could not end its Apache.
            process.terminate()
            process.communicate(timeout=DEADLINE)


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command, run to its end."""
    return subprocess.run(
        command(*arguments), cwd=cwd, capture_output=True, text=True, timeout=DEADLINE, check=False
    )


@pytest.fixture(scope="module")
def served(site: Path) -> Iterator[Served]:
    """The site, served for the tests that only ask it for pages."""
    with serving(site) as served:
        yield served


def test_a_file_is_its_handler(served, site):
    """In the directory and below."""
    assert served.get("hello.py").text == f"hello from {site}/hello.py"


def test_files_of_one_name_are_two_modules(served, site):
    """Each directory has its own."""
    assert served.get("sub/hello.py").text == f"hello from {site}/sub/hello.py"
    assert served.get("hello.py").text == f"hello from {site}/hello.py"


def test_the_rest_of_the_url_is_path_info(served):
    """A handler may have URLs below its own."""
    assert served.get("hello.py/more/path").status_code == 200


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("published.py", "index é"),
        ("published.py/", "index é"),
        ("published.py/say?what=it", "say it"),
        ("sub/functions.py/only", "only"),
        ("helper.py/SECRET", "secret"),
    ],
)
def test_a_file_without_handler_is_published(served, path, text):
    """Each function has a URL below the file's."""
    response = served.get(path)
    assert (response.status_code, response.text) == (200, text)
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


def test_other_files_are_served_as_they_are(served):
    """With their media types."""
    response = served.get("style.css")
    assert response.text == FILES["style.css"]
    assert response.headers["content-type"] == "text/css"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("helper.py", 404),
        ("filtering.py", 404),
        ("filtering.py/other", 404),
        ("filtering.py/outputfilter?filter=x", 404),
        ("hello.py/other", 200),
        ("declines.py", 404),
        ("raises.py", 404),
        ("none.py", 404),
        ("_private.py", 403),
        ("hello.py~", 403),
        (".env", 403),
        ("__pycache__/x.css", 403),
    ],
)
def test_a_source_is_never_sent(served, path, status):
    """Nor anything that hides."""
    response = served.get(path)
    assert response.status_code == status
    assert "secret" not in response.text.lower()
    assert "DECLINED" not in response.text


def test_what_to_look_at_is_announced(served, site):
    """The address, and the handlers with their docstrings."""
    assert re.search(rf"Serving {site} at http://127\.0\.0\.1:\d+/ \(Python 3", served.announced)
    assert re.search(r"http://\S+/hello.py +Says hello\.", served.announced)
    assert re.search(r"http://\S+/published.py +Published\.", served.announced)
    assert "filtering" not in served.announced
    assert "_private" not in served.announced


def test_psp_page(served):
    """A page of text with Python in it runs; it is no text file."""
    response = served.get("page.psp")
    assert response.text == "psp é"
    assert response.headers["content-type"] == "text/html; charset=utf-8"


def test_temporary_files_are_readable_and_removed(site):
    """Apache's root is there for everybody while it runs, and gone afterwards."""
    with serving(site) as served:
        root = next(served.temporary.glob("kukulkan-*"))
        assert root.stat().st_mode & 0o777 == 0o755
        assert "DocumentRoot" in (root / "httpd.conf").read_text()
        served.end()
        assert not list(served.temporary.glob("kukulkan-*"))


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_apache_and_its_children(site, signum):
    """With exit status 0, and the port free again."""
    if signal.getsignal(signum) == signal.SIG_IGN:
        pytest.skip("the tests were started by nohup, and so would be what they start")
    with serving(site) as served:
        assert served.get("hello.py").status_code == 200
        status, errors = served.end(signum)
        assert (status, errors) == (0, errors)
        assert not OWN_TRACEBACK.search(errors)
        with pytest.raises(httpx.ConnectError):
            served.get("hello.py")


def test_ctrl_c_in_a_terminal_stops_it(site):
    """The terminal sends the signal to everything in the foreground; resizing it stops nothing."""
    program, *arguments = command("serve", site, "--port", 0)
    with public_directory() as temporary:
        child = pexpect.spawn(program, arguments, timeout=DEADLINE, env=environment(temporary))
        child.expect("Ctrl-C to stop")
        child.setwinsize(40, 100)
        child.sendintr()
        child.expect(pexpect.EOF)
        child.close()
    assert child.exitstatus == 0


def test_an_error_is_seen_in_the_terminal(site):
    """Line by line, though Apache logs it as one record; the browser learns nothing."""
    with serving(site) as served:
        response = served.get("error.py")
        assert response.status_code == 500
        assert "a fine mess" not in response.text
        _, errors = served.end()
        assert re.search(r"^ .*raise ValueError", errors, re.MULTILINE)
        assert "a fine mess" in errors


def test_debug_shows_the_error_to_the_browser(site):
    """As PythonDebug does."""
    with serving(site, "--debug") as served:
        assert "a fine mess" in served.get("error.py").text


def test_access_log_has_a_line_for_each_request(site):
    """On standard error, as the rest."""
    with serving(site, "--access-log") as served:
        served.get("style.css")
        _, errors = served.end()
        assert re.search(r'"GET /style.css HTTP/1.1" 200 8', errors)


@pytest.mark.parametrize(("option", "second"), [("--reload", "two"), ("--no-reload", "one")])
def test_changed_modules_are_imported_again(option, second):
    """Unless --no-reload is given."""
    source = "from mod_python import apache\ndef handler(req):\n    req.write({!r})\n    return apache.OK\n"
    with public_directory() as root, serving(root, option) as served:
        page = root / "page.py"
        page.write_text(source.format("one"))
        assert served.get("page.py").text == "one"
        page.write_text(source.format("two"))
        os.utime(page, (0, 0))
        assert served.get("page.py").text == second


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("hello", "hello from"),
        ("hello.py", "hello from"),
        ("hello::other", "other at /any/url"),
        ("sub/hello.py", "hello from"),
    ],
)
def test_one_handler_gets_every_url(site, target, answer):
    """A module, a file, an object."""
    with serving(target, cwd=site) as served:
        assert served.get("any/url").text.startswith(answer)
        assert served.get("style.css").text != FILES["style.css"]


def test_a_handler_that_declines_shows_no_file(site):
    """There is none below the handler."""
    with serving("declines", cwd=site) as served:
        assert served.get("declines.py").status_code == 404


@pytest.mark.parametrize("name", ["event", "worker", "prefork"])
def test_every_mpm_serves(site, name):
    """Named by --mpm."""
    with serving(site, "--mpm", name, "--processes", 2) as served:
        assert f"{name} MPM" in served.announced
        assert served.get("hello.py").status_code == 200


def test_port_in_use_is_said(site):
    """Before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("serve", site, "--port", taken.getsockname()[1])
    assert result.returncode == 1
    assert result.stderr.startswith("kukulkan: Cannot listen on 127.0.0.1")
    assert "Traceback" not in result.stderr


def test_what_apache_says_at_its_start_is_shown(site):
    """With a status that is not 0."""
    (site / "bad").mkdir(exist_ok=True)
    program = site / "bad" / "httpd"
    program.write_text(
        f'#!/bin/sh\ntest "$1" = -l && exec {version.HTTPD} -l\necho "no such luck" >&2\nexit 1\n'
    )
    program.chmod(0o755)
    result = run("serve", site, "--port", 0, "--httpd", program)
    assert result.returncode == 1
    assert "no such luck" in result.stderr
    assert "Apache ended with status 1" in result.stderr


def test_an_apache_that_ends_by_itself_is_a_failure(site):
    """Even with status 0, which it has when its children cannot start."""
    with serving(site) as served:
        (pid_file,) = served.temporary.glob("kukulkan-*/httpd.pid")
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
        _, errors = served.process.communicate(timeout=DEADLINE)
        assert served.process.returncode == 1
        assert "kukulkan: Apache ended with status 0" in errors


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's Apache changes its user")
def test_what_the_children_cannot_read_is_refused(site):
    """With the directory and the cure, before the start."""
    hidden = site / "hidden"
    (hidden / "site").mkdir(parents=True, exist_ok=True)
    hidden.chmod(0o700)
    result = run("serve", hidden / "site", "--port", 0)
    assert result.returncode == 1
    assert f"{hidden} gives others no search permission" in result.stderr
    assert f"chmod o+x {hidden}" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's Apache changes its user")
@pytest.mark.parametrize("what", ["", "closed.py", "closed.py::handler", "closed", "closed:app"])
def test_a_program_that_the_children_cannot_read_is_refused(what):
    """However it is named: otherwise the first request would be the one to find out."""
    with public_directory() as root:
        (root / "closed.py").write_text(HELLO)
        (root / "closed.py").chmod(0o600)
        result = run("serve", what or root, "--port", 0, cwd=root)
    assert result.returncode == 1
    assert f"could not read {root}/closed.py" in result.stderr


def test_printed_configuration_is_valid(site, tmp_path):
    """What --config-only prints can be given to Apache."""
    conf = tmp_path / "httpd.conf"
    conf.write_text(run("serve", site, "--config-only").stdout)
    checked = subprocess.run(
        [version.HTTPD, "-t", "-f", conf],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_module_config_loads_the_module(tmp_path):
    """The printed line is all that Apache needs."""
    line = run("module-config").stdout
    assert re.fullmatch(r"LoadModule python_module \S+/mod_python\.so\n", line)


@pytest.fixture(scope="module")
def examples() -> Iterator[Served]:
    """The project's own examples."""
    with serving(EXAMPLES) as served:
        yield served


def test_examples_first_page_links_to_all(examples):
    """And each of them has a summary; a filter, or a protocol, is named only."""
    page = examples.get("").text
    files = [file.relative_to(EXAMPLES).as_posix() for file in EXAMPLES.glob("**/[a-z]*.py")]
    no_pages = {"banner_filter.py", "redis_server.py", "smtp_sink.py"}
    assert len(files) > 8
    assert {file for file in files if f'<a href="{file}">' not in page} == no_pages
    assert not [file for file in no_pages if f"<td>{file}<td>" not in page]


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("hello.py", 200, "Hello, world!"),
        ("request.py/more?a=b", 200, "'/more'"),
        ("form.py", 200, "<form"),
        ("upload.py", 200, "<form"),
        ("feedback/form.py", 302, "form.html"),
        ("feedback/form.py/", 302, "form.html"),
        ("feedback/form.html", 200, "form.py/email"),
        ("counter.py", 200, "Request "),
        ("guestbook.py", 200, "Welcome!"),
        ("guestbook.py/count", 200, "1"),
        ("guestbook.py/sign", 400, "<code>name</code>, <code>text</code>"),
        ("guestbook.py/sign?name=a&text=b", 200, "use the form"),
        ("guestbook.py/escape?s=x", 404, ""),
        ("guestbook.py/editor/clear", 401, ""),
        ("teapot.py", 418, "stout"),
        ("error.py", 500, "error"),
        ("source.py?hello.py", 200, "The smallest handler"),
        ("source.py?../README.md", 404, ""),
        ("source.py?%00.py", 404, ""),
        (f"source.py?{'a' * 5000}.py", 404, ""),
        ("private/door.py", 401, ""),
        ("wsgi/any/path?a=b", 200, "<tr><td>PATH_INFO<td>/any/path"),
        ("style.css", 200, "font"),
    ],
)
def test_examples_answer(examples, path, status, text):
    """As their docstrings say."""
    response = examples.get(path)
    assert response.status_code == status
    assert text in response.text


def test_example_form_greets(examples):
    """With what was sent, escaped."""
    answer = httpx.post(examples.url + "form.py", data={"name": "<Eva>"}, timeout=DEADLINE, trust_env=False)
    assert "Hello, &lt;Eva&gt;!" in answer.text


def test_example_upload_shows_checksums(examples):
    """Of each file."""
    files = [("file", ("<a>", b"spam")), ("file", ("b", b""))]
    answer = httpx.post(examples.url + "upload.py", files=files, timeout=DEADLINE, trust_env=False)
    assert "&lt;a&gt;" in answer.text and "4 bytes" in answer.text
    assert hashlib.sha256(b"spam").hexdigest() in answer.text
    assert hashlib.sha256(b"").hexdigest() in answer.text


def test_example_feedback_without_a_mail_server(examples):
    """The page says what is wrong; so it does where something was not filled in."""
    url = examples.url + "feedback/form.py/email"
    data = {"name": "<Eva>", "email": "eva@example.com", "comment": "Good."}
    answer = httpx.post(url, data=data, timeout=DEADLINE, trust_env=False)
    assert answer.status_code == 503 and "mail server localhost:25" in answer.text
    answer = httpx.post(url, data=data | {"email": ""}, timeout=DEADLINE, trust_env=False)
    assert answer.status_code == 200 and "A required parameter is missing" in answer.text
    answer = httpx.post(url, data=data | {"email": "a@b\nBcc: c@d"}, timeout=DEADLINE, trust_env=False)
    assert answer.status_code == 200 and "That is no e-mail address" in answer.text


def test_example_guestbook_is_signed_and_cleared():
    """By a form, and by who knows the password; on a server of its own, for it changes."""
    with serving(EXAMPLES) as served:
        url = served.url + "guestbook.py/"
        answer = httpx.post(
            url + "sign", data={"name": "<Eva>", "text": "Hi"}, timeout=DEADLINE, trust_env=False
        )
        assert "<b>&lt;Eva&gt;</b>: Hi" in answer.text
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert served.get("guestbook.py/count").text == "2"
        assert served.get("guestbook.py/editor/clear", auth=("editor", "serpent")).text == "It is empty now."
        assert served.get("guestbook.py/count").text == "0"


def test_example_door_opens_with_the_password(examples):
    """And only with it."""
    assert examples.get("private/door.py", auth=("Eva", "serpent")).text == "Come in, Eva.\n"
    assert examples.get("private/door.py", auth=("Eva", "apple")).status_code == 401
