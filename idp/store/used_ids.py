"""Ids that are good for one use, whichever instance sees it: of assertions (RFC 7523 §3) and proofs (RFC 9449 §11.1).

Only digests are kept: ids come from outside, in any length.
"""

import hashlib

from idp.store.database import Executor


class UsedIds:
    """The table `used_ids`."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def use(self, issuer: str, jti: str, expires_at: float) -> bool:
        """Uses the id that `issuer` gave. False when it was used before. It is forgotten after `expires_at`."""
        return (
            await self._executor.execute(
                """insert into used_ids (digest, expires_at) values ($1, to_timestamp($2))
                   on conflict (digest) do nothing""",
                _digest(issuer, jti),
                expires_at,
            )
            == 1
        )

    async def purge(self, *, limit: int) -> int:
        """Forgets ids whose tokens have expired by the database's time."""
        return await self._executor.execute(
            """delete from used_ids where digest = any (array(
                   select digest from used_ids where expires_at < now() limit $1 for update skip locked))""",
            limit,
        )


def _digest(issuer: str, jti: str) -> bytes:
    """Of the pair: no issuer's id is another's, wherever one text ends and the other begins."""
    return hashlib.sha256(hashlib.sha256(issuer.encode()).digest() + jti.encode()).digest()
