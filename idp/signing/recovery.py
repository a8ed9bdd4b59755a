"""After a restore of a backup: nothing that it holds signs or is used any more, or what was revoked since would be
good again (`idp recover`)."""

from collections.abc import Sequence
from dataclasses import dataclass

from idp.protocol.audit import Actor, AuditEvent
from idp.signing.operations import KeyOperations
from idp.signing.server_secrets import NAMES
from idp.store import Aggregates, Store
from keys.keyring import StoredKey


@dataclass(frozen=True, slots=True)
class Recovery:
    """What ended: signing keys, and how many families of refresh tokens."""

    keys: Sequence[StoredKey]
    families: int


async def recover(store: Store, keys: KeyOperations, by: Actor) -> Recovery:
    """Ends all families, forgets the secrets that make refresh tokens and nonces, and lets new keys sign.

    Each half is one transaction, and both can be done again. So after an error, recover again.
    """

    async def end_families(own: Aggregates) -> int:
        ended = await own.refresh_families.revoke_all()
        for name in NAMES:
            await own.server_secrets.forget(name)
        detail = {"reason": "recovery", "families": str(ended)}
        await own.audit.add(AuditEvent("refresh.revoked", "success", by.origin, by.id, detail=detail))
        return ended

    families = await store.transact(end_families)
    return Recovery(await keys.recover(by), families)
