"""What all benchmarks stand on: one PostgreSQL, a folder, and how long to measure."""

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil

from bench.servers import cpu_of_tree
from idp.embedded import attach
from idp.embedded.account import server_account
from idp.embedded.cluster import locate

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".bench"
"""Where peers are installed. Not under version control."""


@dataclass(frozen=True, slots=True)
class Ground:
    """`seconds` is how long each measurement lasts, `scale` the share of B10's rows."""

    folder: Path
    seconds: float
    scale: float
    _dsn: str
    _postmaster: psutil.Process

    def database(self, name: str) -> str:
        """The DSN of a new, empty database. All are on one server, and only one is busy at a time."""
        asyncio.run(_create_database(self._dsn, name))
        return urlsplit(self._dsn)._replace(path=f"/{name}").geturl()

    def database_cpu(self) -> float:
        """Seconds that PostgreSQL has spent so far."""
        return cpu_of_tree(self._postmaster)


@contextlib.contextmanager
def ground(seconds: float, scale: float) -> Iterator[Ground]:
    """Lasts while the block runs; nothing is left of it."""
    with tempfile.TemporaryDirectory(prefix="idp-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # root's PostgreSQL runs as another account, which must get through
        with attach(folder / "postgres") as dsn:
            pid = locate(folder / "postgres", server_account()).postmaster_pid.read_text().split()[0]
            yield Ground(folder, seconds, scale, dsn, psutil.Process(int(pid)))


async def _create_database(dsn: str, name: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f'drop database if exists "{name}" with (force)')
        await connection.execute(f'create database "{name}"')
    finally:
        await connection.close()
