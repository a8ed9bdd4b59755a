"""Changes of the key table: each a plan (`keys.planning`), made and carried out in one transaction under one lock.

So a process that dies at any step leaves the table as it was before or after, and of several instances that want the
same change one makes it and the others find it made.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from idp.protocol.audit import OPERATOR, Actor, AuditEvent
from idp.signing.ports import KeyStore, KeyTables
from idp.signing.readers import states_of
from keys.jwk import KeyPair, generate, public_jwk
from keys.keyring import StoredKey
from keys.planning import Plan, postponement, recovery, replacement, revocation, rotation, upkeep
from keys.schedule import PRIVATE_PHASES, KeySettings, Lifetime, line
from keys.sealing import Sealer

log = logging.getLogger(__name__)

T = TypeVar("T")
MOST_KEYS_PER_CHANGE = 4
"""The most keys that one change can make: a successor by rotation, two by revocation, and upkeep's own."""

SMALL_STEP = 30.0
"""Seconds by which a database's clock may well be set back, at a failover for one."""


@dataclass(frozen=True, slots=True)
class RotationAnswer:
    """The key that was asked to sign. `new` tells a rotation that this call made from one that was under way."""

    key: StoredKey
    new: bool
    immediate: bool
    noticed_until: float | None
    """For an immediate rotation: until when a verifier that fetched the JWK Set before the key was published may
    reject its tokens; None when nobody can notice."""


@dataclass(frozen=True, slots=True)
class RevocationAnswer:
    """What a revocation means. `alive` counts the tokens of the key that had not expired, by client."""

    revoked: StoredKey
    signing: StoredKey
    unseen: StoredKey
    alive: Mapping[str, int] = field(default_factory=dict)


class Spares:
    """Key pairs made ahead of need, off the event loop: making one takes longer than a transaction should."""

    def __init__(self, settings: KeySettings) -> None:
        self._settings = settings
        self._pairs: list[KeyPair] = []

    async def make(self) -> KeyPair:
        """A new pair."""
        return await asyncio.to_thread(generate, self._settings.alg, self._settings.bits)

    async def take(self, count: int) -> Sequence[KeyPair]:
        """So many pairs, for one change alone."""
        while len(self._pairs) < count:
            self._pairs.append(await self.make())
        taken, self._pairs = self._pairs[:count], self._pairs[count:]
        return taken

    def give_back(self, pairs: Iterable[KeyPair]) -> None:
        """Keeps pairs that certainly were not used."""
        self._pairs.extend(pairs)


class _Change:
    """One transaction's view of the key table. `now` is whole seconds, so that instants survive any rounding."""

    def __init__(
        self,
        store: KeyTables,
        keys: Sequence[StoredKey],
        now: float,
        operations: "KeyOperations",
        spares: Iterator[KeyPair],
    ) -> None:
        self.store = store
        self.keys = keys
        self.now = now
        self._operations = operations
        self._spares = spares

    async def carry_out(self, plan: Plan) -> None:
        """Writes a plan, and takes over what the table then holds."""
        settings, sealer = self._operations.settings, self._operations.sealer
        for kid, lifetime in plan.changed.items():
            await self.store.signing_keys.change(kid, lifetime)
        if plan.asked is not None and plan.asked in plan.changed:
            await self.store.signing_keys.mark_asked(plan.asked, self.now)
        for lifetime in plan.made:
            key = _sealed(sealer, next(self._spares), lifetime)
            await self.store.signing_keys.add(key)
            await self.store.audit.add(_event("key.created", key.kid, OPERATOR, alg=settings.alg))
            log.info("signing key made", extra={"kid": key.kid, "sign_from": lifetime.sign_from})
        if plan:
            self.keys = await self.store.signing_keys.all()

    async def keep_up(self) -> None:
        """Does what is due by itself, and destroys private halves that can sign no more."""
        await self.carry_out(
            upkeep(self.keys, self.now, self._operations.settings.policy, self._operations.settings.alg)
        )
        spent = [k.kid for k in self.keys if k.sealed and k.lifetime.phase(self.now) not in PRIVATE_PHASES]
        if spent:
            await self.store.signing_keys.destroy_private(spent)
            self.keys = await self.store.signing_keys.all()

    def key(self, kid: str) -> StoredKey:
        return next(key for key in self.keys if key.kid == kid)


class KeyOperations:
    """What can be done to the keys of an installation."""

    def __init__(self, store: KeyStore, sealer: Sealer, settings: KeySettings, spares: "Spares | None" = None) -> None:
        self.sealer = sealer
        self.settings = settings
        self.spares = spares or Spares(settings)
        self._store = store

    def is_due(self, keys: Sequence[StoredKey], now: float) -> bool:
        """Whether `keep_up` would change anything: asked every second, so without a transaction."""
        spent = any(key.sealed and key.lifetime.phase(now) not in PRIVATE_PHASES for key in keys)
        return spent or bool(upkeep(keys, math.floor(now), self.settings.policy, self.settings.alg))

    async def keep_up(self) -> Sequence[StoredKey]:
        """Makes the keys that are missing, in whichever instance comes first. Gives the keys that there are then."""

        async def work(change: _Change) -> Sequence[StoredKey]:
            await change.keep_up()
            return change.keys

        return await self._change(work)

    def may_postpone(self, keys: Sequence[StoredKey], now: float) -> bool:
        """Whether a planned rotation is close, and some verifiers are to be awaited."""
        return bool(self.settings.awaited) and bool(postponement(keys, now, self.settings.policy))

    async def postpone(self) -> Sequence[StoredKey]:
        """Puts the planned rotation off if a verifier that is awaited has not fetched the next key."""

        async def work(change: _Change) -> Sequence[StoredKey]:
            await change.keep_up()
            readers = states_of(await change.store.jwks_readers.all(), change.keys, change.now)
            missing = set(self.settings.awaited) - {reader.name for reader in readers if reader.state != "unknown"}
            if missing:
                log.warning("rotation put off", extra={"verifiers_without_the_next_key": sorted(missing)})
                await change.carry_out(postponement(change.keys, change.now, self.settings.policy))
            return change.keys

        return await self._change(work)

    async def rotate(self, by: Actor, *, immediate: bool) -> RotationAnswer:
        """Lets the next key sign as soon as nobody can notice, or at once. Concurrent calls make one rotation."""

        async def work(change: _Change) -> RotationAnswer:
            await change.keep_up()
            plan = rotation(change.keys, change.now, self.settings.policy, immediate=immediate)
            assert plan.asked is not None
            await change.carry_out(plan)
            await change.keep_up()
            key = change.key(plan.asked)
            if plan:
                event = "key.rotated" if immediate else "key.rotation_asked"
                await change.store.audit.add(_event(event, key.kid, by))
            safe_from = key.lifetime.publish_at + self.settings.policy.publish_ahead
            noticed_until = safe_from if immediate and key.lifetime.sign_from < safe_from else None
            return RotationAnswer(key, bool(plan), immediate, noticed_until)

        return await self._change(work)

    async def revoke(self, kid: str, by: Actor) -> RevocationAnswer:
        """Ends a key at once, and lets another sign. Raises NoSuchKeyError."""

        async def work(change: _Change) -> RevocationAnswer:
            await change.keep_up()
            await change.carry_out(revocation(change.keys, kid, change.now, self.settings.policy))
            await change.keep_up()
            await change.store.audit.add(_event("key.revoked", kid, by))
            alive = await change.store.audit.tokens_alive(kid, self.settings.policy.retention)
            signing, unseen = line(change.keys, change.now)[:2]
            return RevocationAnswer(change.key(kid), signing, unseen, alive)

        return await self._change(work)

    async def recover(self, by: Actor) -> Sequence[StoredKey]:
        """After a restore: revokes every key of the backup and signs with new ones. Gives those that were revoked."""

        async def work(change: _Change) -> Sequence[StoredKey]:
            plan = recovery(change.keys, change.now)
            await change.carry_out(plan)
            await change.keep_up()
            for kid in plan.changed:
                await change.store.audit.add(_event("key.revoked", kid, by, reason="recovery"))
            return [change.key(kid) for kid in plan.changed]

        return await self._change(work)

    async def replace_unusable(self, kids: Sequence[str]) -> Sequence[StoredKey]:
        """Lets another key sign instead of keys whose rows are damaged. Their public halves stay published."""

        async def work(change: _Change) -> Sequence[StoredKey]:
            await change.carry_out(replacement(change.keys, kids, change.now))
            await change.keep_up()
            return change.keys

        return await self._change(work)

    async def reseal(self, by: Actor) -> int:
        """Seals every private half with the first key-encryption key. Gives how many were sealed with another.

        Raises UnsealError when one does not open; then none is changed.
        """

        async def work(change: _Change) -> int:
            wanted = self.sealer.keys[0].fingerprint
            moved = [key for key in change.keys if key.sealed and key.sealed.sealed_by != wanted]
            for key in moved:
                assert key.sealed is not None
                private = self.sealer.open(key.kid, key.sealed)
                await change.store.signing_keys.reseal(key.kid, self.sealer.seal(key.kid, private))
                await change.store.audit.add(_event("key.resealed", key.kid, by))
            return len(moved)

        return await self._change(work)

    async def import_public(self, jwks: Sequence[Mapping[str, Any]], until: float, by: Actor) -> Sequence[str]:
        """Publishes a predecessor's public keys until the instant `until`, so that its tokens stay good.

        Gives the kids that were not there before. Raises NotAPublicKeyError; then none is imported.
        """
        public = [public_jwk(jwk) for jwk in jwks]

        async def work(change: _Change) -> Sequence[str]:
            there = {key.kid for key in change.keys}
            lifetime = Lifetime(change.now, change.now, change.now, until)
            fresh = [jwk for jwk in public if jwk["kid"] not in there]
            for jwk in fresh:
                key = StoredKey(kid=jwk["kid"], alg=jwk["alg"], lifetime=lifetime, public_jwk=jwk, sealed=None)
                await change.store.signing_keys.add(key)
                await change.store.audit.add(_event("key.imported", key.kid, by))
            return [jwk["kid"] for jwk in fresh]

        return await self._change(work)

    async def _change(self, work: Callable[[_Change], Awaitable[T]]) -> T:
        """Runs `work` under the lock. Time and keys are read after the lock was got: waiting for it takes time.

        A COMMIT that got no answer may have happened, so a pair that was used once is never used again.
        """
        pairs = await self.spares.take(MOST_KEYS_PER_CHANGE)
        used: set[str] = set()

        async def attempt(store: KeyTables) -> T:
            await store.signing_keys.lock()
            now = await store.now()
            keys = await store.signing_keys.all()
            now = _never_back(math.floor(now), keys)
            return await work(_Change(store, keys, now, self, _handed_out(pairs, used)))

        try:
            return await self._store.transact(attempt)
        finally:
            self.spares.give_back(pair for pair in pairs if pair.kid not in used)


def _never_back(now: float, keys: Iterable[StoredKey]) -> float:
    """A database's clock that was set back a little must not let a key sign before it was published."""
    latest = max((key.lifetime.publish_at for key in keys), default=now)
    return float(latest if now < latest <= now + SMALL_STEP else now)


def _handed_out(pairs: Iterable[KeyPair], used: set[str]) -> Iterator[KeyPair]:
    """The pairs one by one, each noted as used when it is handed out."""
    for pair in pairs:
        used.add(pair.kid)
        yield pair


def _sealed(sealer: Sealer, pair: KeyPair, lifetime: Lifetime) -> StoredKey:
    sealed = sealer.seal(pair.kid, pair.private)
    return StoredKey(kid=pair.kid, alg=pair.alg, lifetime=lifetime, public_jwk=pair.public_jwk, sealed=sealed)


def _event(event: str, kid: str, by: Actor, **detail: str) -> AuditEvent:
    return AuditEvent(event, "success", by.origin, actor=by.id, subject=kid, detail=detail)
