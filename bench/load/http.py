"""As much of HTTP/1.1 as a client needs that must cost next to nothing (RFC 9112)."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

_HEAD_END = b"\r\n\r\n"
_LAST_CHUNK = b"\r\n0\r\n\r\n"
_BUSY = frozenset({b"429", b"503"})
_STATUS = slice(9, 12)  # of "HTTP/1.1 200 OK"


@dataclass(frozen=True, slots=True)
class Request:
    """One request, the same each time."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""

    def text(self) -> str:
        headers = {"Host": "localhost", **self.headers}
        if self.method == "POST":
            headers["Content-Length"] = str(len(self.body))
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{self.method} {self.path} HTTP/1.1\r\n{head}\r\n{self.body}"


def form(path: str, client: tuple[str, str] | None = None, **parameters: str) -> Request:
    """A form in a POST, with `client` as Basic credentials (RFC 6749 §2.3.1)."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if client:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(client).encode()).decode()
    return Request("POST", path, headers, urlencode(parameters))


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `head` is in lower case."""

    status: bytes
    head: bytes
    body: bytes

    @property
    def good(self) -> bool:
        return self.status.startswith(b"2")

    @property
    def last(self) -> bool:
        """Whether the server closes the connection."""
        return b"\r\nconnection: close" in self.head

    @property
    def retry_after(self) -> int | None:
        """Seconds after which to come again (RFC 9110 §10.2.3), if the server is too busy now."""
        return _number(self.head, b"retry-after") if self.status in _BUSY else None


def parse(received: bytes) -> Answer | None:
    """The answer, or None while some of it is missing. Nothing is pipelined, so nothing follows it."""
    end = received.find(_HEAD_END)
    if end < 0:
        return None
    head, body = received[: end + 2].lower(), received[end + len(_HEAD_END) :]
    if b"\r\ntransfer-encoding: chunked" in head:
        complete = received.endswith(_LAST_CHUNK)
    else:
        complete = len(body) >= (_number(head, b"content-length") or 0)
    return Answer(received[_STATUS], head, body) if complete else None


def _number(head: bytes, name: bytes) -> int | None:
    _, found, rest = head.partition(b"\r\n" + name + b":")
    return int(rest[: rest.index(b"\r\n")]) if found else None
