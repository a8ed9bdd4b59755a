"""The way of security events into the audit log when no transaction carries them.

Writing each on its own would put a durable commit into every token request. They wait here, in memory, for a fraction
of a second and go together. The queue is bounded: when the database is away for long, requests are refused rather
than go unrecorded, and an orderly stop writes what is left.
"""

import asyncio
import collections
import contextlib
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
        self._writing: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def record(self, event: AuditEvent) -> None:
        """Queues an event. Raises TemporarilyUnavailableError when the queue is full."""
        if len(self._waiting) >= self._bound:
            raise TemporarilyUnavailableError("The audit log cannot be written.", retry_after=5)
        self._waiting.append(event)

    async def start(self) -> None:
        self._writing = asyncio.create_task(self._write_for_ever())

    async def stop(self) -> None:
        """Writes what is left. Raises DatabaseUnavailable when that fails."""
        if self._writing:
            self._writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writing
        await self.flush()

    async def _write_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.flush()
            except DatabaseUnavailable as error:
                log.warning("audit events wait", extra={"waiting": len(self), "reason": str(error)})

    async def flush(self) -> None:
        """Writes all that waits. What fails to be written waits on."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
            try:
                await self._log.add(*batch)
            except BaseException:
                self._waiting.extendleft(reversed(batch))
                raise
