"""LATER 14, the command: a server created, started, restarted and stopped."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import pytest

from plugins.installation import PATIENCE, sanitizer_environ
from plugins.process import free_port

DEADLINE = 20 * PATIENCE
COMMAND = Path(sys.executable).with_name("kukulkan")
ALIAS = Path(sys.executable).with_name("mod_python")


def run(*arguments, command=COMMAND):
    """The status and what was said: standard output, standard error."""
    done = subprocess.run(
        [command, *arguments], capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    return done.returncode, done.stdout, done.stderr


def wait_until(condition):
    """Waits until something is so."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def _sanitizers(monkeypatch):
    """The command passes its environment on to the Apache that it starts."""
    with tempfile.TemporaryDirectory(prefix="kukulkan-test-") as name:
        Path(name).chmod(0o777)  # Apache's children write reports there
        for variable, value in sanitizer_environ(Path(name)).items():
            monkeypatch.setenv(variable, value)
        yield


@pytest.fixture
def root():
    """A directory that Apache's children can read; a server in it ends with the test."""
    with tempfile.TemporaryDirectory(prefix="kukulkan-test-") as name:
        path = Path(name).resolve()
        path.chmod(0o755)
        yield path
        pid_file = path / "server" / "logs" / "httpd.pid"
        if pid_file.exists():
            pid = int(pid_file.read_text())
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not pid_file.exists())


def create(root, *arguments, command=COMMAND):
    """Creates a server; its configuration, and its address."""
    port = free_port()
    done = run("create", root / "server", "--listen", f"127.0.0.1:{port}", *arguments, command=command)
    assert done[0] == 0, done
    assert f"{command.name} start {root}/server/conf/httpd.conf" in done[1]
    return root / "server" / "conf" / "httpd.conf", f"http://127.0.0.1:{port}/"


def get(url):
    return httpx.get(url, trust_env=False, timeout=DEADLINE)


@pytest.mark.parametrize("command", [COMMAND, ALIAS], ids=lambda path: path.name)
def test_life_of_a_server(root, command):
    """What create has written starts, answers, restarts without another process, and stops."""
    configuration, url = create(root, command=command)
    assert run("start", configuration, command=command) == (0, "", "")
    assert get(url).text == "It works."
    assert get(url + "index/hello?name=you").text == "Hello, you!"
    pid_file = root / "server" / "logs" / "httpd.pid"
    pid = pid_file.read_text()
    status, _, error = run("start", configuration, command=command)
    assert status == 1 and "already running" in error
    (root / "server" / "public" / "index.py").write_text("def index(): return 'changed'\n")
    assert run("restart", configuration, command=command) == (0, "", "")
    assert get(url).text == "changed"
    assert pid_file.read_text() == pid
    assert run("stop", configuration, command=command) == (0, "", "")
    wait_until(lambda: not pid_file.exists())
    with pytest.raises(httpx.ConnectError):
        get(url)
    assert "KK" not in (root / "server" / "logs" / "error_log").read_text()


def test_restart_of_a_stopped_server(root):
    """It starts, as by httpd -k graceful, and that is a success; there is nothing to stop before."""
    configuration, url = create(root)
    status, _, error = run("stop", configuration)
    assert status == 1 and "not running" in error
    assert run("restart", configuration) == (0, "", "")
    assert get(url).text == "It works."


def test_options(root):
    """Handler, path and options are in the configuration; genconfig prints it again."""
    (root / "code").mkdir()
    (root / "code" / "mine.py").write_text(
        "from mod_python import apache\n"
        "def answer(req):\n"
        "    options = req.get_options()\n"
        "    req.write(options['first'] + '|' + options['second'])\n"
        "    return apache.OK\n"
    )
    options = ["--pythonoption", "first 1", "--pythonoption", "second a value"]
    path = f"{root}/code:{root}/other dir"
    (root / "other dir").mkdir()
    configuration, url = create(root, "--pythonhandler", "mine::answer", "--pythonpath", path, *options)
    status, printed, _ = run("genconfig", configuration.with_name("httpd_conf.py"))
    assert (status, printed) == (0, configuration.read_text())
    assert run("start", configuration)[0] == 0
    assert get(url + "anything").text == "1|a value"


def test_more_directives(root):
    """What the manual's samples use works: Require local, and the page that shows where Python runs."""
    configuration, url = create(root)
    with configuration.open("a") as file:
        file.write(
            "<Location /python>\nSetHandler python-program\nPythonHandler mod_python.testhandler\n"
            "PythonDebug On\nRequire local\n</Location>\n"
        )
    assert run("start", configuration)[0] == 0
    assert "Multi-processing module" in get(url + "python").text


def test_psp_server(root):
    """A server of PSP pages begins with one."""
    configuration, url = create(root, "--pythonhandler", "mod_python.psp")
    assert run("start", configuration)[0] == 0
    assert get(url + "index.psp").text == "<p>It works: /index.psp\n"


def test_there_is_one_already(root):
    """create does not write over a server."""
    configuration, _ = create(root)
    before = configuration.read_text()
    status, _, error = run("create", root / "server")
    assert status == 1 and "already" in error
    assert configuration.read_text() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pythonpath", "/no/such/path"], "There is no /no/such/path (--pythonpath)"),
        (["--pythonhandler", "mine\nUser root"], "PythonHandler: a directive is one line"),
        (["--pythonoption", "key x\nUser root"], "PythonOption: a directive is one line"),
        (["--listen", "1\nUser root"], "Listen: a directive is one line"),
        (["--listen", "localhost"], "'localhost' is neither a port nor ADDRESS:PORT (--listen)"),
        (["--listen", "127.0.0.1:65536"], "'127.0.0.1:65536' is neither a port nor"),
    ],
)
def test_refusals(root, arguments, said):
    """What cannot be is told in a sentence, and nothing is left behind."""
    status, _, error = run("create", root / "server", *arguments)
    assert (status, error.partition(said)[0]) == (1, "kukulkan: ")
    assert not (root / "server").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has children of another account")
def test_directory_that_children_cannot_read(root):
    """It is told before anything is written; one that they may only pass through will do."""
    (root / "closed").mkdir(mode=0o700)
    status, _, error = run("create", root / "closed" / "server")
    assert status == 1 and f"`chmod o+x {root}/closed`" in error
    assert not list((root / "closed").iterdir())
    (root / "closed").chmod(0o711)
    assert run("create", root / "closed" / "server")[0] == 0


@pytest.mark.parametrize("action", ["start", "stop", "restart"])
def test_no_configuration(root, action):
    """A missing configuration is said."""
    status, _, error = run(action, root / "none.conf")
    assert status == 1 and f"no configuration {root}/none.conf" in error


def test_apache_refuses(root):
    """What Apache says of a mistake is passed on."""
    configuration, _ = create(root)
    with configuration.open("a") as file:
        file.write("NoSuchDirective\n")
    status, _, error = run("start", configuration)
    assert status == 1 and "NoSuchDirective" in error


def test_script_that_fails(root):
    """genconfig says what a script has raised."""
    (root / "script.py").write_text("print('half')\nraise ValueError('no')\n")
    assert run("genconfig", root / "script.py")[:2] == (1, "")
    assert "script.py failed: ValueError: no" in run("genconfig", root / "script.py")[2]
    assert run("genconfig", root / "missing.py")[0] == 1


def test_version():
    """The versions of what the installation is made of."""
    status, text, _ = run("version")
    assert status == 0
    for name in ("kukulkan:", "module:", "Apache:", "APR:", "Python:"):
        assert name in text
