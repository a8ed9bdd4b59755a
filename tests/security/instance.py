"""The whole service in the test's own event loop: requests come from wherever a test says, and hashes are counted."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar, TypeVarTuple

import httpx
from starlette.types import ASGIApp

from idp import app
from idp.audit import AuditQueue
from idp.cli.directories import Directories, directories
from idp.parts import Parts
from idp.passwords.pool import HashPool, Overloaded
from idp.store import Store
from tests.service import settings_for

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

ISSUER = "http://localhost"


class CountingPool(HashPool):
    """Counts what was asked of it. While it is `full`, work that had room a moment ago is refused."""

    runs = 0
    full = False

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        self.runs += 1
        if self.full:
            raise Overloaded(1)
        return await super().run(function, *args)


@dataclass(frozen=True, slots=True)
class Instance:
    """A running service."""

    app: ASGIApp
    store: Store
    pool: CountingPool
    directory: Directories
    audit: AuditQueue

    def at(self, source: str, **headers: str) -> httpx.AsyncClient:
        """A client at this network address."""
        transport = httpx.ASGITransport(self.app, client=(source, 50_000))
        return httpx.AsyncClient(transport=transport, base_url=ISSUER, headers=headers)

    async def pass_time(self) -> None:
        """Lets the waits that throttling imposed pass, at once."""
        await self.store.executor.execute("update login_tries set next_at = now()")

    async def stop_time(self) -> None:
        """Makes the waits so long that none ends while a slow machine is at work on the test."""
        await self.store.executor.execute(
            "update login_tries set next_at = next_at + interval '1 hour' where next_at > last_at"
        )


@asynccontextmanager
async def instance(dsn: str, **changes: object) -> AsyncIterator[Instance]:
    """Runs the service on this database while the block runs."""
    settings = settings_for(dsn, **changes)
    pool = CountingPool(settings.hash_concurrency)
    parts = replace(Parts.of(settings), pool=pool)
    application = app.build(settings, parts)
    async with parts.running(), directories(settings) as directory:
        yield Instance(application, parts.store, pool, directory, parts.audit)
