"""Families of refresh tokens: one row each, updated in place."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from idp.protocol.refresh import Family
from idp.protocol.user import User
from idp.store.database import Executor, Row

_COLUMNS = """f.id, f.client_id, f.user_id, f.scopes, f.audiences,
    extract(epoch from f.auth_time)::float8 as auth_time, f.amr, f.current_digest, f.previous_digest,
    extract(epoch from f.rotated_at)::float8 as rotated_at, f.sealed_successor,
    extract(epoch from f.idle_until)::float8 as idle_until, extract(epoch from f.expires_at)::float8 as expires_at,
    extract(epoch from f.revoked_at)::float8 as revoked_at, f.dpop_jkt,
    extract(epoch from clock_timestamp())::float8 as read_at"""
_USER_COLUMNS = """u.email, u.username, u.roles, u.is_active, extract(epoch from u.created_at)::float8 as created_at,
    u.credentials_epoch"""

LONGEST_ACCESS_TOKEN = 86400
"""Seconds: the most that IDP_ACCESS_TOKEN_TTL takes."""


@dataclass(frozen=True, slots=True)
class FamilyOfUser:
    """A family, and the person whose it is, as they were at `read_at`, by the database's clock in POSIX seconds."""

    family: Family
    user: User
    read_at: float


class RefreshFamilies:
    """The table `refresh_families`."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def add(self, family: Family, credentials_epoch: int) -> bool:
        """Stores a new family, if the person is active and has the same credentials as when they logged in, and the
        client may refresh.

        The share locks make this and the end of all families of a person or client come one after the other: either
        that end sees this family, or this sees that end.
        """
        return (
            await self._executor.execute(
                """insert into refresh_families (id, client_id, user_id, scopes, audiences, auth_time, amr,
                   current_digest, idle_until, expires_at, dpop_jkt)
               select $1, client_id, user_id, $4, $5, to_timestamp($6), $7, $8, to_timestamp($9), to_timestamp($10),
                   $12
               from (select c.client_id, u.id as user_id from users u, clients c
                     where u.id = $3 and u.is_active and u.credentials_epoch = $11
                         and c.client_id = $2 and 'refresh_token' = any (c.grant_types)
                     for share) as living""",
                family.id,
                family.client_id,
                family.user_id,
                list(family.scope),
                list(family.audience),
                family.auth_time,
                list(family.amr),
                family.current_digest,
                family.idle_until,
                family.expires_at,
                credentials_epoch,
                family.dpop_jkt,
            )
            == 1
        )

    async def swap(
        self,
        family_id: UUID,
        client_id: str,
        presented: bytes,
        successor: bytes,
        sealed_successor: bytes | None,
        *,
        idle_ttl: float,
        scope: Sequence[str],
        audience: Sequence[str],
        dpop_jkt: str | None,
    ) -> FamilyOfUser | None:
        """Swaps the current token for its successor, in one statement; None when anything stands against it.

        `presented` and `successor` are digests; `scope` and `audience` are what is asked for, and must have been
        granted; `dpop_jkt` is of the key that was proved, and must be that of a family that is bound to one.
        """
        row = await self._executor.fetch_one(
            f"""update refresh_families f set previous_digest = f.current_digest, current_digest = $4,
                    sealed_successor = $5, rotated_at = clock_timestamp(),
                    idle_until = clock_timestamp() + make_interval(secs => $6)
                from users u
                where f.id = $1 and f.client_id = $2 and f.current_digest = $3 and f.revoked_at is null
                    and f.expires_at > clock_timestamp() and f.idle_until > clock_timestamp()
                    and $7::text[] <@ f.scopes and $8::text[] <@ f.audiences
                    and (f.dpop_jkt is null or f.dpop_jkt = $9)
                    and u.id = f.user_id and u.is_active
                returning {_COLUMNS}, {_USER_COLUMNS}""",
            family_id,
            client_id,
            presented,
            successor,
            sealed_successor,
            idle_ttl,
            list(scope),
            list(audience),
            dpop_jkt,
        )
        return _family_of_user(row) if row else None

    async def find(self, family_id: UUID) -> FamilyOfUser | None:
        row = await self._executor.fetch_one(
            f"""select {_COLUMNS}, {_USER_COLUMNS} from refresh_families f join users u on u.id = f.user_id
                where f.id = $1""",
            family_id,
        )
        return _family_of_user(row) if row else None

    async def revoke(self, family_id: UUID) -> bool:
        """Ends a family. False when it had ended, or is not there."""
        return (
            await self._executor.execute(
                """update refresh_families set revoked_at = clock_timestamp(), sealed_successor = null
               where id = $1 and revoked_at is null""",
                family_id,
            )
            == 1
        )

    async def revoke_all_of_user(self, user_id: UUID) -> int:
        """Ends every family of a person. How many ended."""
        return await self._executor.execute(
            """update refresh_families set revoked_at = clock_timestamp(), sealed_successor = null
               where user_id = $1 and revoked_at is null""",
            user_id,
        )

    async def revoke_all_of_client(self, client_id: str) -> int:
        """Ends every family of a client. How many ended."""
        return await self._executor.execute(
            """update refresh_families set revoked_at = clock_timestamp(), sealed_successor = null
               where client_id = $1 and revoked_at is null""",
            client_id,
        )

    async def revoke_all(self) -> int:
        """Ends every family there is. How many ended."""
        return await self._executor.execute(
            """update refresh_families set revoked_at = clock_timestamp(), sealed_successor = null
               where revoked_at is null"""
        )

    async def purge(self, *, limit: int) -> int:
        """Forgets families that are past their time, some at once, without waiting for any that is in use.

        They stay for as long as an access token may outlive them, because one without its family counts as revoked.
        """
        return await self._executor.execute(
            """delete from refresh_families where id = any (array(
                   select id from refresh_families where expires_at < now() - make_interval(secs => $2)
                   limit $1 for update skip locked))""",
            limit,
            LONGEST_ACCESS_TOKEN,
        )


def _family_of_user(row: Row) -> FamilyOfUser:
    family = Family(
        id=row["id"],
        client_id=row["client_id"],
        user_id=row["user_id"],
        scope=tuple(row["scopes"]),
        audience=tuple(row["audiences"]),
        auth_time=row["auth_time"],
        amr=tuple(row["amr"]),
        current_digest=row["current_digest"],
        previous_digest=row["previous_digest"],
        rotated_at=row["rotated_at"],
        sealed_successor=row["sealed_successor"],
        idle_until=row["idle_until"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        dpop_jkt=row["dpop_jkt"],
    )
    user = User(
        id=row["user_id"],
        email=row["email"],
        username=row["username"],
        roles=tuple(row["roles"]),
        is_active=row["is_active"],
        created_at=row["created_at"],
        credentials_epoch=row["credentials_epoch"],
    )
    return FamilyOfUser(family, user, row["read_at"])
