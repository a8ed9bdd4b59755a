"""An application of a few lines behind the server of this service."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from idp.cli.server import SERVER, listen
from idp.http.connection import State


@contextlib.contextmanager
def serving(app: ASGIApp, *, idle_seconds: int = 30) -> Iterator[str]:
    """Serves in a thread of its own on a free port of loopback, and gives the address."""
    sockets = listen("127.0.0.1", 0)
    config = uvicorn.Config(app, **{**SERVER, "lifespan": "off", "timeout_keep_alive": idle_seconds})
    server = uvicorn.Server(config)
    server.server_state = State()
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=sockets)), name="server")
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield f"http://localhost:{sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        for listening in sockets:
            listening.close()
