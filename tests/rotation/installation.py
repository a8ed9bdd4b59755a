"""An installation of real processes: PostgreSQL, and instances of `idp serve` that share it and one issuer URL.

Its keys live for seconds: the shortest durations that the settings take. Whatever is killed comes back: PostgreSQL
by its supervisor, an instance by a task here that does what a service manager does.
"""

import asyncio
import base64
import contextlib
import os
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil  # types-psutil is not among the pins

from idp import settings
from idp.cli.directories import directories
from idp.embedded import attach
from idp.embedded.account import server_account
from idp.embedded.cluster import Cluster, locate
from idp.embedded.server import is_ready
from idp.protocol.client import ADMIN_SCOPE
from idp.store import schema
from tests import builders
from tests.builders import ConfidentialClient
from tests.rotation.connections import Peer
from tests.service import KEY_ENCRYPTION_KEY

AUDIENCE = "https://api.example.com"
MAX_AGE = 1
SKEW = 1
PROPAGATION = 2
PUBLISH_AHEAD = MAX_AGE + SKEW + PROPAGATION
PERIOD = PUBLISH_AHEAD + 1
"""Seconds between planned rotations. One that is asked for as soon as the last is done comes after PUBLISH_AHEAD."""
TOKEN_TTL = 10

IDP = (str(Path(sys.executable).with_name("idp")),)
_PATIENCE = 60.0


class Instance:
    """One `idp serve` under a service manager: in a process group of its own, and started anew when it dies.

    Its last words are in `log`.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path, url: str) -> None:
        self.url = url
        self.log = log
        self._command = command
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._spawn()
        self._keeping = asyncio.create_task(self._keep_alive())

    async def stop(self) -> None:
        """Asks it to stop, and clears away what is left."""
        assert self._process
        assert self._keeping
        self._keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._keeping
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _PATIENCE)
        self._clear_away()
        await self._process.wait()

    def processes(self) -> list[psutil.Process]:
        """Those that are alive: the first one, and its workers."""
        assert self._process
        with contextlib.suppress(psutil.NoSuchProcess):
            first = psutil.Process(self._process.pid)
            return [first, *first.children(recursive=True)]
        return []

    async def _spawn(self) -> None:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    async def _keep_alive(self) -> None:
        while True:
            assert self._process
            await self._process.wait()
            self._clear_away()
            await asyncio.sleep(0.1)
            await self._spawn()

    def _clear_away(self) -> None:
        """Ends what is left of the group, as systemd does: orphaned workers would keep the port."""
        assert self._process
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Installation:
    """A running installation. `operator` may use the admin API, `client` takes tokens for AUDIENCE."""

    issuer: str
    instances: tuple[Instance, ...]
    client: ConfidentialClient
    operator: ConfidentialClient
    _cluster: Cluster

    @property
    def dsn(self) -> str:
        """The database that the instances share."""
        return self._cluster.dsn

    def processes(self) -> list[tuple[str, psutil.Process]]:
        """What ill luck can end, and what it is: every process of the service, and two of PostgreSQL.

        PostgreSQL is spared while it starts: its supervisor, which is not for production, gives up then.
        """
        found = [
            ("worker" if place else "instance", process)
            for instance in self.instances
            for place, process in enumerate(instance.processes())
        ]
        with contextlib.suppress(psutil.NoSuchProcess):
            if is_ready(self._cluster):
                postmaster = psutil.Process(int(self._cluster.postmaster_pid.read_text().split()[0]))
                found += [("postmaster", postmaster), ("postgres backend", postmaster.children()[-1])]
        return found


@contextlib.asynccontextmanager
async def installation(
    *,
    instances: int = 2,
    workers: int = 2,
    program: Sequence[str] = IDP,
    issuer: str | None = None,
    scopes: tuple[str, ...] = (),
) -> AsyncIterator[Installation]:
    """Runs an installation on free ports. `program` is what runs as `idp`, `scopes` are those of the client.

    The issuer is the first instance unless another address is given, which leads to the instances then.
    """
    ports = [free_port() for _ in range(instances)]
    issuer = issuer or f"http://localhost:{ports[0]}"
    with _folder() as folder, attach(folder / "postgres") as dsn:
        environment = _environment(issuer, dsn)
        client, operator = await _prepare(settings.from_environment(environment)[0], scopes)
        running = tuple(
            Instance(
                [*program, "serve", "--port", str(port), "--workers", str(workers)],
                _bare() | environment,
                folder / f"{port}.log",
                f"http://localhost:{port}",
            )
            for port in ports
        )
        async with contextlib.AsyncExitStack() as stack:
            for instance in running:
                await instance.start()
                stack.push_async_callback(instance.stop)
            await asyncio.gather(*map(_ready, running))
            yield Installation(issuer, running, client, operator, locate(folder / "postgres", server_account()))


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="idp-rotation-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # root's PostgreSQL runs as another account, which must get through
        yield folder


def free_port() -> int:
    """A port that nobody listens on, a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _environment(issuer: str, dsn: str) -> dict[str, str]:
    durations = {
        "IDP_ACCESS_TOKEN_TTL": TOKEN_TTL,
        "IDP_KEY_ROTATION_PERIOD": PERIOD,
        "IDP_KEY_PUBLISH_AHEAD": PUBLISH_AHEAD,
        "IDP_KEY_PROPAGATION": PROPAGATION,
        "IDP_JWKS_MAX_AGE": MAX_AGE,
        "IDP_CLOCK_SKEW": SKEW,
    }
    return {
        "IDP_ISSUER": issuer,
        "IDP_DATABASE_URL": dsn,
        "IDP_KEY_ENCRYPTION_KEY": base64.b64encode(KEY_ENCRYPTION_KEY).decode(),
        "IDP_PASSWORD_PEPPER": secrets.token_urlsafe(32),
        "IDP_BCRYPT_COST": "4",
        "IDP_LOG_LEVEL": "WARNING",
    } | {name: str(seconds) for name, seconds in durations.items()}


def _bare() -> dict[str, str]:
    """Our environment without settings of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("IDP_")}


async def _prepare(
    configured: settings.Settings, scopes: tuple[str, ...]
) -> tuple[ConfidentialClient, ConfidentialClient]:
    await schema.migrate(configured.database_url)
    async with directories(configured) as directory:
        client = await builders.client(directory, audiences=(AUDIENCE,), scopes=scopes)
        operator = await builders.client(directory, scopes=(ADMIN_SCOPE,))
    return client, operator


async def _ready(instance: Instance) -> None:
    """Waits until it serves."""
    deadline = time.monotonic() + _PATIENCE
    with contextlib.closing(Peer(instance.url)) as peer:
        while True:
            with contextlib.suppress(ConnectionError):
                if (await peer.get("/readyz")).is_success:
                    return
            assert time.monotonic() < deadline, f"{instance.url} does not serve:\n{instance.log.read_text()}"
            await asyncio.sleep(0.05)
