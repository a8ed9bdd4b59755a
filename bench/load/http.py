"""As much of HTTP/1.1 as a client needs that must cost next to nothing (RFC 9112)."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

_HEAD_END = b"\r\n\r\n"
_LAST_CHUNK = b"\r\n0\r\n\r\n"
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
    """What came back. `last`: the server closes the connection."""

    status: bytes
    body: bytes
    last: bool

    @property
    def good(self) -> bool:
        return self.status.startswith(b"2")


def parse(received: bytes) -> Answer | None:
    """The answer, or None while some of it is missing. Nothing is pipelined, so nothing follows it."""
    end = received.find(_HEAD_END)
    if end < 0:
        return None
    head = received[: end + 2].lower()
    start = end + len(_HEAD_END)
    if b"\r\ntransfer-encoding: chunked" in head:
        if not received.endswith(_LAST_CHUNK):
            return None
    elif len(received) < start + _content_length(head):
        return None
    return Answer(received[_STATUS], received[start:], b"\r\nconnection: close" in head)


def _content_length(head: bytes) -> int:
    _, found, rest = head.partition(b"\r\ncontent-length:")
    return int(rest[: rest.index(b"\r\n")]) if found else 0
