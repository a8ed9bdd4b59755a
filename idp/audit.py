"""The way of security events into the audit log when no transaction carries them.

Writing each on its own would put a durable commit into every token request. They wait here, in memory, for a fraction
of a second and go together. The queue is bounded: when the database is away for long, requests are refused rather
than go unrecorded, before they change anything, and an orderly stop writes what is left. An event leaves the queue
when it is stored, so what is written again after a lost answer may be in the log twice, and never not at all.
"""

import asyncio
import collections
import contextlib
import itertools
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

from idp.protocol.audit import AuditEvent
from idp.protocol.errors import TemporarilyUnavailableError
from idp.protocol.ports import Clock, Record
from idp.store.audit import AuditLog
from idp.store.database import DatabaseUnavailable

log = logging.getLogger(__name__)

LAST_TRIES = 5.0
"""Seconds for which a stop tries again to write what is left: for longer than a failover takes."""


class AuditQueue:
    """Collects events and writes them in batches, in order, each with the time at which it was recorded. `interval`
    is in seconds."""

    def __init__(
        self, audit_log: AuditLog, clock: Clock, *, interval: float = 0.25, bound: int = 20_000, batch: int = 1_000
    ) -> None:
        self._log = audit_log
        self._clock = clock
        self._interval = interval
        self._bound = bound
        self._batch = batch
        self._waiting: collections.deque[tuple[AuditEvent, float]] = collections.deque()
        self._room = _Room(self._check_room, self._queue)
        self._one_writer = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def record(self, event: AuditEvent) -> None:
        """Queues an event. Raises TemporarilyUnavailableError when the queue is full."""
        self._check_room()
        self._queue(event)

    def room(self) -> AbstractContextManager[Record]:
        """Keeps a place for one event, and gives what queues it. Raises TemporarilyUnavailableError when none is free.

        A place and not only a look: of many who see the last one free, all but one would find it taken later.
        """
        return self._room

    def _check_room(self) -> None:
        if len(self._waiting) + self._room.kept >= self._bound:
            raise TemporarilyUnavailableError("The audit log cannot be written.", retry_after=5)

    def _queue(self, event: AuditEvent) -> None:
        self._waiting.append((event, self._clock()))

    async def start(self) -> None:
        """Writes from now on, every `interval`."""
        self._stopping.clear()
        self._writing = asyncio.create_task(self._write_until_stopped())

    async def stop(self) -> None:
        """Writes what is left. When that goes on failing it is lost, and the last error is raised."""
        self._stopping.set()
        if self._writing:
            await self._writing
        try:
            await self._write_the_rest()
        except Exception:
            log.error("audit events lost", extra={"lost": len(self)})  # noqa: TRY400
            raise

    async def _write_the_rest(self) -> None:
        until = self._clock() + LAST_TRIES
        while self._clock() < until:
            with contextlib.suppress(Exception):  # whatever it was, the last try will say so
                await self.flush()
                return
            await asyncio.sleep(self._interval)
        await self.flush()

    async def _write_until_stopped(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._stopping.wait()
            try:
                await self.flush()
            except DatabaseUnavailable as error:
                log.warning("audit events wait", extra={"waiting": len(self), "reason": str(error)})
            except Exception:
                log.exception("audit events cannot be written", extra={"waiting": len(self)})

    async def flush(self) -> None:
        """Writes all that waits. What fails to be written waits on. Raises DatabaseUnavailable."""
        async with self._one_writer:
            while batch := list(itertools.islice(self._waiting, self._batch)):
                await self._log.add(*(event for event, _ in batch), at=[at for _, at in batch])
                for _ in batch:
                    self._waiting.popleft()


class _Room:
    """A place in a queue while a block runs: the same for all of them, which makes it cheap."""

    def __init__(self, check: Callable[[], None], record: Record) -> None:
        self._check = check
        self._record = record
        self.kept = 0
        """Places for events that are still to come."""

    def __enter__(self) -> Record:
        self._check()
        self.kept += 1
        return self._record

    def __exit__(self, *_: object) -> None:
        self.kept -= 1
