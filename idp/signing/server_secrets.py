"""The service's own secrets: made once, by whichever instance comes first, sealed, and read at each start."""

import secrets
from collections.abc import Callable
from typing import Generic, TypeVar

from idp.protocol.audit import Actor, AuditEvent
from idp.protocol.dpop import Nonces
from idp.store import Aggregates, Store
from keys.opaque import SECRET_BYTES, OpaqueTokens
from keys.sealing import Sealer

T = TypeVar("T")

REFRESH_TOKENS = "refresh tokens"
DPOP_NONCES = "dpop nonces"
NAMES = (REFRESH_TOKENS, DPOP_NONCES)


def sealed_as(name: str) -> str:
    """The associated data under which a secret is sealed; no kid is like it."""
    return f"server secret: {name}"


class ServerSecret(Generic[T]):
    """A secret that all instances share. Calling it gives what works with it; `start` comes first."""

    def __init__(self, store: Store, sealer: Sealer, name: str, of: Callable[[bytes], T]) -> None:
        self._store = store
        self._sealer = sealer
        self._name = name
        self._of = of
        self._made: T | None = None

    async def start(self) -> None:
        """Raises DatabaseUnavailable, or UnsealError when the secret does not open."""
        stored = await self._store.server_secrets.all()
        if self._name not in stored:
            fresh = self._sealer.seal(sealed_as(self._name), secrets.token_bytes(SECRET_BYTES))
            await self._store.server_secrets.add(self._name, fresh)
            stored = await self._store.server_secrets.all()
        self._made = self._of(self._sealer.open(sealed_as(self._name), stored[self._name]))

    def __call__(self) -> T:
        assert self._made is not None, "start() comes first"
        return self._made


class RefreshTokenSecret(ServerSecret[OpaqueTokens]):
    """What makes and recognises refresh tokens."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        super().__init__(store, sealer, REFRESH_TOKENS, lambda secret: OpaqueTokens(secret, "refresh"))


class NonceSecret(ServerSecret[Nonces]):
    """What makes and recognises the nonces of DPoP proofs."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        super().__init__(store, sealer, DPOP_NONCES, Nonces)


async def reseal(store: Store, sealer: Sealer, by: Actor) -> int:
    """Seals every secret with the first key-encryption key. Gives how many were sealed with another.

    Raises UnsealError when one does not open; then none is changed.
    """

    async def work(own: Aggregates) -> int:
        moved = 0
        for name, sealed in (await own.server_secrets.all()).items():
            if sealed.sealed_by == sealer.keys[0].fingerprint:
                continue
            anew = sealer.seal(sealed_as(name), sealer.open(sealed_as(name), sealed))
            if await own.server_secrets.replace(name, sealed, anew):
                await own.audit.add(AuditEvent("server_secret.resealed", "success", by.origin, by.id, name))
                moved += 1
        return moved

    return await store.transact(work)
