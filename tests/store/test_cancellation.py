"""Whatever is cancelled, and whenever: no connection is lost, none is left in a transaction, none keeps a lock."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from idp.store.database import Connection, Database, DatabaseUnavailable
from tests.store.observing import assert_whole, idle, observing, opened

ROUNDS = 240
Work = Callable[[], Coroutine[Any, Any, None]]
Canceller = Callable[[Work, int], Coroutine[Any, Any, None]]


async def by_task(work: Work, turns: int) -> None:
    """Cancels the task after so many turns of the loop, and again in its first moment afterwards."""
    task = asyncio.ensure_future(work())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    if turns % 5 == 0:
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.wait([task])


async def by_timeout(work: Work, turns: int) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(turns * 0.00003):
            await work()


async def by_scope(work: Work, turns: int) -> None:
    """anyio cancels level-triggered: every later await of the task is cancelled, too."""
    with anyio.move_on_after(turns * 0.00003):
        await work()


async def by_scope_of_another(work: Work, turns: int) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(work)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()


@pytest.mark.parametrize("cancel", [by_task, by_timeout, by_scope, by_scope_of_another])
async def test_a_transaction_may_be_cancelled_at_every_await(cancel: Canceller, empty_database: str) -> None:
    async with opened(empty_database) as database, observing(empty_database) as observer:
        await database.execute("create table counter (n int)")
        await database.execute("insert into counter values (0)")

        async def work() -> None:
            with contextlib.suppress(DatabaseUnavailable):  # killed below
                async with database.transaction() as connection:
                    await connection.execute("update counter set n = n + 1")
                    await asyncio.sleep(0)

        for turns in range(ROUNDS):
            await cancel(work, turns)
            if turns % 40 == 0:  # so that connecting, too, is cancelled now and then
                await idle(database)
                await observer.kill_all()
        await assert_whole(database, observer)
        row = await database.fetch_one("select n from counter")
        assert row
        assert 0 < row["n"] < ROUNDS


@pytest.mark.parametrize("cancel", [by_task, by_timeout, by_scope])
async def test_so_may_a_single_statement(cancel: Canceller, empty_database: str) -> None:
    async with opened(empty_database) as database, observing(empty_database) as observer:

        async def work() -> None:
            await database.fetch_one("select 1")

        for turns in range(ROUNDS // 2):
            await cancel(work, turns)
        await assert_whole(database, observer)


async def test_a_crowd_may_be_cancelled_while_it_waits_for_connections(empty_database: str) -> None:
    async with opened(empty_database) as database, observing(empty_database) as observer:
        chance = random.Random(1)

        async def work() -> None:
            with anyio.move_on_after(chance.uniform(0, 0.05)):
                async with database.transaction() as connection:
                    await connection.fetch_one("select pg_sleep(0.002)")

        await asyncio.gather(*(work() for _ in range(200)))
        await assert_whole(database, observer)


async def test_a_cancelled_statement_ends_at_the_server_and_its_connection_is_used_again(empty_database: str) -> None:
    async with opened(empty_database, connections=1) as database, observing(empty_database) as observer:
        before = await database.fetch_one("select pg_backend_pid() as pid")
        with anyio.move_on_after(0.05):
            await database.execute("select pg_sleep(10)")
        after = await database.fetch_one("select pg_backend_pid() as pid")
        assert before == after
        assert await observer.sessions("query like '%sleep%' and state = 'active'") == 0


async def test_after_an_anyio_cancel_the_same_task_goes_on(empty_database: str) -> None:
    async with opened(empty_database, connections=1) as database:
        for _ in range(3):
            with anyio.move_on_after(0.02):
                async with database.transaction() as connection:
                    await connection.execute("select pg_sleep(10)")
            assert await database.fetch_one("select 1")


async def test_a_connection_that_opens_too_late_for_its_request_serves_the_next(empty_database: str) -> None:
    async with opened(empty_database) as database, observing(empty_database) as observer:
        asking = asyncio.create_task(database.fetch_one("select 1"))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])
        await observer.until("state = 'idle'")
        await database.fetch_one("select 1")
        assert await observer.sessions() == 1


async def test_an_exception_of_the_work_rolls_back(empty_database: str) -> None:
    async with opened(empty_database) as database, observing(empty_database) as observer:
        await database.execute("create table t (n int)")

        async def work(connection: Connection) -> None:
            await connection.execute("insert into t values (1)")
            raise KeyError("a mistake of ours")

        for _ in range(10):
            with pytest.raises(KeyError):
                await database.transact(work)
        assert await database.fetch_all("select n from t") == []
        await assert_whole(database, observer)


async def test_disconnecting_waits_for_what_is_under_way_but_not_for_ever(empty_database: str) -> None:
    async with observing(empty_database) as observer:
        async with opened(empty_database, command=0.3) as database:
            lent, over = asyncio.Event(), asyncio.Event()

            async def hold() -> None:
                async with database.transaction():
                    lent.set()
                    await over.wait()

            holding = asyncio.create_task(hold())
            await lent.wait()
            quick = asyncio.create_task(database.fetch_one("select pg_sleep(0.1), 1 as answer"))
            await observer.until("query like '%sleep%'")
        answer = await quick
        assert answer
        assert answer["answer"] == 1
        over.set()
        with pytest.raises(DatabaseUnavailable):
            await holding
        assert await observer.sessions() == 0


async def test_it_cannot_be_used_before_it_is_connected() -> None:
    with pytest.raises(AssertionError):
        await Database("postgresql:///nowhere").fetch_one("select 1")
