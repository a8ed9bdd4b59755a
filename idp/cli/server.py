"""uvicorn, as every command runs it."""

import contextlib
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Any

import click
import uvicorn
from starlette.types import ASGIApp

SERVER: dict[str, Any] = {
    "lifespan": "on",
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,  # ours come from IDP_TRUSTED_PROXIES (app.py)
    "timeout_keep_alive": 30,
    "timeout_graceful_shutdown": 20,
}


class _AnnouncingServer(uvicorn.Server):
    """Says so once it accepts requests."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()


def run_in_process(app: ASGIApp, sockets: Sequence[socket.socket], announce: Callable[[], None]) -> int:
    """Serves until SIGTERM or SIGINT, then drains. Gives the exit code."""
    stop_quietly()
    server = _AnnouncingServer(uvicorn.Config(app, **SERVER), announce)
    server.run(sockets=list(sockets))
    return 0 if server.started else 1


def stop_quietly() -> None:
    """uvicorn raises the signal that ended it once more after the orderly stop; by then it means nothing."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)


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
    listening = socket.socket(family, socket.SOCK_STREAM)
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
