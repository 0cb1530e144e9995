"""Manual 5.4.1, PythonEnablePdb."""

import threading

import pexpect
import pytest

from plugins.installation import PATIENCE

CODE = """
    def handler(req):
        spam = "eggs"
        req.write("value " + spam)
        return 0
    """

CONFIG = """
    <Directory "${htdocs}">
        SetHandler python-program
        PythonHandler debugged
        PythonEnablePdb On
    </Directory>
    """

FILES = {"htdocs/debugged.py": CODE}


class Terminal:
    """Apache in a terminal, with one process, as `httpd -X` starts it."""

    def __init__(self, server, option="-X"):
        self.server = server
        command, *arguments = server.process.command(option)
        self.child = pexpect.spawn(
            command,
            arguments,
            env=server.process.environ(),
            timeout=15 * PATIENCE,
            encoding="utf-8",
        )
        server.process.wait_for_port(or_else=lambda: not self.child.isalive())
        server.port = server.process.port

    def request(self):
        """Sends a request; the answer comes when the debugger lets it."""
        self.answer = []
        self.thread = threading.Thread(target=lambda: self.answer.append(self.server.get("x")))
        self.thread.start()

    def commands(self, *commands):
        """Gives each command at a prompt."""
        for command in commands:
            self.child.expect_exact("(Pdb) ")
            self.child.sendline(command)

    def finish(self):
        """The answer, once it has come."""
        self.thread.join()
        return self.answer[0]


@pytest.fixture
def terminal(httpd):
    terminal = Terminal(httpd.unstarted(CONFIG, FILES))
    yield terminal
    terminal.child.close(force=True)


def test_debugger_prompt(terminal):
    """With -X in a terminal the handler runs under pdb, which shows variables and goes
    on when told."""
    terminal.request()
    terminal.commands("next", "p spam")
    terminal.child.expect_exact("'eggs'")
    terminal.commands("continue")
    assert terminal.finish().text == "value eggs"


def test_one_process_as_the_manual_has_it(httpd):
    """-DONE_PROCESS, which -X stands for, is enough."""
    terminal = Terminal(httpd.unstarted(CONFIG, FILES), "-DONE_PROCESS")
    terminal.request()
    terminal.commands("continue")
    assert terminal.finish().text == "value eggs"
    terminal.child.close(force=True)


def test_prompt_at_every_request(terminal):
    """The next request stops again."""
    for _ in range(2):
        terminal.request()
        terminal.commands("continue")
        assert terminal.finish().status_code == 200


def test_changing_a_variable(terminal):
    """What is changed at the prompt is changed."""
    terminal.request()
    terminal.commands("next", "spam = 'bacon'", "continue")
    assert terminal.finish().text == "value bacon"


def test_quitting_is_an_error(terminal):
    """Quitting the debugger is an error in the log, and a 500."""
    terminal.request()
    terminal.commands("quit")
    assert terminal.finish().status_code == 500
    terminal.server.expect_log("KK01[0-9]*: PythonHandler debugged")


def test_without_one_process_it_does_nothing(httpd):
    """In a server that runs as usual the directive has no effect."""
    assert httpd(CONFIG, FILES).get("x").text == "value eggs"
