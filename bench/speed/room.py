"""What a family of refresh tokens takes on disk: `python -m bench.speed.room`.

Packed as closely as PostgreSQL does; then through a life in which every family is refreshed in each turn, at random and
some together, and the oldest end while others begin. No promise hangs on it, so `make bench` leaves it out.
"""

import asyncio
import random
from datetime import UTC, datetime
from typing import TypeAlias

import asyncpg

from bench.contestants import AUDIENCE, SCOPE
from bench.filling import Contents, Sizes, fill
from bench.ground import ground
from idp.store import schema

SIZES = Sizes(users=20_000, clients=200, families=20_000)
TURNS = 24
SHOWN = (1, 2, 4, 8, 16, TURNS)
TOGETHER = 16
"""Refreshes in a statement."""
REPLACED = SIZES.families // 20
"""Families that end in each turn, and as many begin: none is there for more than 20."""

_REFRESH = """update refresh_families set previous_digest = current_digest, current_digest = sha256(current_digest),
        sealed_successor = $2, rotated_at = clock_timestamp(),
        idle_until = clock_timestamp() + interval '1 day'
    where id = any ($1)"""
_END = """delete from refresh_families
    where id = any (array(select id from refresh_families order by expires_at limit $1))"""
_BEGIN = """insert into refresh_families (id, client_id, user_id, scopes, audiences, auth_time, amr, current_digest,
        idle_until, expires_at)
    select gen_random_uuid(), client_id, user_id, scopes, audiences, auth_time, amr, current_digest,
        idle_until, clock_timestamp() + interval '30 days'
    from refresh_families order by random() limit $1"""

_Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def show(connection: _Connection, what: str) -> None:
    table, indexes = await connection.fetchrow(
        "select pg_table_size('refresh_families'), pg_indexes_size('refresh_families')"
    ) or (0, 0)
    print(f"{what:24} {(table + indexes) / SIZES.families:6.0f} bytes, {indexes / SIZES.families:4.0f} of them indexes")


async def live(connection: _Connection, sealed: bytes) -> None:
    """One turn, and what autovacuum does after it."""
    ids = [row["id"] for row in await connection.fetch("select id from refresh_families")]
    random.shuffle(ids)
    for start in range(0, len(ids), TOGETHER):
        await connection.execute(_REFRESH, ids[start : start + TOGETHER], sealed)
    await connection.execute(_END, REPLACED)
    await connection.execute(_BEGIN, REPLACED)
    await connection.execute("vacuum refresh_families")


async def measure(dsn: str) -> None:
    await schema.migrate(dsn)
    await fill(dsn, Contents(SIZES, "", bytes(32), SCOPE, AUDIENCE, {}, "127.0.0.1", datetime.now(UTC)))
    connection = await asyncpg.connect(dsn, server_settings={"synchronous_commit": "off"})
    try:
        await connection.execute("vacuum full refresh_families")
        await show(connection, "packed, refreshed once")
        sealed = await connection.fetchval("select sealed_successor from refresh_families limit 1")
        await connection.execute("update refresh_families set previous_digest = null, sealed_successor = null")
        await connection.execute("vacuum full refresh_families")
        await show(connection, "packed, never refreshed")
        for turn in range(1, TURNS + 1):
            await live(connection, sealed)
            if turn in SHOWN:
                await show(connection, f"after {turn} turns")
    finally:
        await connection.close()


def main() -> None:
    with ground(seconds=0, scale=1) as standing:
        asyncio.run(measure(standing.database("room")))


if __name__ == "__main__":
    main()
