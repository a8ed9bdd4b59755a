"""uvicorn, as every command runs it."""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from idp.http.accepting import Accepting, Place
from idp.http.connection import Connection, State

SERVER: dict[str, Any] = {
    "http": Connection,
    "ws": "none",
    "lifespan": "on",
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,  # ours come from IDP_TRUSTED_PROXIES (app.py)
    "timeout_keep_alive": 30,
    "timeout_graceful_shutdown": 20,
}

_LAST_CALL = 0.5
"""Seconds in which a stopping server still reads requests from the connections that it has."""


class _Server(uvicorn.Server):
    """Says so once it accepts requests, and ends without dropping those that are on their way."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None], place: Place | None) -> None:
        super().__init__(config)
        self.server_state = self._state = State()
        self._announce = announce
        self._place = place
        self._accepting: Accepting | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets if self._place is None else [])
        if self.started:
            if self._place is not None:
                self._accepting = Accepting(sockets or (), self._place, self._state.connections, self._connection)
                self._accepting.start()
            _settle_memory()
            self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accepts no more connections, then lets clients end those that are open.

        uvicorn would close idle connections at once, and with them a request that was sent a moment ago. Instead each
        says with its next answer that it is the last (RFC 9112 §9.6).
        """
        try:
            await self._drain(sockets or ())
        finally:  # whatever fails above, what waits to be written is
            await super().shutdown(sockets)

    async def _drain(self, sockets: Sequence[socket.socket]) -> None:
        if self._accepting is not None:
            await self._accepting.stop()
        last = [connection for listening in sockets for connection in _waiting(listening)]
        for server in self.servers:
            server.close()
        for listening in sockets:
            listening.close()
        self._state.drain()
        for connection in last:
            await asyncio.get_running_loop().connect_accepted_socket(self._connection, connection)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_CALL):
                while self.server_state.connections:  # noqa: ASYNC110 - uvicorn has no event for it
                    await asyncio.sleep(0.02)

    def _connection(self) -> Connection:
        return Connection(self.config, self._state, self.lifespan.state)


def _settle_memory() -> None:
    """What is there by now stays: a garbage collector that looks at all of it again and again takes a thirtieth of the
    time of a busy server, and finds nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def _waiting(listening: socket.socket) -> Iterator[socket.socket]:
    """The connections that the kernel has accepted and nobody has taken: it resets them when `listening` closes."""
    with contextlib.suppress(OSError):  # there are no more, or no file descriptors for them
        while True:
            connection, _ = listening.accept()
            connection.setblocking(False)
            yield connection


class _Lifespan:
    """Keeps the error that ends the start or the stop: uvicorn would log a traceback where we have a sentence."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.error: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_without_traceback(message: Message) -> None:
            await send({**message, "message": ""})

        try:
            await self._app(scope, receive, send_without_traceback)
        except Exception as error:  # noqa: BLE001 - raised again where somebody reads it
            self.error = error


def run_in_process(
    app: ASGIApp, sockets: Sequence[socket.socket], announce: Callable[[], None], place: Place | None = None
) -> int:
    """Serves until SIGTERM, SIGINT or, when its terminal goes, SIGHUP; then drains. Gives the exit code, or raises what
    ended the start or the stop. `place` is for one of several workers, which share their connections evenly."""
    lifespan = _Lifespan(app)
    server = _Server(uvicorn.Config(lifespan, **SERVER), announce, place)
    for number in _ends():
        # Before uvicorn listens to them and after: it raises the one that ended it again, when that means nothing.
        signal.signal(number, server.handle_exit)
    with contextlib.suppress(SystemExit):  # uvicorn's way to say that the start failed
        server.run(sockets=list(sockets))
    if lifespan.error:
        raise lifespan.error
    return 0 if server.started else 1


def _ends() -> Sequence[signal.Signals]:
    """What ends the service in good order. `nohup` has us ignore that the terminal goes."""
    hung_up = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    return (signal.SIGTERM, signal.SIGINT, *hung_up)


def listen(host: str, port: int) -> list[socket.socket]:
    """Listening sockets. On loopback both families, because `localhost` may be either."""
    first = _bound(host, port)
    sockets = [first]
    if host == "127.0.0.1":
        with contextlib.suppress(OSError):
            sockets.append(_socket("::1", first.getsockname()[1]))
    return sockets


def _bound(host: str, port: int) -> socket.socket:
    try:
        return _socket(host, port)
    except OSError as error:
        raise click.ClickException(
            f"Cannot listen on {host}:{port} ({error.strerror or error}). Choose another with --port or --host."
        ) from None


def _socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Of a socket that does not name its protocol asyncio does not know that it may set TCP_NODELAY (uvloop does), and
    # an answer in two writes then waits 40 ms for the client's acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((host, port))
        listening.listen(2048)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening
