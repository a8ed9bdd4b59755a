"""The service's own secrets: made once, by whichever instance comes first, sealed, and read at each start."""

import secrets

from idp.protocol.audit import Actor, AuditEvent
from idp.store import Aggregates, Store
from keys.opaque import SECRET_BYTES, OpaqueTokens
from keys.sealing import Sealer

REFRESH_TOKENS = "refresh tokens"


def sealed_as(name: str) -> str:
    """The associated data under which a secret is sealed; no kid is like it."""
    return f"server secret: {name}"


class RefreshTokenSecret:
    """What makes and recognises refresh tokens. Calling it gives the maker; `start` comes first."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer
        self._tokens: OpaqueTokens | None = None

    async def start(self) -> None:
        """Raises DatabaseUnavailable, or UnsealError when the secret does not open."""
        stored = await self._store.server_secrets.all()
        if REFRESH_TOKENS not in stored:
            fresh = self._sealer.seal(sealed_as(REFRESH_TOKENS), secrets.token_bytes(SECRET_BYTES))
            await self._store.server_secrets.add(REFRESH_TOKENS, fresh)
            stored = await self._store.server_secrets.all()
        secret = self._sealer.open(sealed_as(REFRESH_TOKENS), stored[REFRESH_TOKENS])
        self._tokens = OpaqueTokens(secret, "refresh")

    def __call__(self) -> OpaqueTokens:
        assert self._tokens is not None, "start() comes first"
        return self._tokens


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
