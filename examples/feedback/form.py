"""The feedback form of the manual's tutorial: the publisher mails what was filled in."""

import smtplib
from email.message import EmailMessage
from html import escape

from mod_python import apache, util

# Seconds that the mail server may take to answer.
PATIENCE = 10

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>Feedback</title>
<link rel="stylesheet" href="/style.css">
<p>{text}
</html>
"""


def index(req):
    """Show the form."""
    util.redirect(req, "form.html" if req.uri.endswith("/form.py") else "../form.html")


def email(req, name="", email="", comment=""):
    """Mail a comment to the webmaster."""
    req.content_type = "text/html; charset=utf-8"
    if not (name and email and comment):
        return page("A required parameter is missing, please go back and correct the error.")
    options = req.get_options()
    server = options["feedback.smtp_server"]
    message = EmailMessage()
    try:
        message["From"] = email
    except ValueError:  # a line break, for instance, that would add a header
        return page("That is no e-mail address, please go back and correct the error.")
    message["To"] = options["feedback.webmaster"]
    message["Subject"] = "feedback"
    message.set_content(f"I have the following comment:\n\n{comment}\n\nThank You,\n\n{name}\n")
    try:
        with smtplib.SMTP(server, timeout=PATIENCE) as connection:
            connection.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        req.log_error(f"feedback not sent through {server}: {error}", apache.APLOG_WARNING)
        req.status = apache.HTTP_SERVICE_UNAVAILABLE
        return page(f"The mail server {server} does not take the comment; see feedback/.htaccess.")
    return page(f"Dear {name}, thank You for your kind comments, we will get back to you shortly.")


def page(text):
    """A page with a text of any origin."""
    return PAGE.format(text=escape(text))
