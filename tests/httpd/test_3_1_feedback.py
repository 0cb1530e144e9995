"""Manual 3.1, the feedback form from end to end: a browser fills it in, the publisher calls
the function, a mail server gets the mail, and the browser shows the page."""

import email
import email.policy
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message

from plugins.browser import CHROMIUM, Browser
from plugins.process import free_port

EXAMPLE = Path(__file__).parents[2] / "examples" / "feedback"
CONFIG = """
    AddHandler python-program .py
    PythonHandler mod_python.publisher
    PythonDebug On
    """

# The manual's page was lost in print; this is what it says of it.
FORM_HTML = """
    <html>
    Please provide feedback below:
    <p>
    <form action="form.py/email" method="POST">
    Name: <input type="text" name="name"><br>
    Email: <input type="text" name="email"><br>
    Comment: <textarea name="comment" rows=4 cols=20></textarea><br>
    <input type="submit">
    </form>
    </html>
    """

# To the letter, but for the SMTP server's port and two letters that print has damaged.
FORM_PY = '''\
import smtplib

WEBMASTER = "webmaster"   # webmaster e-mail
SMTP_SERVER = "localhost:PORT" # your SMTP server

def email(req, name, email, comment):

    # make sure the user provided all the parameters
    if not (name and email and comment):
        return "A required parameter is missing, \\
please go back and correct the error"

    # create the message text
    msg = """\\
From: %s
Subject: feedback
To: %s

I have the following comment:

%s

Thank You,

%s

""" % (email, WEBMASTER, comment, name)

    # send it out
    conn = smtplib.SMTP(SMTP_SERVER)
    conn.sendmail(email, [WEBMASTER], msg)
    conn.quit()

    # provide feedback to the user
    s = """\\
<html>

Dear %s, <br>
Thank You for your kind comments, we
will get back to you shortly.

</html>""" % name

    return s
'''


class Mailbox(Message):
    """Keeps what the mail server gets."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[email.message.EmailMessage] = []

    def prepare_message(self, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.SMTP)
        message["X-Peer-From"], message["X-Peer-To"] = envelope.mail_from, ", ".join(envelope.rcpt_tos)
        return message

    def handle_message(self, message):
        self.messages.append(message)


@pytest.fixture
def smtp() -> Iterator[tuple[list[email.message.EmailMessage], int]]:
    """A mail server: what it got, and its port."""
    mailbox, port = Mailbox(), free_port()
    controller = Controller(mailbox, hostname="localhost", port=port)
    controller.start()
    yield mailbox.messages, port
    controller.stop()


def fill_in(browser, url, **fields):
    """Fills in the form, and sends it; the page that comes."""
    browser.open(url)
    for name, text in fields.items():
        browser.type(f"[name={name}]", text)
    browser.click("[type=submit], button")
    return " ".join(browser.text().split())


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_feedback(httpd, smtp, tmp_path):
    """The manual's own example."""
    messages, port = smtp
    files = {"form.html": FORM_HTML, "form.py": FORM_PY.replace("PORT", str(port))}
    site = httpd.site(CONFIG, files)
    fields = {"name": "Eva", "email": "eva@example.com", "comment": "It is 100% good & simple: <a+b>."}
    with Browser(tmp_path / "profile") as browser:
        page = fill_in(browser, f"{site.url}form.html", **fields)
        assert page == "Dear Eva, Thank You for your kind comments, we will get back to you shortly."
        assert browser.run("document.contentType") == "text/html"
        [message] = messages
        assert (message["From"], message["To"], message["Subject"]) == (
            "eva@example.com",
            "webmaster",
            "feedback",
        )
        assert (message["X-Peer-From"], message["X-Peer-To"]) == ("eva@example.com", "webmaster")
        text = "I have the following comment:\n\nIt is 100% good & simple: <a+b>.\n\nThank You,\n\nEva\n\n"
        assert message.get_content().replace("\r\n", "\n") == text
        page = fill_in(browser, f"{site.url}form.html", **fields | {"comment": ""})
        assert page == "A required parameter is missing, please go back and correct the error"
    assert len(messages) == 1


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_example(httpd, smtp, tmp_path):
    """The example made of it takes any text."""
    messages, port = smtp
    files = {name: (EXAMPLE / name).read_bytes() for name in ("form.html", "form.py")}
    config = (EXAMPLE / ".htaccess").read_text().replace("localhost:25", f"localhost:{port}")
    site = httpd.site(config, files)
    fields = {"name": "Zoë <b>", "email": "zoe@example.com", "comment": "日本 €"}
    with Browser(tmp_path / "profile") as browser:
        page = fill_in(browser, f"{site.url}form.py", **fields)
    assert page.startswith("Dear Zoë <b>, thank You")
    [message] = messages
    assert (message["From"], message["To"]) == ("zoe@example.com", "webmaster@localhost")
    assert message.get_content().splitlines() == [
        "I have the following comment:",
        "",
        "日本 €",
        "",
        "Thank You,",
        "",
        "Zoë <b>",
    ]
