"""`python -m tests.operation.broken`: a server whose stop meets an error that nobody has foreseen."""

import os
import signal
import socket
from typing import NoReturn

import click
from starlette.types import Receive, Scope, Send

from idp.cli.server import run_in_process


class _Broken(socket.socket):
    """The event loop takes connections without it; the stop asks it for those that wait."""

    def accept(self) -> NoReturn:
        raise RuntimeError("broken")


async def _app(_: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    click.echo("everything is written")
    await send({"type": "lifespan.shutdown.complete"})


def _main() -> None:
    with _Broken() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        run_in_process(_app, [listening], lambda: os.kill(os.getpid(), signal.SIGTERM))


if __name__ == "__main__":
    _main()
