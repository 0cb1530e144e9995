"""Ways to talk to a server under test: httpx for what is well-formed, a socket
for what is not."""

import functools
import http.client
import io
import socket
import ssl
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from .installation import PATIENCE

TIMEOUT = 10 * PATIENCE
# No connection is kept: the one prefork child would wait on it for the next request.
LIMITS = httpx.Limits(max_keepalive_connections=0)


@dataclass(frozen=True)
class RawResponse:
    """A response as it came over a socket."""

    status: int
    reason: str
    headers: http.client.HTTPMessage
    body: bytes


class _Canned:
    """What http.client needs of a socket, over bytes that are all there."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        self._file = file

    def makefile(self, mode: str) -> io.BufferedIOBase:
        return self._file


def parse_responses(data: bytes, methods: list[str]) -> list[RawResponse]:
    """The responses in what a connection sent, given the requests' methods."""
    file = io.BytesIO(data)
    file.close = lambda: None  # type: ignore[method-assign]  # http.client closes it
    responses = []
    for method in methods:
        response = http.client.HTTPResponse(_Canned(file), method=method)  # type: ignore[arg-type]
        response.begin()
        responses.append(RawResponse(response.status, response.reason, response.headers, response.read()))
    return responses


class Connection:
    """A TCP connection to the server, for exchanges step by step."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def end_of_input(self) -> None:
        """Tells the server that nothing more comes; answers can still be read."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leaves at once: the server's next write fails."""
        linger = struct.pack("ii", 1, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()

    def read_until(self, mark: bytes) -> bytes:
        """What comes up to and including mark; less if the server closes first."""
        data = b""
        while not data.endswith(mark):
            byte = self.socket.recv(1)
            if not byte:
                break
            data += byte
        return data

    def read_all(self) -> bytes:
        """What comes until the server closes."""
        data = b""
        while chunk := self.socket.recv(65536):
            data += chunk
        return data

    def response(self, method: str = "GET") -> RawResponse:
        """One response, leaving the connection open for the next."""
        response = http.client.HTTPResponse(self.socket, method=method)
        response.begin()
        return RawResponse(response.status, response.reason, response.headers, response.read())


@functools.cache
def tls_context() -> ssl.SSLContext:
    """For all clients: loading the system's certificates takes longer than a request."""
    return httpx.create_ssl_context(verify=False, trust_env=False)


def http_client(version: int) -> httpx.Client:
    """A client for requests of HTTP/1.1 or, without TLS, HTTP/2.

    Each request has its own: a pool of connections that threads share may close a
    connection that another thread has just been given (httpcore 1.0, seen as EBADF).
    """
    return httpx.Client(
        http1=version == 1,
        http2=version == 2,
        timeout=TIMEOUT,
        limits=LIMITS,
        trust_env=False,
        verify=tls_context(),
    )


class Client:
    """Requests to the part of a server whose paths begin with `prefix`."""

    def __init__(self, port: int, prefix: str) -> None:
        self.port = port
        self.prefix = prefix

    @property
    def url(self) -> str:
        """The address of the prefix."""
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    def request(self, method: str, path: str = "", **options: Any) -> httpx.Response:
        """One request; options as httpx has them."""
        with http_client(1) as client:
            return client.request(method, self.url + path, **options)

    def get(self, path: str = "", **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def head(self, path: str = "", **options: Any) -> httpx.Response:
        return self.request("HEAD", path, **options)

    def post(self, path: str = "", **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def http2(self, method: str, path: str = "", **options: Any) -> httpx.Response:
        """The same over HTTP/2 without TLS."""
        with http_client(2) as client:
            return client.request(method, self.url + path, **options)

    def connect(self) -> Connection:
        return Connection(self.port)

    def raw(self, data: bytes, method: str = "GET") -> RawResponse:
        """The last response to bytes sent as they are (they should ask the server
        to close)."""
        with self.connect() as connection:
            connection.send(data)
            return parse_responses(connection.read_all(), [method])[0]

    def raw_request(
        self,
        path: bytes = b"",
        *,
        method: bytes = b"GET",
        headers: Mapping[bytes, bytes] | None = None,
        body: bytes = b"",
    ) -> RawResponse:
        """A request whose parts are sent byte by byte as given."""
        lines = [method + b" " + self.prefix.encode() + path + b" HTTP/1.1"]
        named = {b"Host": b"www.example.com", b"Connection": b"close", **(headers or {})}
        lines += [name + b": " + value for name, value in named.items()]
        return self.raw(b"\r\n".join(lines) + b"\r\n\r\n" + body, method.decode())
