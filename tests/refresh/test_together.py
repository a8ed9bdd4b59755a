"""Swaps that go to the database together: none is kept by, or pays for, what happens to another."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import pytest

from idp.directory.families import Families
from idp.directory.swaps import Swaps
from idp.protocol.client import Client
from idp.store import Store
from idp.store.database import DatabaseUnavailable
from idp.store.refresh_families import Granted, Swap
from keys.opaque import digest
from tests.refresh.beginning import begun, client_of, families_on, person
from tests.store.observing import Observer, observing

WAITING = "wait_event_type = 'Lock'"


@dataclass(frozen=True, slots=True)
class World:
    """Families at one client, and somebody who watches the database."""

    store: Store
    families: Families
    client: Client
    observer: Observer

    @property
    def swaps(self) -> Swaps:
        return self.families.swaps

    async def begun(self) -> Swap:
        """A swap that a new family, of a new person, is good for."""
        token = await begun(self.families, self.client, await person(self.store))
        family_id = self.families.tokens().owner(token)
        assert family_id
        return Swap(family_id, self.client.client_id, digest(token), secrets.token_bytes(32))

    async def is_made(self, outcome: Granted | BaseException | None, swap: Swap) -> bool:
        """Whether it is in the database, and the outcome is that of this swap and no other."""
        found = await self.store.refresh_families.find(swap.family_id)
        assert found
        return found.family.current_digest == swap.successor and outcome == found.granted

    async def are_made(self, outcomes: Sequence[Granted | BaseException | None], swaps: Sequence[Swap]) -> bool:
        return all([await self.is_made(*pair) for pair in zip(outcomes, swaps, strict=True)])

    async def statements(self, *swaps: Swap) -> int:
        """In how many they were made."""
        row = await self.store.executor.fetch_one(
            "select count(distinct xmin::text) as n from refresh_families where id = any ($1)",
            [swap.family_id for swap in swaps],
        )
        assert row
        return int(row["n"])


@pytest.fixture
async def world(store: Store, shared_database: str) -> AsyncIterator[World]:
    async with observing(shared_database) as observer:
        yield World(store, await families_on(store), await client_of(store), observer)


async def test_those_that_come_together_are_one_statement(world: World) -> None:
    swaps = [await world.begun() for _ in range(20)]
    outcomes = await asyncio.gather(*(world.swaps.make(swap) for swap in swaps))
    assert await world.are_made(outcomes, swaps)
    assert await world.statements(*swaps) == 1


async def test_more_than_a_statement_takes_are_several(world: World) -> None:
    swaps = [await world.begun() for _ in range(65)]
    outcomes = await asyncio.gather(*(world.swaps.make(swap) for swap in swaps))
    assert await world.are_made(outcomes, swaps)
    assert await world.statements(*swaps) == 2


async def test_a_family_that_somebody_is_at_holds_up_nobody_else(world: World) -> None:
    """Whoever swaps a token of it waits, as it would alone; the others have their answers meanwhile."""
    held, *free = [await world.begun() for _ in range(3)]
    async with world.observer.session.transaction():
        await lock(world.observer, held.family_id)
        waiting = asyncio.create_task(world.swaps.make(held))
        outcomes = await asyncio.gather(*(world.swaps.make(swap) for swap in free))
        assert await world.are_made(outcomes, free)
        await world.observer.until(WAITING)
        assert not waiting.done()
    assert await world.is_made(await waiting, held)


async def test_r11_what_happened_to_the_family_meanwhile_counts(world: World) -> None:
    held = await world.begun()
    async with world.observer.session.transaction():
        await lock(world.observer, held.family_id)
        waiting = asyncio.create_task(world.swaps.make(held))
        await world.observer.until(WAITING)
        await world.observer.session.execute(
            "update refresh_families set revoked_at = clock_timestamp() where id = $1", held.family_id
        )
    assert await waiting is None


async def test_r11_of_several_swaps_of_one_token_one_is_made(world: World) -> None:
    swap = await world.begun()
    rivals = [Swap(swap.family_id, swap.client_id, swap.presented, secrets.token_bytes(32)) for _ in range(20)]
    outcomes = await asyncio.gather(*(world.swaps.make(rival) for rival in rivals))
    assert sum([await world.is_made(*pair) for pair in zip(outcomes, rivals, strict=True)]) == 1
    assert outcomes.count(None) == len(rivals) - 1


async def test_a_statement_that_does_not_come_back_holds_up_the_next_no_longer(world: World) -> None:
    one, other = await world.begun(), await world.begun()
    async with world.observer.session.transaction():
        await world.observer.session.execute("lock table refresh_families")
        first = asyncio.create_task(world.swaps.make(one))
        await world.observer.until(WAITING)
        second = asyncio.create_task(world.swaps.make(other))
        await world.observer.until(WAITING, 2)
    assert await world.is_made(await first, one)
    assert await world.is_made(await second, other)


async def test_what_the_database_cannot_take_fails_alone(world: World) -> None:
    good, fellow = await world.begun(), await world.begun()
    bad = Swap(fellow.family_id, fellow.client_id, fellow.presented, b"new", dpop_jkt="\0")
    outcomes = await asyncio.gather(*(world.swaps.make(swap) for swap in (bad, good)), return_exceptions=True)
    assert isinstance(outcomes[0], asyncpg.PostgresError)
    assert await world.is_made(outcomes[1], good)


async def test_a_request_that_is_given_up_takes_nobody_with_it(world: World) -> None:
    early, late, stays = [await world.begun() for _ in range(3)]
    async with world.observer.session.transaction():
        await world.observer.session.execute("lock table refresh_families")
        on_their_way = [asyncio.create_task(world.swaps.make(swap)) for swap in (late, stays)]
        given_up = asyncio.create_task(world.swaps.make(early))
        await asyncio.sleep(0)
        given_up.cancel()  # before the statement was sent
        await world.observer.until(WAITING)
        on_their_way[0].cancel()  # and after
    assert await world.is_made(await on_their_way[1], stays)
    assert [swap.cancelled() for swap in (*on_their_way, given_up)] == [True, False, True]
    found = [await world.store.refresh_families.find(swap.family_id) for swap in (early, late)]
    assert [of is not None and of.family.previous_digest is not None for of in found] == [False, True]


async def test_r22_an_outage_is_told_to_all(world: World) -> None:
    swaps = [await world.begun() for _ in range(5)]
    async with world.observer.session.transaction():
        await world.observer.session.execute("lock table refresh_families")
        making = [asyncio.create_task(world.swaps.make(swap)) for swap in swaps]
        await world.observer.until(WAITING)
        await world.observer.kill_all()
        outcomes = await asyncio.gather(*making, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DatabaseUnavailable] * len(swaps)


async def lock(observer: Observer, family_id: UUID) -> None:
    await observer.session.execute("select from refresh_families where id = $1 for update", family_id)
