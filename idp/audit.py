"""The way of security events into the audit log when no transaction carries them.

Writing each on its own would put a durable commit into every token request. They wait here, in memory, for a fraction
of a second and go together. The queue is bounded: when the database is away for long, requests are refused rather
than go unrecorded, and an orderly stop writes what is left. An event leaves the queue when it is stored, so what is
written again after a lost answer may be in the log twice, and never not at all.
"""

import asyncio
import collections
import contextlib
import itertools
import logging

from idp.protocol.audit import AuditEvent
from idp.protocol.errors import TemporarilyUnavailableError
from idp.store.audit import AuditLog
from idp.store.database import DatabaseUnavailable

log = logging.getLogger(__name__)


class AuditQueue:
    """Collects events and writes them in batches, in order. `interval` is in seconds."""

    def __init__(self, audit_log: AuditLog, *, interval: float = 0.25, bound: int = 20_000, batch: int = 1_000) -> None:
        self._log = audit_log
        self._interval = interval
        self._bound = bound
        self._batch = batch
        self._waiting: collections.deque[AuditEvent] = collections.deque()
        self._one_writer = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def record(self, event: AuditEvent) -> None:
        """Queues an event. Raises TemporarilyUnavailableError when the queue is full."""
        if len(self._waiting) >= self._bound:
            raise TemporarilyUnavailableError("The audit log cannot be written.", retry_after=5)
        self._waiting.append(event)

    async def start(self) -> None:
        """Writes from now on, every `interval`."""
        self._stopping.clear()
        self._writing = asyncio.create_task(self._write_until_stopped())

    async def stop(self) -> None:
        """Writes what is left. Raises DatabaseUnavailable when that fails: then it is lost."""
        self._stopping.set()
        if self._writing:
            await self._writing
        try:
            await self.flush()
        except DatabaseUnavailable:
            log.error("audit events lost", extra={"lost": len(self)})  # noqa: TRY400
            raise

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
                await self._log.add(*batch)
                for _ in batch:
                    self._waiting.popleft()
