"""Keeps an instance in step with the database: the time, the keys, and what is due with them."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from idp.clock import DatabaseClock, Reading
from idp.signing.operations import KeyOperations
from idp.signing.ports import KeyStore
from idp.signing.readers import JwksReaders
from idp.store.database import DatabaseUnavailable
from keys.keyring import Keyring, StoredKey
from keys.sealing import UnsealError

log = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two looks at the database."""


class KeyKeeper:
    """Looks at the clock and at the key table once a second. Every instance does; none of them leads."""

    def __init__(
        self, store: KeyStore, keyring: Keyring, clock: DatabaseClock, operations: KeyOperations, readers: JwksReaders
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._clock = clock
        self._operations = operations
        self._readers = readers
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Looks for the first time, then goes on by itself. Raises what the first look raises."""
        await self.look()
        self._looking = asyncio.create_task(self._look_for_ever())

    async def stop(self) -> None:
        if self._looking:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self.look()
            except DatabaseUnavailable as error:
                log.warning("key table not read", extra={"reason": str(error)})
            except UnsealError as error:
                log.error("key table not usable", extra={"reason": str(error)})  # noqa: TRY400
            except Exception:
                # Whatever it is, the next look may find it gone; an instance that stops looking stops serving.
                log.exception("key table not read")

    async def look(self) -> None:
        """Takes over the database's time and keys, and does what is due.

        Raises DatabaseUnavailable, and UnknownSealingKeyError when a key was sealed with a key that we do not have.
        """
        await self._read_clock()
        now = self._clock()  # before the keys are read: they grow old from then, however long we are paused on the way
        keys = await self._store.signing_keys.all()
        if self._clock.step is None:
            keys = await self._done_what_is_due(keys, now)
        self._keyring.replace(keys, now)
        if self._clock.step is None and (unusable := self._keyring.unusable(now)):
            self._keyring.replace(await self._operations.replace_unusable(unusable), now)
        await self._readers.write()

    async def _done_what_is_due(self, keys: Sequence[StoredKey], now: float) -> Sequence[StoredKey]:
        if self._operations.is_due(keys, now):
            return await self._operations.keep_up()
        if self._operations.may_postpone(keys, now):
            return await self._operations.postpone()
        return keys

    async def _read_clock(self) -> None:
        reading = await self._reading()
        while not self._clock.set(reading):
            reading = await self._reading()
        step = self._clock.step
        if step is None:
            self._keyring.thaw()
        elif self._keyring.frozen_at is None:
            self._keyring.freeze(self._clock())
            log.error(
                "the database's clock has stepped: signing keys keep their phases. Set that clock right, or, if it is "
                "right now, restart every instance",
                extra={"step_seconds": round(step, 1)},
            )

    async def _reading(self) -> Reading:
        before = self._clock.tick()
        now = await self._store.now()
        return Reading(now, before, self._clock.tick())
