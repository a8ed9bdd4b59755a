"""Signing keys: the public half in the clear, the private half sealed, the instants of the key's life."""

from collections.abc import Sequence

import orjson

from idp.store.database import Executor, Row
from keys.keyring import StoredKey
from keys.schedule import Lifetime
from keys.sealing import Sealed

_LOCK = 0x1D9_0002


class SigningKeys:
    """The table `signing_keys`."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def all(self) -> Sequence[StoredKey]:
        """Every key, in the order in which they sign."""
        rows = await self._executor.fetch_all(
            """select kid, alg, public_jwk, sealed_by, sealed,
                   extract(epoch from publish_at)::float8 as publish_at,
                   extract(epoch from sign_from)::float8 as sign_from,
                   extract(epoch from sign_until)::float8 as sign_until,
                   extract(epoch from verify_until)::float8 as verify_until,
                   extract(epoch from revoked_at)::float8 as revoked_at,
                   extract(epoch from asked_at)::float8 as asked_at
               from signing_keys order by sign_from, kid"""
        )
        return [_key(row) for row in rows]

    async def lock(self) -> None:
        """Waits until no other instance makes keys; ends with the transaction."""
        await self._executor.fetch_one("select pg_advisory_xact_lock($1)", _LOCK)

    async def add(self, key: StoredKey) -> None:
        life = key.lifetime
        await self._executor.execute(
            """insert into signing_keys (kid, alg, public_jwk, sealed_by, sealed,
                   publish_at, sign_from, sign_until, verify_until)
               values ($1, $2, $3, $4, $5, to_timestamp($6), to_timestamp($7), to_timestamp($8), to_timestamp($9))""",
            key.kid,
            key.alg,
            orjson.dumps(dict(key.public_jwk)).decode(),
            key.sealed.sealed_by if key.sealed else None,
            key.sealed.box if key.sealed else None,
            life.publish_at,
            life.sign_from,
            life.sign_until,
            life.verify_until,
        )

    async def change(self, kid: str, life: Lifetime) -> None:
        """Replaces the instants of a key, all but when it was published."""
        await self._executor.execute(
            """update signing_keys set sign_from = to_timestamp($2), sign_until = to_timestamp($3),
                   verify_until = to_timestamp($4), revoked_at = to_timestamp($5)
               where kid = $1""",
            kid,
            life.sign_from,
            life.sign_until,
            life.verify_until,
            life.revoked_at,
        )

    async def mark_asked(self, kid: str, at: float) -> None:
        """Remembers that somebody asked by hand for this key to sign."""
        await self._executor.execute("update signing_keys set asked_at = to_timestamp($2) where kid = $1", kid, at)

    async def destroy_private(self, kids: Sequence[str]) -> None:
        """Forgets private halves; the public ones stay."""
        await self._executor.execute(
            "update signing_keys set sealed = null, sealed_by = null where kid = any ($1)", list(kids)
        )

    async def reseal(self, kid: str, sealed: Sealed) -> None:
        await self._executor.execute(
            "update signing_keys set sealed_by = $2, sealed = $3 where kid = $1", kid, sealed.sealed_by, sealed.box
        )


def _key(row: Row) -> StoredKey:
    instants = (row["publish_at"], row["sign_from"], row["sign_until"], row["verify_until"], row["revoked_at"])
    return StoredKey(
        kid=row["kid"],
        alg=row["alg"],
        lifetime=Lifetime(*instants),
        asked_at=row["asked_at"],
        public_jwk=orjson.loads(row["public_jwk"]),
        sealed=Sealed(row["sealed_by"], row["sealed"]) if row["sealed"] else None,
    )
