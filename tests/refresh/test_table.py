"""The table of families: it stays small, whatever is refreshed, and forgets what is past its time."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest

from idp.housekeeping import BATCH, Housekeeping
from idp.protocol.client import Client
from idp.protocol.tokens import LONGEST_ACCESS_TOKEN
from idp.store import Aggregates, Store
from idp.store.refresh_families import Swap
from idp.store.revoked_tokens import MOST_LEEWAY
from tests.refresh.beginning import client_of, person
from tests.store.observing import opened

CONNECTIONS = 8
ROW = 450
"""Bytes of a family, more or less."""


@asynccontextmanager
async def connected(database: str) -> AsyncIterator[Store]:
    """Without durability, which is not what these tests look at."""
    async with opened(f"{database}&synchronous_commit=off", connections=CONNECTIONS, acquire=60) as connections:
        yield Store(connections)


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    """On a database of the test's own, since these look at whole tables."""
    async with connected(database) as store:
        yield store


@dataclass(slots=True)
class Rotating:
    """A family, and the digest of its current token."""

    id: UUID
    current: bytes = b"first"


async def made(store: Store, client: Client, count: int, *, expires: float = 86400) -> list[Rotating]:
    """Families that expire in so many seconds, made at once."""
    families = [Rotating(uuid4()) for _ in range(count)]
    await store.executor.execute(
        """insert into refresh_families (id, client_id, user_id, scopes, audiences, auth_time, amr, current_digest,
               idle_until, expires_at)
           select unnest($1::uuid[]), $2, $3, '{read,write}', '{https://api.example.com}', now(), '{pwd}', $4,
               now() + interval '1 day', now() + make_interval(secs => $5)""",
        [family.id for family in families],
        client.client_id,
        (await person(store)).id,
        b"first",
        expires,
    )
    return families


async def rotate(store: Store, client: Client, family: Rotating) -> None:
    successor, sealed = secrets.token_bytes(32), secrets.token_bytes(114)
    swap = Swap(family.id, client.client_id, family.current, successor, sealed)
    swapped = await store.refresh_families.swap(swap, idle_ttl=86400)
    assert swapped
    family.current = successor


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of the table and of its indexes; how many updates there were, and how many stayed on their page."""

    table: int
    indexes: int
    updates: int
    in_place: int


async def size(store: Store, updates: int) -> Size:
    """Once the server has counted so many updates."""
    async with asyncio.timeout(30):
        while True:
            row = await store.executor.fetch_one(
                """select pg_relation_size(relid) as table, pg_indexes_size(relid) as indexes,
                       n_tup_upd as updates, n_tup_hot_upd as in_place
                   from pg_stat_user_tables where relname = 'refresh_families'"""
            )
            assert row
            if row["updates"] >= updates:
                return Size(**row)
            await asyncio.sleep(0.1)


async def rotate_all(database: str, client: Client, families: list[Rotating], rounds: int) -> None:
    """In random order, on as many connections as they can use at once; closed, they have told what they did."""

    async def work(store: Store, mine: list[Rotating]) -> None:
        for _ in range(rounds):
            for family in random.sample(mine, len(mine)):
                await rotate(store, client, family)

    async with connected(database) as store:
        await asyncio.gather(*(work(store, families[start::CONNECTIONS]) for start in range(CONNECTIONS)))


@pytest.mark.parametrize(
    ("families", "rounds"),
    [(200, 100), pytest.param(10_000, 100, marks=pytest.mark.chaos)],
    ids=["20,000", "1,000,000"],
)
async def test_r11_rotations_do_not_make_it_grow(store: Store, database: str, families: int, rounds: int) -> None:
    client = await client_of(store)
    rotating = await made(store, client, families)
    await rotate_all(database, client, rotating, 2)
    before = await size(store, families * 2)
    await rotate_all(database, client, rotating, rounds - 2)
    after = await size(store, families * rounds)
    assert after.updates == families * rounds
    assert after.in_place > 0.95 * after.updates, after
    # Not exactly as before: what is replaced while anybody's snapshot is old cannot be cleared away at once.
    assert after.table < after.updates * ROW / 10, (before, after)
    assert after.indexes <= 2 * before.indexes, (before, after)


class TestPurge:
    async def test_what_is_past_its_time_goes_in_batches(self, store: Store) -> None:
        client = await client_of(store)
        await made(store, client, 2 * BATCH + 100, expires=-LONGEST_ACCESS_TOKEN - 60)
        alive = await made(store, client, 50, expires=60)
        assert await store.refresh_families.purge(limit=BATCH) == BATCH
        assert await Housekeeping(store).purge() == BATCH + 100
        assert await ids(store) == {family.id for family in alive}

    async def test_a_family_stays_as_long_as_its_access_tokens(self, store: Store) -> None:
        (family,) = await made(store, await client_of(store), 1, expires=-LONGEST_ACCESS_TOKEN + 60)
        assert await store.refresh_families.purge(limit=BATCH) == 0
        assert await store.revoked_tokens.is_good("jti", family.id)

    async def test_a_revoked_token_stays_as_long_as_anybody_accepts_it(self, store: Store) -> None:
        now = await store.now()
        await store.revoked_tokens.add("accepted within the leeway", now - MOST_LEEWAY + 60)
        await store.revoked_tokens.add("expired for everybody", now - MOST_LEEWAY - 60)
        assert await store.revoked_tokens.purge(limit=BATCH) == 1
        assert not await store.revoked_tokens.is_good("accepted within the leeway", None)
        assert await store.revoked_tokens.is_good("expired for everybody", None)

    async def test_what_is_in_use_is_passed_over(self, store: Store) -> None:
        used, *_ = await made(store, await client_of(store), 10, expires=-LONGEST_ACCESS_TOKEN - 60)

        async def use(own: Aggregates) -> int:
            await own.refresh_families.revoke(used.id)
            async with asyncio.timeout(2):
                return await store.refresh_families.purge(limit=BATCH)

        assert await store.transact(use) == 9
        assert await ids(store) == {used.id}
        assert await store.refresh_families.purge(limit=BATCH) == 1

    async def test_nobody_waits_for_it(self, store: Store) -> None:
        """While a batch is being forgotten, others are refreshed, begun, ended and forgotten."""
        client = await client_of(store)
        await made(store, client, 20, expires=-LONGEST_ACCESS_TOKEN - 60)
        (living,) = await made(store, client, 1)

        async def go_on(own: Aggregates) -> None:
            assert await own.refresh_families.purge(limit=10) == 10
            async with asyncio.timeout(2):
                await rotate(store, client, living)
                await made(store, client, 1)
                assert await store.refresh_families.purge(limit=100) == 10
                assert await store.refresh_families.revoke(living.id)

        await store.transact(go_on)
        assert len(await ids(store)) == 2

    async def test_several_at_once_share_the_work(self, store: Store) -> None:
        await made(store, await client_of(store), 3 * BATCH, expires=-LONGEST_ACCESS_TOKEN - 60)
        assert sum(await asyncio.gather(*(Housekeeping(store).purge() for _ in range(4)))) == 3 * BATCH

    async def test_an_error_does_not_end_it(self, store: Store, caplog: pytest.LogCaptureFixture) -> None:
        housekeeping = Housekeeping(store, interval=0.01)
        await made(store, await client_of(store), 1, expires=-LONGEST_ACCESS_TOKEN - 60)
        await store.executor.execute("alter table refresh_families rename to elsewhere")
        await housekeeping.start()
        async with asyncio.timeout(10):
            while "nothing purged" not in caplog.text:  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.01)
            await store.executor.execute("alter table elsewhere rename to refresh_families")
            while await ids(store):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await housekeeping.stop()


async def ids(store: Store) -> set[UUID]:
    return {row["id"] for row in await store.executor.fetch_all("select id from refresh_families")}
