"""The real service for tests: real PostgreSQL, real HTTP, settings that make hashing cheap and nothing else unreal."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import uvicorn

from idp import app
from idp.cli.server import SERVER, listen
from idp.parts import Parts
from idp.settings import Settings
from keys.sealing import SealingKey

KEY_ENCRYPTION_KEY = bytes(range(32))
PEPPER = b"a pepper for tests, 32 bytes or more"
DEFAULT_CLIENT = "default-client"


def settings_for(dsn: str, **changes: Any) -> Settings:
    """Settings for a test on this database."""
    plain = Settings(
        issuer="http://localhost",
        database_url=dsn,
        key_encryption_keys=(SealingKey(KEY_ENCRYPTION_KEY),),
        password_peppers=(PEPPER,),
        bcrypt_cost=4,
        log_level="WARNING",
        default_client_id=DEFAULT_CLIENT,
    )
    return replace(plain, **changes)


@dataclass(frozen=True, slots=True)
class Service:
    """A running service; its issuer is its real address."""

    url: str
    settings: Settings


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[Service]:
    """Serves in a thread of its own on a free port of loopback, its issuer being that address."""
    sockets = listen("127.0.0.1", 0)
    url = f"http://localhost:{sockets[0].getsockname()[1]}"
    settings = replace(settings, issuer=url)
    server = uvicorn.Server(uvicorn.Config(app.build(settings, Parts.of(settings)), **SERVER))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=sockets)), name="service")
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        assert server.started, "the service did not start"
        yield Service(url, settings)
    finally:
        server.should_exit = True
        thread.join()
        for listening in sockets:
            listening.close()
