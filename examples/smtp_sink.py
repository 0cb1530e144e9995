"""An SMTP server that accepts every mail and stores it in a maildir.

    Listen 2525 smtp
    <VirtualHost *:2525>
        PythonConnectionHandler smtp_sink
        PythonOption smtp_sink.maildir /var/spool/sink
    </VirtualHost>

`smtp` behind the port matters: the server speaks first, and for HTTP Apache asks Linux
to tell of a connection only when the client has sent something.
"""

import mailbox

from mod_python import apache

LONGEST_LINE = 1000  # bytes, RFC 5321
LONGEST_MAIL = 10 << 20
MOST_RECIPIENTS = 100


def connectionhandler(conn):
    """One conversation."""
    conn.write("220 ready\r\n")
    session = Session(conn)
    while line := conn.readline(LONGEST_LINE):
        if not line.endswith(b"\n"):
            conn.write("500 line too long\r\n")
            break
        verb, _, argument = line.decode("utf-8", "replace").strip().partition(" ")
        method = getattr(session, f"do_{verb.lower()}", None)
        conn.write((method(argument) if method else "500 unknown command") + "\r\n")
        if verb.upper() == "QUIT":
            break
    return apache.OK


class Session:
    """What a client has said so far; a method per command, that returns the reply."""

    def __init__(self, conn):
        self.conn = conn
        self.do_rset("")

    def do_rset(self, argument):
        self.sender = None
        self.recipients = []
        return "250 OK"

    def do_helo(self, argument):
        return "250 pleased to meet you"

    def do_ehlo(self, argument):
        return f"250-pleased to meet you\r\n250-SIZE {LONGEST_MAIL}\r\n250 8BITMIME"

    def do_noop(self, argument):
        return "250 OK"

    def do_quit(self, argument):
        return "221 bye"

    def do_mail(self, argument):
        self.do_rset("")
        self.sender = address_in(argument, "FROM:")
        return "501 expected MAIL FROM:<address>" if self.sender is None else "250 OK"

    def do_rcpt(self, argument):
        recipient = address_in(argument, "TO:")
        if self.sender is None:
            return "503 MAIL first"
        if not recipient:
            return "501 expected RCPT TO:<address>"
        if len(self.recipients) == MOST_RECIPIENTS:
            return f"452 more than {MOST_RECIPIENTS} recipients"
        self.recipients.append(recipient)
        return "250 OK"

    def do_data(self, argument):
        if not self.recipients:
            return "503 RCPT first"
        self.conn.write("354 end with a line that is a dot\r\n")
        mail = self.read_mail()
        if mail is None:
            return f"552 more than {LONGEST_MAIL} bytes"
        self.store(mail)
        self.do_rset("")
        return "250 stored"

    def read_mail(self):
        """The mail without the dots that SMTP adds; None if it is too long."""
        parts, size, end = [], 0, b"\r\n"
        while True:
            part = self.conn.readline(LONGEST_LINE)  # a line, or a part of a longer one
            if not part:
                continue  # the client left amid a mail: the next read raises ConnectionResetError
            starts_line = end == b"\r\n"
            if starts_line and part == b".\r\n":
                return b"".join(parts) if size <= LONGEST_MAIL else None
            size += len(part)
            if size <= LONGEST_MAIL:
                parts.append(part.removeprefix(b".") if starts_line else part)
            end = (end + part)[-2:]

    def store(self, mail):
        """Into the maildir, with the envelope in headers."""
        folder = self.conn.base_server.get_options()["smtp_sink.maildir"]
        envelope = f"Return-Path: <{self.sender}>\r\nX-Envelope-To: {', '.join(self.recipients)}\r\n"
        mailbox.Maildir(folder).add(envelope.encode() + mail)


def address_in(argument, keyword):
    """The address in `FROM:<address> SIZE=5`; "" for `<>`, None if there is none."""
    if argument[: len(keyword)].upper() != keyword:
        return None
    start, _, rest = argument[len(keyword) :].strip().partition("<")
    address, end, _ = rest.partition(">")
    return address if end and not start and address.isprintable() else None
