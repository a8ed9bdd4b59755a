"""Keeps the keyring in step with the database: the time, the keys, and the making of keys that are missing."""

import asyncio
import contextlib
import logging

from idp.clock import DatabaseClock, Reading
from idp.store import Aggregates, Store
from idp.store.database import DatabaseUnavailable
from keys.jwk import KeyPair, generate_rsa
from keys.keyring import Keyring, StoredKey
from keys.schedule import Lifetime, RotationPolicy, missing_lifetimes
from keys.sealing import Sealer, UnsealError

log = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two looks at the database."""


class KeyKeeper:
    """Looks at the clock and the key table once a second, and makes keys in whichever instance comes first."""

    def __init__(
        self,
        store: Store,
        keyring: Keyring,
        clock: DatabaseClock,
        *,
        sealer: Sealer,
        policy: RotationPolicy,
        key_bits: int,
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._clock = clock
        self._sealer = sealer
        self._policy = policy
        self._key_bits = key_bits
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
                log.warning("key table not read", extra={"reason": str(error), "age": round(self._clock.age, 1)})
            except UnsealError as error:
                log.error("key table not usable", extra={"reason": str(error)})  # noqa: TRY400

    async def look(self) -> None:
        """Takes over the database's time and keys, and makes the keys that are missing.

        Raises DatabaseUnavailable, and UnknownSealingKeyError when a key was sealed with a key that we do not have.
        """
        await self._read_clock()
        stored = await self._store.signing_keys.all()
        now = self._clock()
        if missing_lifetimes([key.lifetime for key in stored], now, self._policy):
            stored = await self._make_missing(now)
        self._keyring.replace(stored, now)

    async def _read_clock(self) -> None:
        before = self._clock.tick()
        now = await self._store.now()
        self._clock.set(Reading(now, before, self._clock.tick()))

    async def _make_missing(self, now: float) -> list[StoredKey]:
        # Making a key takes a good part of a second, so it happens off the loop and before the lock is taken;
        # under the lock the need is computed again, because another instance may have been first.
        spare = [await asyncio.to_thread(generate_rsa, self._key_bits) for _ in range(2)]

        async def insert(store: Aggregates) -> list[StoredKey]:
            await store.signing_keys.lock()
            stored = list(await store.signing_keys.all())
            for lifetime, pair in zip(
                missing_lifetimes([key.lifetime for key in stored], now, self._policy), spare, strict=False
            ):
                key = self._sealed(pair, lifetime)
                await store.signing_keys.add(key)
                stored.append(key)
                log.info("signing key made", extra={"kid": key.kid, "signs_from": lifetime.sign_from})
            return stored

        return await self._store.transact(insert)

    def _sealed(self, pair: KeyPair, lifetime: Lifetime) -> StoredKey:
        return StoredKey(pair.kid, pair.alg, pair.public_jwk, self._sealer.seal(pair.kid, pair.private), lifetime)
