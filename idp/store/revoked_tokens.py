"""Access tokens that were revoked before their time, by `jti`, until they expire."""

from uuid import UUID

from idp.store.database import Executor

MOST_LEEWAY = 300
"""Seconds for which `idp_verifier`, by which we too verify, may be told to accept a token that has expired."""


class RevokedTokens:
    """The table `revoked_tokens`."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def add(self, jti: str, expires_at: float) -> None:
        await self._executor.execute(
            "insert into revoked_tokens (jti, expires_at) values ($1, to_timestamp($2)) on conflict (jti) do nothing",
            jti,
            expires_at,
        )

    async def is_good(self, jti: str, family_id: UUID | None) -> bool:
        """Whether neither the token itself nor the family that it goes with was revoked."""
        row = await self._executor.fetch_one(
            """select where not exists (select from revoked_tokens where jti = $1)
                   and ($2::uuid is null
                       or exists (select from refresh_families where id = $2 and revoked_at is null))""",
            jti,
            family_id,
        )
        return row is not None

    async def purge(self, *, limit: int) -> int:
        """Forgets tokens that have expired, for whoever allows for the skew of a clock too."""
        return await self._executor.execute(
            """delete from revoked_tokens where jti = any (array(
                   select jti from revoked_tokens where expires_at < now() - make_interval(secs => $2)
                   limit $1 for update skip locked))""",
            limit,
            MOST_LEEWAY,
        )
