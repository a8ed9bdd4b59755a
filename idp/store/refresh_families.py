"""Families of refresh tokens: one row each, updated in place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

import orjson

from idp.protocol.authorization import Authentication
from idp.protocol.refresh import NO_TOKEN, Family
from idp.protocol.status import Status
from idp.protocol.tokens import LONGEST_ACCESS_TOKEN
from idp.protocol.user import User
from idp.store.database import Executor, Row
from idp.store.revoked_tokens import MOST_LEEWAY

_COLUMNS = """f.id, f.client_id, f.user_id, f.scopes, f.audiences,
    date_part('epoch', f.auth_time) as auth_time, f.amr, f.current_digest, f.previous_digest,
    date_part('epoch', f.rotated_at) as rotated_at, f.sealed_successor,
    date_part('epoch', f.idle_until) as idle_until, date_part('epoch', f.expires_at) as expires_at,
    date_part('epoch', f.revoked_at) as revoked_at, f.dpop_jkt,
    date_part('epoch', clock_timestamp()) as read_at"""
_USER_COLUMNS = """u.email, u.username, u.roles, u.is_active, date_part('epoch', u.created_at) as created_at,
    u.credentials_epoch"""

MOST_STATUSES = 4096
"""Of living access tokens, that a family keeps: who has more of one login waits until some have expired."""
_LIVING = f"""select (list_id, idx, expires_at)::issued_status from unnest(f.statuses)
    where expires_at > clock_timestamp() - interval '{MOST_LEEWAY} seconds'"""
_HAS_ROOM = f"(cardinality(f.statuses) < {MOST_STATUSES} or cardinality(array({_LIVING})) < {MOST_STATUSES})"


class Swap(NamedTuple):
    """A token of a family for its successor, both as digests, for the client that presents it.

    `scope` and `audience` are what is asked for, and must have been granted; `dpop_jkt` is of the key that was proved,
    and must be that of a family that is bound to one. `status` is that of the access token to be issued: it is there
    for whatever ends the family after this.
    """

    family_id: UUID
    client_id: str
    presented: bytes
    successor: bytes
    sealed_successor: bytes | None = None
    scope: Sequence[str] = ()
    audience: Sequence[str] = ()
    dpop_jkt: str | None = None
    status: Status | None = None


class Granted(NamedTuple):
    """What was granted to the client of a family at the login, and who logged in, as they are now."""

    scope: tuple[str, ...]
    audience: tuple[str, ...]
    authentication: Authentication


@dataclass(frozen=True, slots=True)
class FamilyOfUser:
    """A family, and the person whose it is, as they were at `read_at`, by the database's clock in POSIX seconds."""

    family: Family
    user: User
    read_at: float

    @property
    def granted(self) -> Granted:
        family = self.family
        return Granted(family.scope, family.audience, Authentication(self.user, family.auth_time, family.amr))


class RefreshFamilies:
    """The table `refresh_families`."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def add(self, family: Family, credentials_epoch: int, status: Status | None = None) -> bool:
        """Stores a new family, if the person is active and has the same credentials as when they logged in, and the
        client may refresh or the family has no token to do it with. `status` is that of its first access token.

        The share locks make this and the end of all families of a person or client come one after the other: either
        that end sees this family, or this sees that end.
        """
        return (
            await self._executor.execute(
                """insert into refresh_families (id, client_id, user_id, scopes, audiences, auth_time, amr,
                   current_digest, idle_until, expires_at, dpop_jkt, statuses)
               select $1, client_id, user_id, $4, $5, to_timestamp($6), $7, $8, to_timestamp($9), to_timestamp($10),
                   $12, case when $14::bigint is null then '{}'
                        else array[($14::bigint, $15::integer, to_timestamp($16::float8))::issued_status] end
               from (select c.client_id, u.id as user_id from users u, clients c
                     where u.id = $3 and u.is_active and u.credentials_epoch = $11
                         and c.client_id = $2 and ($8 = $13::bytea or 'refresh_token' = any (c.grant_types))
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
                NO_TOKEN,
                *_values(status),
            )
            == 1
        )

    async def swap(self, swap: Swap, *, idle_ttl: float) -> Granted | None:
        """Swaps the current token for its successor, in one statement; None when anything stands against it.

        The family is good for another `idle_ttl` seconds then. Whoever is at it is waited for.
        """
        return (await self._swapped([swap], idle_ttl, _LOCK))[0]

    async def swap_free(self, swaps: Sequence[Swap], *, idle_ttl: float) -> Sequence[Granted | None]:
        """The same for many, in one statement and with one commit; in their order.

        Nobody is waited for, lest one family hold up the others, or two such statements each other: None also for a
        family that somebody else is at. Of several swaps of one family at most one is made.
        """
        return await self._swapped(swaps, idle_ttl, _LOCK_FREE)

    async def _swapped(self, swaps: Sequence[Swap], idle_ttl: float, lock: str) -> Sequence[Granted | None]:
        *columns, scopes, audiences, thumbprints, statuses = zip(*swaps, strict=True)
        if more := any((*scopes, *audiences, *thumbprints, *statuses)):
            columns.append(tuple(map(_more, scopes, audiences, thumbprints, statuses)))
        rows = await self._executor.fetch_all(_SWAP[lock, more], idle_ttl, *columns)
        swapped = {row["place"]: _granted(row) for row in rows}
        return [swapped.get(place) for place in range(1, len(swaps) + 1)]

    async def add_status(self, family_id: UUID, status: Status) -> bool:
        """Keeps the status of one more access token. False when the family has ended, or is full."""
        return (
            await self._executor.execute(
                f"""update refresh_families f set statuses = {_with_status("$2", "$3", "$4")}
                    where f.id = $1 and f.revoked_at is null and {_HAS_ROOM}""",
                family_id,
                *_values(status),
            )
            == 1
        )

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
        """Ends every family of a client that has refresh tokens. How many ended."""
        return await self._executor.execute(
            """update refresh_families set revoked_at = clock_timestamp(), sealed_successor = null
               where client_id = $1 and revoked_at is null and current_digest <> $2""",
            client_id,
            NO_TOKEN,
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


def _with_status(list_id: str, idx: str, expires_at: str) -> str:
    """The statuses of a family's living tokens, and that of one more, if these parameters are not null."""
    one_more = f"({list_id}::bigint, {idx}::integer, to_timestamp({expires_at}::float8))::issued_status"
    return f"case when {list_id}::bigint is null then f.statuses else array({_LIVING}) || {one_more} end"


def _values(status: Status | None) -> tuple[int, int, float] | tuple[None, None, None]:
    return (status.list_id, status.idx, status.expires_at) if status else (None, None, None)


def _swap(lock: str, *, more: bool) -> str:
    """What is locked is judged as it is then, whatever happened since the statement began; the update only follows.

    `more` is for swaps of which some ask for a part of what was granted, prove a key or bring a status. It is one
    document for each: every further array and expression costs as much as a swap, even if all that is in it is null.
    """
    return f"""with good as materialized (
        select s.*, u.id as user_id, {_USER_COLUMNS}
        from unnest($2::uuid[], $3::text[], $4::bytea[], $5::bytea[], $6::bytea[]{", $7::jsonb[]" if more else ""})
            with ordinality as s (family_id, asking_client_id, presented, successor, sealed{", more" if more else ""},
                place)
            join refresh_families f on f.id = s.family_id
            join users u on u.id = f.user_id
        where f.client_id = s.asking_client_id and f.current_digest = s.presented and f.revoked_at is null
            and f.expires_at > clock_timestamp() and f.idle_until > clock_timestamp()
            and {_MORE_IS_GOOD if more else "f.dpop_jkt is null"} and u.is_active
        {lock})
    update refresh_families f set previous_digest = f.current_digest, current_digest = good.successor,
        {f"statuses = {_MORE_STATUSES}," if more else ""}
        sealed_successor = good.sealed, rotated_at = clock_timestamp(),
        idle_until = clock_timestamp() + make_interval(secs => $1)
    from good where f.id = good.family_id
    returning good.place, f.scopes, f.audiences, date_part('epoch', f.auth_time) as auth_time, f.amr, good.user_id,
        good.email, good.username, good.roles, good.is_active, good.created_at, good.credentials_epoch"""


_LOCK = "for update of f"
_LOCK_FREE = "for update of f skip locked"
_MORE_IS_GOOD = f"""to_jsonb(f.scopes) @> (s.more -> 'scope') and to_jsonb(f.audiences) @> (s.more -> 'audience')
            and (f.dpop_jkt is null or f.dpop_jkt = s.more ->> 'dpop_jkt') and {_HAS_ROOM}"""
_MORE_STATUSES = _with_status(
    "(good.more #>> '{status,list_id}')", "(good.more #>> '{status,idx}')", "(good.more #>> '{status,expires_at}')"
)
_SWAP = {(lock, more): _swap(lock, more=more) for lock in (_LOCK, _LOCK_FREE) for more in (True, False)}


def _more(scope: Sequence[str], audience: Sequence[str], dpop_jkt: str | None, status: Status | None) -> str:
    return orjson.dumps({"scope": scope, "audience": audience, "dpop_jkt": dpop_jkt, "status": status}).decode()


def _granted(row: Row) -> Granted:
    return Granted(
        tuple(row["scopes"]),
        tuple(row["audiences"]),
        Authentication(_user(row), row["auth_time"], tuple(row["amr"])),
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
    return FamilyOfUser(family, _user(row), row["read_at"])


def _user(row: Row) -> User:
    return User(
        id=row["user_id"],
        email=row["email"],
        username=row["username"],
        roles=tuple(row["roles"]),
        is_active=row["is_active"],
        created_at=row["created_at"],
        credentials_epoch=row["credentials_epoch"],
    )
