"""One HTTP GET, of the kind that fetching keys needs: no redirects, bounded in size and in time.

The standard library does it, in whatever thread calls: keys are fetched every few minutes, so neither a
dependency nor a connection pool would earn its keep.
"""

import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTP_PORT, HTTPS_PORT, HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import SplitResult, urlsplit

MAX_BODY_OCTETS = 512 * 1024
"""No honest metadata document or JWK Set is larger. It bounds what a hostile one can cost."""

Connect = Callable[[str, int, float], socket.socket]
"""Opens a TCP connection to a host and port within so many seconds. Raises OSError."""


class FetchError(Exception):
    """The document could not be had, and why; `status` is that of the answer, if there was one."""

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Document:
    """An answer with status 200; or 304 to a conditional request, then `body` is empty."""

    status: int
    body: bytes
    etag: str | None
    max_age: float | None
    """Seconds for which the answer stays fresh (RFC 9111 §4.2.1), or None if it does not say."""


def _connect(host: str, port: int, timeout: float) -> socket.socket:
    return socket.create_connection((host, port), timeout)


@dataclass(frozen=True, slots=True)
class Fetcher:
    """How documents are fetched. `timeout` bounds a whole exchange, in seconds.

    Whoever fetches from where others say checks in `connect` which addresses may be reached.
    """

    timeout: float = 5.0
    allow_http: bool = False
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    connect: Connect = _connect
    max_octets: int = MAX_BODY_OCTETS

    def get(
        self,
        url: str,
        etag: str | None = None,
        *,
        accept: str = "application/json",
        max_octets: int | None = None,
    ) -> Document:
        """Fetches `url`, only if it has changed since `etag`. Raises FetchError; ValueError if insecure."""
        parts = demand_secure(url, allow_http=self.allow_http)
        headers = {"Accept": accept, "Connection": "close"}
        if etag is not None:
            headers["If-None-Match"] = etag
        connection = self._connection(parts)
        try:
            connection.sock = self.connect(connection.host, connection.port, self.timeout)
            if isinstance(connection, HTTPSConnection):
                connection.sock = self.tls.wrap_socket(connection.sock, server_hostname=connection.host)
            with _deadline(connection.sock, self.timeout):
                connection.request("GET", _target(parts), headers=headers)
                with connection.getresponse() as response:
                    return _read(response, max_octets or self.max_octets, conditional=etag is not None)
        except (OSError, HTTPException, ValueError) as problem:
            reason = str(problem) or type(problem).__name__
            raise FetchError(f"{url} did not answer: {reason}") from problem
        finally:
            connection.close()

    def _connection(self, parts: SplitResult) -> HTTPConnection:
        """For the exchange alone: an IPv6 address without its port would be taken for one with a port."""
        host = parts.hostname or ""
        if parts.scheme == "http":
            return HTTPConnection(host, parts.port or HTTP_PORT)
        return HTTPSConnection(host, parts.port or HTTPS_PORT, context=self.tls)


def demand_secure(url: str, *, allow_http: bool) -> SplitResult:
    """The parts of `url`. Raises ValueError unless it is https, or http to this machine, or http is allowed.

    Whoever can alter the answer chooses the keys, so plain http is as good as no verification at all.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.fragment or "@" in parts.netloc:
        raise ValueError(f"{url!r} is not an absolute http(s) URL without user information and fragment")
    if parts.scheme == "http" and not (allow_http or _is_loopback(parts.hostname)):
        raise ValueError(f"{url!r} is not https; allow_http=True accepts it")
    return parts


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


@contextmanager
def _deadline(sock: socket.socket, seconds: float) -> Iterator[None]:
    """Cuts the connection after `seconds`: its own timeout starts anew with every octet that trickles in."""

    def cut() -> None:
        with suppress(OSError):  # closed in the meantime, which is what was wanted
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # below TLS, whose state is the reading thread's

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _read(response: HTTPResponse, max_octets: int, *, conditional: bool) -> Document:
    status = response.status
    if status != 200 and not (status == 304 and conditional):
        raise FetchError(f"the answer has status {status}", status)  # 3xx too: nothing is followed
    if response.getheader("Content-Encoding", "identity") != "identity":
        raise FetchError("the answer is compressed")  # nobody asked for that, and it hides its size
    body = b"" if status == 304 else response.read(max_octets + 1)
    if len(body) > max_octets:
        raise FetchError("the answer is too large")
    return Document(status, body, response.getheader("ETag"), _max_age(response.headers))


def _max_age(headers: Message) -> float | None:
    directives = headers.get("Cache-Control", "").lower()
    if re.search(r"(?:^|[\s,])no-(?:store|cache)\b", directives):
        return 0
    match = re.search(r'(?:^|[\s,])max-age="?(\d{1,10})', directives)
    if match is None:
        return None
    age = headers.get("Age", "")  # how long a cache on the way has kept it (RFC 9111 §5.1)
    return max(0, int(match[1]) - (int(age) if re.fullmatch(r"\d{1,10}", age) else 0))
