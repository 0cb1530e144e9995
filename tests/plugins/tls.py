"""A certificate for servers under test: made once, by Debian's openssl."""

import functools
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path

from .client import TIMEOUT, Connection

#: Directives for a server, or virtual host, that speaks TLS; with modules=("ssl",).
TLS = """
    SSLEngine On
    SSLCertificateFile "${root}/conf/cert.pem"
    SSLCertificateKeyFile "${root}/conf/key.pem"
    SSLSessionCache none
    LogLevel ssl:error
    """


@functools.cache
def certificate() -> dict[str, str]:
    """The two files that these directives name."""
    with tempfile.TemporaryDirectory() as directory:
        key, cert = Path(directory, "key.pem"), Path(directory, "cert.pem")
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        command += ["-nodes", "-days", "2", "-subj", "/CN=www.example.com", "-keyout", str(key)]
        command += ["-out", str(cert), "-addext", "basicConstraints=CA:FALSE"]
        command += ["-addext", "subjectAltName=DNS:www.example.com"]
        subprocess.run(command, check=True, capture_output=True)
        return {"conf/key.pem": key.read_text(), "conf/cert.pem": cert.read_text()}


class TLSConnection(Connection):
    """The same with TLS; the server's certificate is checked."""

    def __init__(self, port: int) -> None:
        context = ssl.create_default_context(cadata=certificate()["conf/cert.pem"])
        plain = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self.socket = context.wrap_socket(plain, server_hostname="www.example.com")
