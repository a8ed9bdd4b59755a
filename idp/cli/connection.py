"""A connection, as uvicorn serves it, within bounds that uvicorn leaves open.

uvicorn takes a head of any size and waits for a request as long as it takes to come. Here a request has a deadline and
a size from its first byte to its last, which keeps a slow or endless one from holding memory or a connection for ever
(CWE-400). What is refused before it becomes a request is answered like everything else, with a request id, and logged
and counted.
"""

import asyncio
from http import HTTPStatus
from typing import Any, cast

from starlette.types import Scope
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from idp.endpoints.envelope import OBSERVE, OTHER, new_origin, problem_body, refused, safe_headers
from idp.protocol.authorization import Origin

MAX_HEAD = 32 * 1024
"""Bytes of request line and headers. Our longest is a token of at most 16 KiB."""
MAX_REQUEST = 1024 * 1024
"""Bytes of a whole request. No endpoint reads half as much; the rest is what is still on its way after a 413."""
REQUEST_SECONDS = 10.0
"""Seconds for a request to come in whole, and for the first one to begin."""


class State(ServerState):
    """What the connections of a server share. While it is `draining`, each answer is the last on its connection."""

    draining = False

    def drain(self) -> None:
        self.draining = True
        for connection in self.connections:
            if isinstance(connection, Connection):
                connection.end_after_answer()


class _HeadTooLarge(Exception):  # noqa: N818 - raised through the parser, to make it stop
    pass


class Connection(HttpToolsProtocol):
    """uvicorn's connection with a deadline and a size for each request."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._received = 0  # bytes of the request that is coming in
        self._in_head = True
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)
        if self._received > (MAX_HEAD if self._in_head else MAX_REQUEST):
            self._refuse(431 if self._in_head else 413)
        elif self._received:
            self._set_deadline()

    def on_headers_complete(self) -> None:
        if self._received > MAX_HEAD and self._head_size > MAX_HEAD:
            self._refuse(431)
            raise _HeadTooLarge
        super().on_headers_complete()
        self._in_head = False
        if isinstance(self.server_state, State) and self.server_state.draining:
            self.end_after_answer()

    def end_after_answer(self) -> None:
        """Has the answer to the last request that came say that it is the last (RFC 9112 §9.6)."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    @property
    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._received, self._in_head = 0, True
        self._clear_deadline()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - ours says more
        self._refuse(400)

    def _set_deadline(self) -> None:
        if self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self._expire)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        if self._received:
            self._refuse(408)
        else:  # a browser that opened a connection in advance has asked for nothing yet
            self.transport.close()

    def _refuse(self, status: int) -> None:
        """Ends the connection, with an answer unless it is in the middle of one."""
        if self.transport.is_closing():
            return
        if origin := self._refused(status):
            self.transport.write(_answer(status, origin.request_id, self.server_state.default_headers))
        self.transport.close()

    def _refused(self, status: int) -> Origin | None:
        """Where what is refused comes from; None in the middle of an answer. What the application is at work on it
        will log and count, and what never became a request nobody else would."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            return None if cycle.response_started else refused(cast("Scope", cycle.scope), status)
        origin = new_origin(self.client)
        seconds = self.loop.time() - (self._deadline.when() - REQUEST_SECONDS) if self._deadline else 0.0
        self.app_state[OBSERVE](OTHER, OTHER, status, seconds, origin)
        return origin


_DETAILS = {
    400: "This is not HTTP as this server understands it.",
    408: f"The request was not complete within {REQUEST_SECONDS:.0f} seconds.",
    413: f"A request has at most {MAX_REQUEST} bytes.",
    431: f"The request line and the headers have at most {MAX_HEAD} bytes.",
}


def _answer(status: int, request_id: str, defaults: list[tuple[bytes, bytes]]) -> bytes:
    body = problem_body(status, _DETAILS[status], request_id)
    headers = [
        *defaults,
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *safe_headers(request_id),
        (b"connection", b"close"),
    ]
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
    return head + b"".join(name + b": " + value + b"\r\n" for name, value in headers) + b"\r\n" + body
