"""Looks at a `Database` from both ends: what it thinks it holds, and what the server sees of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg

from idp.store.database import Database, Limits

NAME = "under test"
LIMITS = Limits(connections=4, acquire=2, connect=2, command=2)


@contextlib.asynccontextmanager
async def opened(dsn: str, **limits: Any) -> AsyncIterator[Database]:
    """A connected database."""
    database = Database(dsn, limits=replace(LIMITS, **limits), application_name=NAME)
    await database.connect()
    try:
        yield database
    finally:
        await database.disconnect()


class Observer:
    """A session of its own, to see the others with."""

    def __init__(self, session: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.session = session

    async def sessions(self, condition: str = "true") -> int:
        """How many sessions the database under test has, of which the condition holds."""
        query = f"select count(*) from pg_stat_activity where application_name = $1 and {condition}"  # noqa: S608
        await self.session.execute("select pg_stat_clear_snapshot()")  # a transaction sees them as it saw them first
        count = await self.session.fetchval(query, NAME)
        assert isinstance(count, int)
        return count

    async def kill_all(self) -> int:
        """Ends them as an administrator would."""
        query = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = $1"
        killed = await self.session.fetchval(query, NAME)
        assert isinstance(killed, int)
        return killed

    async def until(self, condition: str, count: int = 1) -> None:
        """Waits until so many such sessions are there."""
        async with asyncio.timeout(5):
            while await self.sessions(condition) < count:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def observing(dsn: str) -> AsyncIterator[Observer]:
    """An observer of the sessions in this database."""
    session = await asyncpg.connect(dsn)
    try:
        yield Observer(session)
    finally:
        await session.close()


async def idle(database: Database) -> None:
    """Waits until nothing is lent out any more, and whatever was broken is mended."""
    async with asyncio.timeout(5):
        while database.connections[1]:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def assert_whole(database: Database, observer: Observer, *, connections: int = LIMITS.connections) -> None:
    """Every connection can be lent at once, and none was left in a transaction."""
    await idle(database)
    assert await observer.sessions("state like 'idle in transaction%'") == 0
    together = asyncio.Barrier(connections)

    async def use() -> None:
        async with database.transaction() as connection:
            await connection.fetch_one("select 1")
            await together.wait()

    async with asyncio.timeout(5):
        await asyncio.gather(*(use() for _ in range(connections)))
    await idle(database)
    assert await observer.sessions() <= connections
