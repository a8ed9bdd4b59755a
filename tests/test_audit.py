"""No security event is lost on its way into the log, whatever becomes of the database or of who writes."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence

import pytest

from idp.audit import LAST_TRIES, AuditQueue
from idp.protocol.audit import AuditEvent
from idp.protocol.authorization import Origin
from idp.protocol.errors import TemporarilyUnavailableError
from idp.store.audit import AuditLog
from idp.store.database import Database, DatabaseUnavailable
from tests.store.observing import opened
from tests.store.relay import relayed

COUNT = 250


@pytest.fixture
async def connected(database: str) -> AsyncIterator[Database]:
    async with opened(database) as connected:
        yield connected


class Log(AuditLog):
    """The real log, before which writers can be held up or turned away."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def add(self, *events: AuditEvent, at: Sequence[float] = ()) -> None:
        await self.open.wait()
        if self.error:
            raise self.error
        await super().add(*events, at=at)

    async def numbers(self) -> list[int]:
        """What was written, in the order of the log."""
        return [int(record.detail["number"]) for record in reversed(await self.page(limit=10_000, event="counted"))]


@pytest.fixture
async def log(connected: Database) -> Log:
    return Log(connected)


def record(queue: AuditQueue, start: int = 0, count: int = COUNT) -> None:
    for number in range(start, start + count):
        queue.record(AuditEvent("counted", "success", Origin("192.0.2.1", "r"), detail={"number": str(number)}))


async def written(queue: AuditQueue) -> None:
    async with asyncio.timeout(5):
        while len(queue):  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def test_events_are_written_by_themselves_and_in_order(log: Log) -> None:
    queue = AuditQueue(log, time.time, interval=0.01, batch=7)
    await queue.start()
    for start in range(0, COUNT, 25):
        record(queue, start, 25)
        await asyncio.sleep(0.003)
    await written(queue)
    assert await log.numbers() == list(range(COUNT))
    await queue.stop()


async def test_a_stop_writes_what_is_left_and_does_not_wait_for_the_interval(log: Log) -> None:
    queue = AuditQueue(log, time.time, interval=600)
    await queue.start()
    record(queue)
    async with asyncio.timeout(5):
        await queue.stop()
    assert await log.numbers() == list(range(COUNT))


async def test_a_stop_in_the_middle_of_a_write_writes_nothing_twice(log: Log) -> None:
    queue = AuditQueue(log, time.time, interval=0.001, batch=50)
    await queue.start()
    log.open.clear()
    record(queue)
    await asyncio.sleep(0.02)
    stopping = asyncio.create_task(queue.stop())
    await asyncio.sleep(0.02)
    log.open.set()
    await stopping
    assert await log.numbers() == list(range(COUNT))


async def test_the_queue_is_bounded_even_while_a_write_is_under_way(log: Log) -> None:
    queue = AuditQueue(log, time.time, interval=0.001, bound=COUNT)
    await queue.start()
    log.open.clear()
    record(queue)
    await asyncio.sleep(0.02)
    with pytest.raises(TemporarilyUnavailableError) as refused:
        record(queue, COUNT, 1)
    assert refused.value.status_code == 503
    assert len(queue) == COUNT
    log.open.set()
    await written(queue)
    record(queue, COUNT, 1)
    await queue.stop()
    assert await log.numbers() == list(range(COUNT + 1))


@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), ValueError("a mistake of ours")])
async def test_an_outage_delays_and_loses_nothing(error: Exception, log: Log) -> None:
    queue = AuditQueue(log, time.time, interval=0.001, batch=7)
    await queue.start()
    record(queue, 0, 100)
    log.error = error
    record(queue, 100, 100)
    await asyncio.sleep(0.05)
    assert len(queue) >= 100
    log.error = None
    record(queue, 200, 50)
    await written(queue)
    assert await log.numbers() == list(range(COUNT))
    await queue.stop()


async def test_a_cancelled_flush_loses_nothing(log: Log) -> None:
    queue = AuditQueue(log, time.time, batch=5)
    record(queue)
    for turns in range(60):
        flushing = asyncio.create_task(queue.flush())
        for _ in range(turns):
            await asyncio.sleep(0)
        flushing.cancel()
        await asyncio.wait([flushing])
    await queue.flush()
    assert sorted(set(await log.numbers())) == list(range(COUNT))


async def test_flushes_at_once_write_nothing_twice(log: Log) -> None:
    queue = AuditQueue(log, time.time, batch=5)
    record(queue)
    await asyncio.gather(*(queue.flush() for _ in range(10)))
    assert await log.numbers() == list(range(COUNT))


class Time:
    """A clock that goes on by `step` whenever somebody looks."""

    def __init__(self, now: float, step: float = 0) -> None:
        self.now = now
        self.step = step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


class Failover(Log):
    """Turns the first `failures` away."""

    failures = 0

    async def add(self, *events: AuditEvent, at: Sequence[float] = ()) -> None:
        self.failures -= 1
        self.error = DatabaseUnavailable("away") if self.failures >= 0 else None
        await super().add(*events, at=at)


async def test_a_stop_in_the_middle_of_a_failover_waits_for_its_end(connected: Database) -> None:
    log = Failover(connected)
    queue = AuditQueue(log, Time(1e9), interval=0.001)
    record(queue)
    log.failures = 20
    await queue.stop()
    assert await log.numbers() == list(range(COUNT))


@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), ValueError("a mistake of ours")])
async def test_a_stop_without_a_database_says_so(error: Exception, log: Log, caplog: pytest.LogCaptureFixture) -> None:
    queue = AuditQueue(log, Time(1e9, step=LAST_TRIES / 10), interval=0.001)
    record(queue)
    log.error = error
    with caplog.at_level(logging.ERROR), pytest.raises(type(error)):
        await queue.stop()
    (line,) = caplog.records
    assert (line.message, vars(line)["lost"]) == ("audit events lost", COUNT)


async def test_an_event_has_the_time_at_which_it_was_recorded(log: Log) -> None:
    """Not that at which an outage ended."""
    clock = Time(1.7e9, step=1.25)
    queue = AuditQueue(log, clock)
    record(queue, count=3)
    await queue.flush()
    assert [event.at for event in await log.page(event="counted")] == [1.7e9 + 3.75, 1.7e9 + 2.5, 1.7e9 + 1.25]


async def test_room_that_is_kept_is_nobody_elses_until_it_is_given_up(log: Log) -> None:
    queue = AuditQueue(log, time.time, bound=2)
    event = AuditEvent("counted", "success", Origin("192.0.2.1", "r"), detail={"number": "0"})
    with queue.room() as record_kept:
        queue.record(event)
        with pytest.raises(TemporarilyUnavailableError), queue.room():
            pytest.fail("there was none")
        with pytest.raises(TemporarilyUnavailableError):
            queue.record(event)
        record_kept(event)
    assert len(queue) == 2
    await queue.flush()
    for _ in range(3):
        with queue.room():
            pass  # nothing came of it
    record(queue, count=2)


async def test_an_answer_that_was_lost_leaves_no_gap(database: str) -> None:
    async with relayed(database) as (relay, dsn), opened(dsn) as connected:
        log = Log(connected)
        queue = AuditQueue(log, time.time)
        record(queue, 0, 1)
        await queue.flush()
        record(queue, 1, 3)
        relay.cut_answer_to(b"counted")
        with pytest.raises(DatabaseUnavailable):
            await queue.flush()
        assert await log.numbers() == [0, 1, 2, 3]
        await queue.flush()
        assert sorted(set(await log.numbers())) == [0, 1, 2, 3]
