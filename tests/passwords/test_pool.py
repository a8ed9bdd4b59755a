import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from idp.passwords.pool import HashPool, Overloaded


class Gate:
    """Work that lasts until the test says so."""

    def __init__(self) -> None:
        self.entered = 0
        self._open = threading.Event()

    def __call__(self) -> str:
        self.entered += 1
        assert self._open.wait(10)
        return "done"

    def open(self) -> None:
        self._open.set()


class Clock:
    """Seconds that pass only when work takes them."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def takes(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def make_pool(gate: Gate) -> AsyncIterator[Callable[..., HashPool]]:
    pools: list[HashPool] = []

    def make(workers: int = 1, *, max_wait: float = 2.0, clock: Callable[[], float] | None = None) -> HashPool:
        pool = HashPool(workers, max_wait=max_wait, **({"clock": clock} if clock else {}))
        pools.append(pool)
        return pool

    yield make
    gate.open()
    for pool in pools:
        await pool.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - counters of the pool carry no event, and one turn is no wait
            await asyncio.sleep(0)


def add(one: int, another: int) -> int:
    return one + another


def fail() -> None:
    raise LookupError("as it is")


async def test_it_returns_what_the_work_returns(make_pool: Callable[..., HashPool]) -> None:
    assert await make_pool().run(add, 1, 2) == 3


async def test_it_raises_what_the_work_raises_and_goes_on(make_pool: Callable[..., HashPool]) -> None:
    pool = make_pool()
    with pytest.raises(LookupError, match="as it is"):
        await pool.run(fail)
    assert await pool.run(add, 1, 2) == 3
    assert (pool.queued, pool.running, pool.shed) == (0, 0, 0)


async def test_the_work_leaves_the_event_loop_to_others(make_pool: Callable[..., HashPool], gate: Gate) -> None:
    pool = make_pool()
    work = asyncio.create_task(pool.run(gate))
    await until(lambda: pool.running == 1)  # the loop turns while the thread is at work
    gate.open()
    assert await work == "done"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority for each thread")
async def test_its_threads_have_the_lowest_priority(make_pool: Callable[..., HashPool]) -> None:
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = priority()
    assert await make_pool().run(priority) == 19
    assert priority() == before


async def test_a_flood_is_bounded_before_anything_was_measured(make_pool: Callable[..., HashPool], gate: Gate) -> None:
    pool = make_pool(2)
    flood = [asyncio.create_task(pool.run(gate)) for _ in range(1000)]
    await until(lambda: pool.running == 2)
    assert pool.queued <= 14, "2 s of work for two threads, if one job takes 0.3 s"
    assert pool.shed == 1000 - 2 - pool.queued
    refused = [task.exception() for task in flood if task.done()]
    assert len(refused) == pool.shed
    assert all(isinstance(error, Overloaded) and 1 <= error.retry_after <= 3 for error in refused)
    gate.open()
    answers = await asyncio.gather(*flood, return_exceptions=True)
    assert answers.count("done") == 1000 - pool.shed


async def test_fast_work_does_not_make_the_queue_endless(make_pool: Callable[..., HashPool], gate: Gate) -> None:
    pool = make_pool(clock=Clock())  # all work takes no time
    for _ in range(100):
        await pool.run(add, 1, 2)
    flood = [asyncio.create_task(pool.run(gate)) for _ in range(1000)]
    await until(lambda: pool.running == 1)
    assert pool.queued <= 32
    gate.open()
    await asyncio.gather(*flood, return_exceptions=True)


async def test_slow_work_is_shed_sooner_and_the_wait_told(make_pool: Callable[..., HashPool], gate: Gate) -> None:
    clock = Clock()
    pool = make_pool(clock=clock)
    for _ in range(50):
        await pool.run(clock.takes, 5.0)
    running = asyncio.create_task(pool.run(gate))
    await until(lambda: pool.running == 1)
    with pytest.raises(Overloaded) as refusal:
        await pool.run(add, 1, 2)
    assert refusal.value.retry_after == 5
    gate.open()
    assert await running == "done"
    assert await pool.run(add, 1, 2) == 3, "a free thread is never refused"


async def test_work_whose_turn_does_not_come_is_dropped_and_not_done_late(
    make_pool: Callable[..., HashPool], gate: Gate
) -> None:
    pool, late = make_pool(max_wait=0.4), Gate()
    late.open()
    running = asyncio.create_task(pool.run(gate))
    await until(lambda: pool.running == 1)
    with pytest.raises(Overloaded):
        await pool.run(late)
    assert (pool.queued, pool.shed) == (0, 1)
    gate.open()
    assert await running == "done", "what runs already may take its time"
    await pool.close()
    assert late.entered == 0


async def test_a_cancelled_job_gives_its_place_back_and_is_not_run(
    make_pool: Callable[..., HashPool], gate: Gate
) -> None:
    pool, unwanted = make_pool(), Gate()
    unwanted.open()
    running = asyncio.create_task(pool.run(gate))
    await until(lambda: pool.running == 1)
    waiting = [asyncio.create_task(pool.run(unwanted)) for _ in range(5)]
    await until(lambda: pool.queued == 5)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert pool.queued == 0
    gate.open()
    assert await running == "done"
    assert await pool.run(add, 1, 2) == 3
    assert unwanted.entered == 0
    assert all(task.cancelled() for task in waiting)


async def test_a_job_cancelled_while_it_runs_ends_unheard(make_pool: Callable[..., HashPool], gate: Gate) -> None:
    pool = make_pool()
    running = asyncio.create_task(pool.run(gate))
    await until(lambda: pool.running == 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert pool.running == 1
    gate.open()
    assert await pool.run(add, 1, 2) == 3
    assert pool.running == 0


async def test_closing_finishes_what_was_admitted_and_refuses_the_rest(
    make_pool: Callable[..., HashPool], gate: Gate
) -> None:
    pool = make_pool()
    admitted = [asyncio.create_task(pool.run(gate)) for _ in range(3)]
    await until(lambda: pool.running == 1)
    closing = asyncio.create_task(pool.close())
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await pool.run(add, 1, 2)
    gate.open()
    await closing
    assert await asyncio.gather(*admitted) == ["done"] * 3
    await pool.close()


def test_a_pool_has_threads() -> None:
    with pytest.raises(ValueError, match="thread"):
        HashPool(0)
