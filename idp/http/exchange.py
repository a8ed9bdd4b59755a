"""One request and its answer, as the application sees them (ASGI 3, HTTP 2.3)."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Protocol

from starlette.types import ASGIApp, Message, Scope
from uvicorn.server import ServerState

from idp.endpoints.body import MAX_BODY
from idp.endpoints.envelope import refused
from idp.endpoints.whole import ANSWER, BODY
from idp.http.head import LAST, Header, common_head, header_line, rendered
from idp.http.outflow import Outflow

log = logging.getLogger("idp.http")

_COPIED = 16 * 1024
"""Bytes of content, at most, that are put together with their head. What is larger may wait long until it is taken, by
many clients, and need not be there more than once."""
_WITHOUT_CONTENT = frozenset({204, 304})
"""RFC 9110 §6.4.1. Nor has an answer to HEAD any, whatever its length says."""


class Line(Protocol):
    """What an exchange needs of its connection."""

    state: ServerState
    outflow: Outflow

    def answered(self, exchange: "Exchange", /) -> None:
        """The answer is written."""

    def failed(self, exchange: "Exchange", /) -> None:
        """There will be no answer, or not all of it."""


class Exchange:
    """Begins when the head of a request is complete, and is over when its answer is written or the client gone."""

    # How each begins; only what changes takes time.
    task: asyncio.Task[None] | None = None
    is_offered = False
    """To the application, at once or in its turn."""
    is_whole = False
    """Its body has come in."""
    is_gone = False
    """The client, or our interest in it."""
    is_answered = False
    has_begun = False
    """Some of the answer is written."""
    _news: asyncio.Event | None = None
    _body: bytes | bytearray = b""
    _is_cut = False  # what came after MAX_BODY was dropped
    _is_read = False
    _head: list[bytes] | None = None  # until the first of the content comes
    _length: int | None = None  # of the content, if it was said
    _sent = 0  # of it
    _has_content = True
    _is_chunked = False

    def __init__(self, line: Line, scope: Scope, expects_continue: bool, is_last: bool) -> None:
        self.scope = scope
        self.is_last = is_last  # on its connection
        self._line = line
        self._outflow = line.outflow
        self._expects_continue = expects_continue

    # The request

    def take(self, piece: bytes) -> None:
        """Some of the body. What nobody reads is not kept."""
        if self._is_cut or self.is_answered:
            return
        if not self._body:
            self._body = piece
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += piece
        if len(self._body) > MAX_BODY:
            self._is_cut = True
            self.tell()

    def leave(self) -> None:
        """Nobody waits for the answer any more."""
        self.is_gone = True
        self.tell()

    def tell(self) -> None:
        """Whoever waits in `receive` that something has changed."""
        if self._news is not None:
            self._news.set()

    async def receive(self) -> Message:
        """The body, in one piece; then that the client has gone, as soon as it has. Of a body that is longer than any
        that is read here there is only the beginning, and whoever asks for more is told that there is none."""
        while not (self.is_answered or self.is_gone):
            if self._is_read:
                if self._is_cut:
                    break
            elif self.is_whole or self._is_cut:
                self._is_read, body, self._body = True, self._body, b""
                return {"type": "http.request", "body": bytes(body), "more_body": self._is_cut}
            self._invite()
            await self._something_new()
        return {"type": "http.disconnect"}

    def _invite(self) -> None:
        """Asks for the body, if the client waits for that (RFC 9110 §10.1.1)."""
        if self._expects_continue and not (self.is_whole or self._body or self.has_begun):
            self._outflow.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._expects_continue = False

    async def _something_new(self) -> None:
        if self._news is None:
            self._news = asyncio.Event()
        self._news.clear()
        await self._news.wait()

    # The answer

    async def run(self, app: ASGIApp) -> None:
        """Has the application answer, whatever becomes of it."""
        if self.is_whole and not self._is_cut:
            self.scope[BODY] = bytes(self._body)
        try:
            await app(self.scope, self.receive, self.send)
            if not (self.is_answered or self.is_gone):
                log.error("no answer", extra={"request_id": refused(self.scope, 500).request_id})
        except Exception:
            log.exception("unhandled error", extra={"request_id": refused(self.scope, 500).request_id})
        finally:
            if self.task is not None:
                self._line.state.tasks.discard(self.task)
            if not (self.is_answered or self.is_gone):
                self._line.failed(self)

    async def send(self, message: Message) -> None:
        """Writes the answer, no faster than the client takes it: its head together with the first of its content."""
        if self._outflow.blocked is not None:
            await self._outflow.blocked.wait()
        if self.is_gone:
            return
        kind = message["type"]
        if kind == ANSWER and self._head is None:
            self._answer(message["status"], message["headers"], message["own"], message["body"])
        elif kind == "http.response.start" and self._head is None:
            self._start(message["status"], message.get("headers", ()))
        elif kind == "http.response.body" and self._head is not None and not self.is_answered:
            self._write(message.get("body", b""), message.get("more_body", False))
        else:
            raise RuntimeError(f"This is not the moment for {kind}")

    def _answer(self, status: int, headers: Sequence[Header], own: Iterable[Header], content: bytes) -> None:
        """Writes all of it, as most answers are: not long, and with content."""
        size = len(content)
        if size > _COPIED or status in _WITHOUT_CONTENT or self.scope["method"] == "HEAD":
            self._start(status, [*headers, *own, (b"content-length", b"%d" % size)])
            self._write(content, more=False)
            return
        head, is_last = common_head(status, (*self._line.state.default_headers, *headers))
        if is_last:
            self.is_last = True
        self._head = [head]
        for name, value in own:
            self._head.append(header_line(name, value))
        self._length = size
        self._outflow.write(b"".join((*self._framed(size, more=False), content)))
        self._conclude()

    def _start(self, status: int, headers: Iterable[Header]) -> None:
        self._head, self._length, is_last = rendered(status, [*self._line.state.default_headers, *headers])
        if is_last:
            self.is_last = True
        if status in _WITHOUT_CONTENT or self.scope["method"] == "HEAD":
            self._has_content = False
            if status == 204:
                self._length = None  # RFC 9110 §8.6

    def _write(self, content: bytes, more: bool) -> None:
        size = len(content)
        if not self._has_content:
            content = b""
        elif self._length is not None:
            self._sent += size
            if self._sent != self._length and (self._sent > self._length or not more):
                raise RuntimeError("The content is not as long as its Content-Length says")
        pieces = [] if self.has_begun else self._framed(size, more)
        pieces += _chunks(content, more) if self._is_chunked else (content,)
        if size > _COPIED:
            self._outflow.write_uncopied(pieces)
        else:
            self._outflow.write(b"".join(pieces))
        if not more:
            self._conclude()

    def _conclude(self) -> None:
        self.is_answered = True
        self.tell()
        self._line.answered(self)

    def _framed(self, size: int, more: bool) -> list[bytes]:
        """The whole head, once it can be known how the content is to be told from what follows (RFC 9112 §6)."""
        lines = self._head or []
        self.has_begun = True
        if self._length is not None:
            lines.append(b"content-length: %d\r\n" % self._length)
        elif self._has_content:
            if not more:
                lines.append(b"content-length: %d\r\n" % size)
            elif self.scope["http_version"] != "1.0":  # there the end of the connection has to do
                self._is_chunked = True
                lines.append(b"transfer-encoding: chunked\r\n")
        lines.append(LAST + b"\r\n" if self.is_last else b"\r\n")
        return lines


def _chunks(content: bytes, more: bool) -> list[bytes]:
    """RFC 9112 §7.1: one of no size would be the end."""
    chunk = [b"%x\r\n" % len(content), content, b"\r\n"] if content else []
    return chunk if more else [*chunk, b"0\r\n\r\n"]
