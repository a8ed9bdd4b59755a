"""One request and its answer, as the application sees them (ASGI 3, HTTP 2.3)."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol

from starlette.types import ASGIApp, Message, Scope
from uvicorn.server import ServerState

from idp.endpoints.body import MAX_BODY
from idp.endpoints.envelope import refused
from idp.http.head import LAST, Header, rendered
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

    __slots__ = (
        "_body",
        "_expects_continue",
        "_has_content",
        "_head",
        "_is_chunked",
        "_is_cut",
        "_is_read",
        "_length",
        "_line",
        "_news",
        "_outflow",
        "_sent",
        "has_begun",
        "is_answered",
        "is_gone",
        "is_last",
        "is_offered",
        "is_whole",
        "scope",
        "task",
    )

    def __init__(self, line: Line, scope: Scope, expects_continue: bool, is_last: bool) -> None:
        self.scope = scope
        self.task: asyncio.Task[None] | None = None
        self.is_offered = False  # to the application, at once or in its turn
        self.is_whole = False  # its body has come in
        self.is_last = is_last  # on its connection
        self.is_gone = False  # the client, or our interest in it
        self.is_answered = False
        self.has_begun = False  # some of the answer is written
        self._line = line
        self._outflow = line.outflow
        self._expects_continue = expects_continue
        self._news: asyncio.Event | None = None
        self._body: bytes | bytearray = b""
        self._is_cut = False  # what came after MAX_BODY was dropped
        self._is_read = False
        self._head: list[bytes] | None = None  # until the first of the content comes
        self._length: int | None = None  # of the content, if it was said
        self._sent = 0  # of it
        self._has_content = True
        self._is_chunked = False

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
        if kind == "http.response.start" and self._head is None:
            self._start(message["status"], message.get("headers", ()))
        elif kind == "http.response.body" and self._head is not None and not self.is_answered:
            self._write(message.get("body", b""), message.get("more_body", False))
        else:
            raise RuntimeError(f"This is not the moment for {kind}")

    def _start(self, status: int, headers: Iterable[Header]) -> None:
        self._head, length, is_last = rendered(status, [*self._line.state.default_headers, *headers])
        self._length = None if status == 204 else length  # RFC 9110 §8.6
        self._has_content = status not in _WITHOUT_CONTENT and self.scope["method"] != "HEAD"
        self.is_last = self.is_last or is_last

    def _write(self, content: bytes, more: bool) -> None:
        if not self._has_content:
            content = b""
        elif self._length is not None:
            self._sent += len(content)
            if self._sent > self._length or (self._sent < self._length and not more):
                raise RuntimeError("The content is not as long as its Content-Length says")
        pieces = [] if self.has_begun else self._framed(len(content), more)
        if self._is_chunked:
            pieces += _chunks(content, more)
        else:
            pieces.append(content)
        if len(content) > _COPIED:
            self._outflow.write_uncopied(pieces)
        else:
            self._outflow.write(b"".join(pieces))
        if not more:
            self.is_answered = True
            if self._news is not None:
                self._news.set()
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
