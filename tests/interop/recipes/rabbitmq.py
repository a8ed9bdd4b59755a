"""docs/verify/rabbitmq.md"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tests.interop import programs
from tests.interop.pages import files_of, fitted
from tests.interop.recipes.amqp import objection_to_login
from tests.interop.recipes.recipe import Place, Recipe, Verifier
from tests.rotation.installation import free_port

_PAGE = "rabbitmq.md"

_SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
"""The one that Debian has in the PATH insists on an account of its own."""
_PATIENCE = 120.0


class _Broker:
    def __init__(self, port: int) -> None:
        self._port = port

    async def objection(self, token: str) -> str | None:
        return await objection_to_login(self._port, token)


@contextlib.asynccontextmanager
async def _open(place: Place) -> AsyncIterator[Verifier]:
    server, epmd = programs.found(_SERVER), programs.found("epmd")
    port = free_port()
    _configure(place)
    environment = _environment(place.folder, port)
    try:
        async with programs.running(server, cwd=place.folder, environment=environment) as process:
            await _accepting(port, process)
            yield _Broker(port)
    finally:
        async with programs.running(epmd, "-kill", cwd=place.folder, environment=environment) as end:
            await end.wait()


def _configure(place: Place) -> None:
    changes = {
        "https://id.example.com": place.issuer,
        "https://mq.example.com": place.audience,
        "/etc/ssl/certs/ca-certificates.crt": str(place.authority),
    }
    files = files_of(_PAGE)
    (place.folder / "rabbitmq.conf").write_text(fitted(files["rabbitmq.conf"], changes))
    (place.folder / "enabled_plugins").write_text(files["enabled_plugins"])


def _environment(folder: Path, port: int) -> dict[str, str]:
    """A broker beside others on this machine, all of whose files are in the folder."""
    return {
        "HOME": str(folder),  # of Erlang's cookie
        "ERL_EPMD_PORT": str(free_port()),  # of a register of nodes of its own, since that outlives the broker
        "RABBITMQ_NODENAME": f"idp{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
    }


async def _accepting(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(_PATIENCE):
        while True:
            assert process.returncode is None, "RabbitMQ has ended"
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.2)


RABBITMQ = Recipe(
    name="RabbitMQ",
    page=_PAGE,
    open=_open,
    blind=frozenset({"type: JWT", "another issuer", "no issuer", "no expiry", "not yet valid"}),
    leeway=0,
    outlasts_cache=True,
    outlasts_restart=False,
    is_led_to_fetch=True,
)
