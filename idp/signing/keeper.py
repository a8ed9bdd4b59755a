"""Keeps an instance in step with the database: the time, the keys, and what is due with them."""

import asyncio
import contextlib
import logging

from idp.clock import DatabaseClock, Reading
from idp.signing.operations import KeyOperations
from idp.signing.ports import KeyStore
from idp.signing.readers import JwksReaders
from idp.store.database import DatabaseUnavailable
from keys.keyring import Keyring
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
        keys = await self._store.signing_keys.all()
        now = self._clock()
        if self._clock.step is None and self._operations.is_due(keys, now):
            keys = await self._operations.keep_up()
            await self._read_clock()  # keys that begin to sign at once begin after the last reading
            now = self._clock()
        elif self._clock.step is None and self._operations.may_postpone(keys, now):
            keys = await self._operations.postpone()
        self._keyring.replace(keys, now)
        if self._clock.step is None and (unusable := self._keyring.unusable(now)):
            self._keyring.replace(await self._operations.replace_unusable(unusable), now)
        await self._readers.write()

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
