"""Forgets what is past its time: in small batches, so that nobody waits, by whichever instance comes first."""

import asyncio
import contextlib
import logging

from idp.store import Store
from idp.store.database import DatabaseUnavailable

log = logging.getLogger(__name__)

INTERVAL = 60.0
BATCH = 500
PAUSE = 0.05


class Housekeeping:
    """Purges every `interval` seconds. Rows that somebody else is purging or using are passed over."""

    def __init__(self, store: Store, *, interval: float = INTERVAL) -> None:
        self._store = store
        self._interval = interval
        self._purging: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._purging = asyncio.create_task(self._purge_for_ever())

    async def stop(self) -> None:
        if self._purging:
            self._purging.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._purging

    async def _purge_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.purge()
            except DatabaseUnavailable as error:
                log.warning("nothing purged", extra={"reason": str(error)})
            except Exception:
                # As in the keeper: whatever it is, the next round may find it gone.
                log.exception("nothing purged")

    async def purge(self) -> int:
        """Forgets all that has expired. How many rows went. Raises DatabaseUnavailable."""
        store = self._store
        tables = (
            store.refresh_families,
            store.revoked_tokens,
            store.status_lists,
            store.used_ids,
            store.login_tries,
        )
        gone = 0
        for table in tables:
            while (count := await table.purge(limit=BATCH)) > 0:
                gone += count
                await asyncio.sleep(PAUSE)  # others first
        return gone
