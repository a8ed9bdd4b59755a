"""A connection, as uvicorn serves it, within bounds that uvicorn leaves open.

uvicorn takes a head of any size, waits for a request as long as it takes to come and for an answer as long as it takes
to be taken, and queues as many requests as were sent at once. Here all that is bounded, so that a slow or endless
client holds neither memory nor a connection for ever (CWE-400). What is refused before it becomes a request is answered
like everything else, with a request id, and logged and counted.
"""

import asyncio
import re
from http import HTTPStatus
from typing import Any, cast

import httptools
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
MAX_PIPELINED = 16
"""Requests that wait for the answer to an earlier one. The connection ends with the answer to the last of them."""
ANSWER_SECONDS = 10.0
"""Seconds in which a client that is behind with its answers takes at least `ANSWER_BYTES` of them."""
ANSWER_BYTES = 16 * 1024

_HOST = re.compile(rb"(\[[0-9a-fA-F:.]+\]|[\w.~!$&'()*+,;=%-]*)(:\d*)?")
"""RFC 9110 §7.2."""


class State(ServerState):
    """What the connections of a server share. While it is `draining`, each answer is the last on its connection."""

    draining = False

    def drain(self) -> None:
        self.draining = True
        for connection in self.connections:
            if isinstance(connection, Connection):
                connection.end_after_answer()


class _Enough(Exception):  # noqa: N818 - raised through the parser, to make it stop
    pass


class Connection(HttpToolsProtocol):
    """uvicorn's connection with a deadline and a size for each request, and for the answers that wait."""

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
        self._is_over = False  # what still comes is no request any more
        self._deadline: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_deadline()
        self._clear_patience()
        super().connection_lost(exc)

    # What comes in

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        self._unset_keepalive_if_required()
        self._received += len(data)
        self._parse(data)
        if self._received > (MAX_HEAD if self._in_head else MAX_REQUEST):
            self._refuse(431 if self._in_head else 413)
        elif self._received and not self._is_over:
            self._set_deadline()

    def _parse(self, data: bytes) -> None:
        while True:
            try:
                return self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
            except httptools.HttpParserError:
                return self._refuse(400)

    def _head_without_upgrade(self) -> bytes:
        """The head that has been read, for a parser that has read nothing yet.

        We offer no other protocol, and a server may ignore that one is asked for (RFC 9110 §7.8). But llhttp takes all
        that follows such a head for that protocol, and so does not see the request's body.
        """
        start = b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        headers = [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        return b"\r\n".join([start, *headers, b"", b""])

    def on_headers_complete(self) -> None:
        if self._received > MAX_HEAD and self._head_size > MAX_HEAD:
            self._refuse(431)
            raise _Enough
        if not self._is_addressed() or self.parser.get_method() == b"CONNECT":
            self._refuse(400)
            raise _Enough
        if self.parser.should_upgrade():
            return
        if not self.url.startswith((b"/", b"*")):
            self.url = _origin_form(self.url)
        super().on_headers_complete()
        self._in_head = False
        if isinstance(self.server_state, State) and self.server_state.draining:
            self.end_after_answer()

    @property
    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _is_addressed(self) -> bool:
        """Whether there is the one Host that RFC 9112 §3.2 demands."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) != 1:
            return not hosts and self.parser.get_http_version() == "1.0"
        return _HOST.fullmatch(hosts[0]) is not None

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._received, self._in_head = 0, True
        self._clear_deadline()
        if len(self.pipeline) >= MAX_PIPELINED:
            self._end_after_answers()
            raise _Enough

    # What goes out

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_taking()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._clear_patience()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._expect_taking()

    def _expect_taking(self) -> None:
        """Gives up on a client that leaves its answers where they are."""
        self._clear_patience()
        left = self.transport.get_write_buffer_size()
        if left:
            self._patience = self.loop.call_later(ANSWER_SECONDS, self._look_for_taking, left)

    def _look_for_taking(self, before: int) -> None:
        if self.transport.get_write_buffer_size() > before - ANSWER_BYTES:
            self.transport.abort()
        else:
            self._expect_taking()

    def _clear_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    # The end

    def end_after_answer(self) -> None:
        """Has the answer to the last request that came say that it is the last (RFC 9112 §9.6)."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """As uvicorn does when it stops, but a request of which some has come may come in whole."""
        if not (self._received and self._in_head):
            super().shutdown()
            self._expect_taking()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._expect_taking()

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
        """Ends the connection, with an answer if it is the turn of the request that is refused and it has none yet."""
        if self._is_over or self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle
        if self._in_head and cycle is not None and not cycle.response_complete:
            self._end_after_answers()
            return
        if origin := self._refused(status):
            self.transport.write(_answer(status, origin.request_id, self.server_state.default_headers))
        self.transport.close()
        self._expect_taking()

    def _refused(self, status: int) -> Origin | None:
        """Where what is refused comes from; None if it has been answered, or it is not its turn. What the application
        is at work on it will log and count, and what never became a request nobody else would."""
        if not self._in_head:
            is_waited_for = not (self.cycle.response_started or self.pipeline)
            return refused(cast("Scope", self.cycle.scope), status) if is_waited_for else None
        origin = new_origin(self.client)
        seconds = self.loop.time() - (self._deadline.when() - REQUEST_SECONDS) if self._deadline else 0.0
        self.app_state[OBSERVE](OTHER, OTHER, status, seconds, origin)
        return origin

    def _end_after_answers(self) -> None:
        """Answers what was asked so far, in its order (RFC 9112 §9.3.2), and nothing else."""
        self._is_over = True
        self._clear_deadline()
        self.end_after_answer()


def _origin_form(url: bytes) -> bytes:
    """A target in absolute form (RFC 9112 §3.2.2) without the authority, which the Host header repeats."""
    target = httptools.parse_url(url)
    query = b"?" + target.query if target.query else b""
    return (target.path or b"/") + query


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
