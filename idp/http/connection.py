"""A connection: requests come in, within bounds, and are answered in their order (RFC 9112).

What is refused before it becomes a request is answered like everything else, with a request id, and logged and counted,
if it is its turn: while an earlier answer is awaited, it only ends the connection.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import unquote

import httptools
from starlette.types import ASGIApp, Scope
from uvicorn.config import Config
from uvicorn.server import ServerState

from idp.endpoints.envelope import OBSERVE, OTHER, new_origin, refused
from idp.endpoints.fields import FIELDS
from idp.endpoints.whole import EXTENSIONS
from idp.http import bounds
from idp.http.deadline import Deadline
from idp.http.exchange import Exchange
from idp.http.head import Header
from idp.http.outflow import Outflow
from idp.http.refusal import refusal
from idp.http.repeated import KnownHead, known_head
from idp.http.target import is_addressed, path_and_query

_ASGI = {"version": "3.0", "spec_version": "2.3"}
_VERSIONS = frozenset({"1.0", "1.1"})
_ABOUT_CONNECTION = frozenset({b"connection", b"proxy-connection", b"upgrade", b"expect"})
"""What most requests have not, and only who has it needs to be asked about."""


class State(ServerState):
    """What the connections of a server share. While it is `draining`, each answer is the last on its connection."""

    draining = False

    def drain(self) -> None:
        self.draining = True
        for connection in self.connections:
            if isinstance(connection, Connection):
                connection.drain()


class _Enough(Exception):  # noqa: N818 - raised through the parser, to make it stop
    pass


class Connection(asyncio.Protocol):
    """What uvicorn runs for each client (`http=Connection`): it gives the arguments, and calls `shutdown`."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._app = cast("ASGIApp", config.loaded_app)
        self._idle_seconds = config.timeout_keep_alive
        self.state = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._parser = _parser(self)
        self._transport: asyncio.Transport
        self.outflow: Outflow
        self._server: tuple[str, int] | None = None
        self._client: tuple[str, int] | None = None
        self._is_draining = isinstance(server_state, State) and server_state.draining
        self._is_over = False  # what still comes is no request any more
        self._is_paused = False
        self._host: bytes | None = None  # that was asked for last
        self._known: KnownHead | None = None  # that came last
        self._replayable: Scope | None = None  # of a request that begins in this piece, if it may come again
        # the request that is coming in
        self._target = b""
        self._headers: list[Header] = []
        self._incoming: Exchange | None = None  # once its head is complete
        self._received = 0  # bytes of it; what of it came together with the end of another one counts as a single byte
        self._piece = 0  # bytes that came last
        self._since: float | None = None  # when it began, unless it came in one piece
        self._deadline = Deadline(self._loop, self._expire)
        # the answers
        self._exchange: Exchange | None = None  # whose answer is on its way
        self._waiting: deque[Exchange] = deque()  # for their turn

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.outflow = Outflow(self._loop, self._transport)
        self._server = _address(transport.get_extra_info("sockname"))
        self._client = _address(transport.get_extra_info("peername"))
        cast("set[Connection]", self.state.connections).add(self)
        self._deadline.set(bounds.REQUEST_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        cast("set[Connection]", self.state.connections).discard(self)
        self._is_over = True
        self._deadline.clear()
        self._waiting.clear()
        self._leave()
        self.outflow.end()
        del self._parser, self._deadline  # each refers to this connection, as it does to them

    # What comes in

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        begins = not self._received
        if begins and self._known is not None and (body := self._known.body_in(data)) is not None:
            self._repeat(self._known, body)
            return
        self._piece = len(data)
        self._received += self._piece
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._received = 0
            self.data_received(self._head_without_upgrade() + data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self._refuse(400)
        replayable, self._replayable = self._replayable, None  # it does not outlive its request
        if self._received and not self._is_over:
            self._await_the_rest()
        elif begins and replayable is not None:
            self._known = known_head(data, replayable)

    def _repeat(self, head: KnownHead, body: bytes) -> None:
        """Takes a request as the parser took the one before with this head."""
        exchange = Exchange(self, head.scope(), expects_continue=False, is_last=self._is_draining)
        exchange.take(body)
        self._completed(exchange)

    def _await_the_rest(self) -> None:
        """Has the application begin on what there is, and watches over what is not there yet."""
        if self._received > (bounds.MAX_REQUEST if self._incoming else bounds.MAX_HEAD):
            self._refuse(413 if self._incoming else 431)
            return
        if self._incoming is not None and not self._incoming.is_offered:
            self._offer(self._incoming)
        if self._since is None:
            self._since = self._loop.time()
            self._deadline.set(bounds.REQUEST_SECONDS)

    def _head_without_upgrade(self) -> bytes:
        """The head that has been read, for a parser that has read nothing yet.

        We offer no other protocol, and a server may ignore that one is asked for (RFC 9110 §7.8). But llhttp takes all
        that follows such a head for that protocol, and so does not see the request's body.
        """
        start = b"%b %b HTTP/%b" % (self._parser.get_method(), self._target, self._parser.get_http_version().encode())
        headers = [b"%b: %b" % header for header in self._headers if header[0] != b"upgrade"]
        self._parser = _parser(self)
        return b"\r\n".join([start, *headers, b"", b""])

    # What the parser finds in it

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers = []
        self._received = self._received or 1

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._incoming is None:  # trailers are dropped: nobody here has a use for them (RFC 9110 §6.5.1)
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser, headers = self._parser, self._headers
        method, fields = parser.get_method(), dict(headers)
        if self._received + self._piece > bounds.MAX_HEAD and self._head_size > bounds.MAX_HEAD:
            self._refuse(431)
            raise _Enough
        keeps_alive = parser.should_keep_alive()
        if is_plain := keeps_alive and _ABOUT_CONNECTION.isdisjoint(fields):
            version = "1.1"  # only there is that so without a header (RFC 9112 §9.3), and to ask takes its time
        else:
            version = parser.get_http_version()
        if method == b"CONNECT" or version not in _VERSIONS or not self._is_addressed(fields, version):
            self._refuse(400)
            raise _Enough
        is_last, expects_continue = self._is_draining, False
        if not is_plain:
            if parser.should_upgrade():
                return
            is_last = is_last or not keeps_alive or version == "1.0"
            expects_continue = version == "1.1" and fields.get(b"expect", b"").lower() == b"100-continue"
        scope = self._scope(method, version)
        if len(fields) == len(headers):
            scope[FIELDS] = fields
        self._incoming = Exchange(self, scope, expects_continue, is_last)
        self._replayable = None if is_last or expects_continue else scope

    def _is_addressed(self, fields: Mapping[bytes, bytes], version: str) -> bool:
        host = fields.get(b"host")
        if host != self._host or host is None or len(fields) < len(self._headers):
            if not is_addressed(self._headers, version):
                return False
            self._host = host
        return True

    @property
    def _head_size(self) -> int:
        return len(self._target) + sum(len(name) + len(value) for name, value in self._headers)

    def _scope(self, method: bytes, version: str) -> Scope:
        raw_path, query = path_and_query(self._target)
        path = raw_path.decode("ascii")
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "server": self._server,
            "client": self._client,
            "scheme": "http",
            "root_path": "",
            "extensions": EXTENSIONS,
            "method": method.decode("ascii"),
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self._headers,
        }

    def on_body(self, body: bytes) -> None:
        if self._incoming is not None:
            self._incoming.take(body)

    def on_message_complete(self) -> None:
        exchange = self._incoming
        if exchange is None:  # it is read again, without its Upgrade
            return
        self._incoming, self._received, self._since = None, 0, None
        self._completed(exchange)
        if self._is_over:
            raise _Enough

    def _completed(self, exchange: Exchange) -> None:
        exchange.is_whole = True
        if exchange.is_offered:
            exchange.tell()
        else:
            self._offer(exchange)
        if exchange.is_last or len(self._waiting) >= bounds.MAX_PIPELINED:
            self._end_after_answers()

    # The answers

    def _offer(self, exchange: Exchange) -> None:
        """To the application, in its turn."""
        exchange.is_offered = True
        if self._exchange is None:
            self._start(exchange)
        else:
            self._waiting.append(exchange)
            self._pause()

    def _start(self, exchange: Exchange) -> None:
        self._exchange = exchange
        exchange.task = task = self._loop.create_task(exchange.run(self._app))
        self.state.tasks.add(task)

    def answered(self, exchange: Exchange) -> None:
        if self._waiting and not exchange.is_last:
            self._start(self._waiting.popleft())
        else:
            self._exchange = None
        if exchange.is_last:
            self._close()
        elif self._is_paused and not self._waiting:
            self._go_on()
        elif not self._received:
            self._deadline.set(self._idle_seconds)

    def failed(self, exchange: Exchange) -> None:
        if not exchange.has_begun:
            self.outflow.write(refusal(500, refused(exchange.scope, 500).request_id, self.state.default_headers))
        self._close()

    def _pause(self) -> None:
        """Reads no more requests while some wait."""
        if not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def _go_on(self) -> None:
        self._is_paused = False
        if not self._transport.is_closing():
            self._transport.resume_reading()
        if self._received:
            self._deadline.set(bounds.REQUEST_SECONDS)

    def pause_writing(self) -> None:
        self.outflow.pause()

    def resume_writing(self) -> None:
        self.outflow.resume()

    # The end

    def drain(self) -> None:
        """Has the answer to the last request say that it is the last (RFC 9112 §9.6): or to the next, if all are
        answered."""
        self._is_draining = True
        if last := self._last:
            last.is_last = True

    def shutdown(self) -> None:
        """uvicorn stops. A request of which some has come may come in whole."""
        self.drain()
        if self._exchange is None and not (self._received and self._incoming is None):
            self._close()

    @property
    def _last(self) -> Exchange | None:
        """The last of those that are to be answered."""
        return self._waiting[-1] if self._waiting else self._exchange

    def _end_after_answers(self) -> None:
        """Answers what was asked so far, in its order (RFC 9112 §9.3.2), and nothing else."""
        self._is_over = True
        self._deadline.clear()
        self.drain()

    def _close(self) -> None:
        """When what was written is taken."""
        self._is_over = True
        self._deadline.clear()
        self._leave()
        self._transport.close()
        self.outflow.watch()

    def _leave(self) -> None:
        if self._exchange is not None:
            self._exchange.leave()

    def _expire(self) -> None:
        if self._received:
            if not self._is_paused:
                self._refuse(408)
        elif self._exchange is None:  # it is idle, or a browser has opened it in advance
            self._close()

    def _refuse(self, status: int) -> None:
        """Ends the connection, with an answer if it is the turn of the request that is refused and it has none yet."""
        if self._is_over:
            return
        incoming = self._incoming
        if incoming is not None and not incoming.is_offered:
            self._offer(incoming)  # has the application log and count it
        if self._exchange is not incoming and self._exchange is not None:
            if incoming is not None:
                self._waiting.pop()
            self._end_after_answers()
            return
        if incoming is None:
            self.outflow.write(refusal(status, self._observed(status), self.state.default_headers))
        elif self._exchange is incoming and not incoming.has_begun:
            self.outflow.write(refusal(status, refused(incoming.scope, status).request_id, self.state.default_headers))
        self._close()

    def _observed(self, status: int) -> str:
        """The id of a request that never became one, which nobody else would log and count."""
        origin = new_origin(self._client)
        seconds = self._loop.time() - self._since if self._since is not None else 0.0
        if observe := self._app_state.get(OBSERVE):
            observe(OTHER, OTHER, status, seconds, origin)
        return origin.request_id


def _parser(connection: Connection) -> httptools.HttpRequestParser:
    """Strict, except that what follows the last request is dropped here and no error there."""
    parser = httptools.HttpRequestParser(connection)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def _address(name: object) -> tuple[str, int] | None:
    """Host and port, which a Unix socket does not have."""
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None
