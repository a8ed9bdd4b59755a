"""When swaps go to the database: at once where nobody has to wait, and together where somebody would."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from typing import cast
from uuid import uuid4

import pytest
import uvloop

from idp.directory.swaps import _PATIENCE, Swaps
from idp.protocol.authorization import Authentication
from idp.protocol.user import User
from idp.store.refresh_families import Granted, RefreshFamilies, Swap

GRANTED = Granted((), (), Authentication(User(uuid4(), "ada@example.com", None), 0.0, ("pwd",)))


class Database:
    """Makes every swap, once it may answer, and remembers how many came in each statement."""

    def __init__(self) -> None:
        self.statements: list[int] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def swap_free(self, swaps: Sequence[Swap], *, idle_ttl: float) -> Sequence[Granted | None]:
        self.statements.append(len(swaps))
        await self.may_answer.wait()
        return [GRANTED] * len(swaps)


@pytest.fixture
async def database() -> Database:
    return Database()


@pytest.fixture
async def swaps(database: Database) -> Swaps:
    return Swaps(cast("RefreshFamilies", database), idle_ttl=60)


def begin(swaps: Swaps, count: int) -> list[asyncio.Task[Granted | None]]:
    made = [Swap(uuid4(), "app", secrets.token_bytes(32), secrets.token_bytes(32)) for _ in range(count)]
    return [asyncio.create_task(swaps.make(swap)) for swap in made]


async def at_once() -> None:
    """As much of the loop's time as passes when nobody waits for a clock."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_is_alone_never_waits(database: Database, swaps: Swaps) -> None:
    for number in range(1, 5):
        begin(swaps, 1)
        await at_once()
        assert database.statements == [1] * number


async def test_who_comes_meanwhile_goes_with_the_next(database: Database, swaps: Swaps) -> None:
    database.may_answer.clear()
    making = begin(swaps, 1)
    await at_once()
    for _ in range(3):
        making += begin(swaps, 1)
        await at_once()
    assert database.statements == [1]
    database.may_answer.set()
    await asyncio.gather(*making)
    assert database.statements == [1, 3]


async def test_as_many_as_before_wait_no_longer(database: Database, swaps: Swaps) -> None:
    await asyncio.gather(*begin(swaps, 3))
    begin(swaps, 2)
    await at_once()
    assert database.statements == [3]
    begin(swaps, 1)
    await at_once()
    assert database.statements == [3, 3]


async def test_fewer_than_before_wait_no_more_than_a_moment(database: Database, swaps: Swaps) -> None:
    await asyncio.gather(*begin(swaps, 3))
    making = begin(swaps, 2)
    await at_once()
    assert database.statements == [3]
    async with asyncio.timeout(1):
        await asyncio.gather(*making)
    assert database.statements == [3, 2]


async def test_after_a_moment_without_any_the_first_goes_at_once(database: Database, swaps: Swaps) -> None:
    await asyncio.gather(*begin(swaps, 3))
    await asyncio.sleep(0.05)
    begin(swaps, 1)
    await at_once()
    assert database.statements == [3, 1]


async def test_a_statement_that_does_not_come_back_holds_up_nobody_for_long(database: Database, swaps: Swaps) -> None:
    database.may_answer.clear()
    making = begin(swaps, 1)
    await at_once()
    making += begin(swaps, 2)
    await asyncio.sleep(0.2)
    assert database.statements == [1, 2]
    database.may_answer.set()
    assert await asyncio.gather(*making) == [GRANTED] * 3


def test_a_turn_of_the_loop_that_takes_long_keeps_nobody_busy() -> None:
    """uvloop looks at the clock first: what was to wait for a statement's answer is over before it has begun."""

    async def main() -> None:
        swaps = Counted(cast("RefreshFamilies", Database()), idle_ttl=60)
        [made] = begin(swaps, 1)
        await asyncio.sleep(0)
        time.sleep(2 * _PATIENCE)  # noqa: ASYNC251 - it is the loop that is to be held up
        assert await made is GRANTED
        sent = swaps.sent
        await asyncio.sleep(0.02)
        assert sent == swaps.sent == 2

    uvloop.run(main())


class Counted(Swaps):
    """Counts how often it sends."""

    sent = 0

    def _send(self) -> None:
        self.sent += 1
        super()._send()
