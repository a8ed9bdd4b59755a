"""Token Status Lists: how much of each was given out, and which indices were revoked, until their tokens expire.

What the living tokens of a family have is in its row, and moves here by triggers when it ends (migration 0006).
"""

from collections.abc import Sequence

from idp.protocol.status import LIST_SIZE, Status
from idp.store.database import Executor
from idp.store.revoked_tokens import MOST_LEEWAY


class StatusLists:
    """The tables `status_lists` and `revoked_statuses`."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def take(self, size: int, lifetime: float) -> tuple[int, int]:
        """Takes so many indices of a list that nobody ever gets again: the list, and the first of them.

        They are in the newest list, or in one more; who comes second to its last room tries again. `lifetime`, in
        seconds, is that of whatever gets one of them.
        """
        row = None
        while row is None:
            row = await self._executor.fetch_one(
                """insert into status_lists as list (id, taken, expires_at)
                       select coalesce(max(id) filter (where taken + $1::integer <= $2::integer), max(id) + 1, 0),
                           $1::integer, clock_timestamp() + make_interval(secs => $3)
                       from status_lists
                   on conflict (id) do update set taken = list.taken + $1::integer,
                           expires_at = greatest(list.expires_at, excluded.expires_at)
                       where list.taken + $1::integer <= $2::integer
                   returning list.id, list.taken - $1::integer as first""",
                size,
                LIST_SIZE,
                lifetime,
            )
        return row["id"], row["first"]

    async def revoke(self, status: Status) -> None:
        await self._executor.execute(
            """insert into revoked_statuses (list_id, idx, expires_at) values ($1, $2, to_timestamp($3))
               on conflict (list_id, idx) do nothing""",
            status.list_id,
            status.idx,
            status.expires_at,
        )

    async def revoked(self, list_id: int) -> Sequence[int] | None:
        """The indices of a list that were revoked; None for a list that never was, or whose tokens have expired."""
        row = await self._executor.fetch_one(
            """select array(select idx from revoked_statuses
                            where list_id = list.id and expires_at > clock_timestamp() - make_interval(secs => $2))
                   as revoked
               from status_lists list
               where id = $1 and expires_at > clock_timestamp() - make_interval(secs => $2)""",
            list_id,
            MOST_LEEWAY,
        )
        return row["revoked"] if row else None

    async def purge(self, *, limit: int) -> int:
        """Forgets what has expired, for whoever allows for the skew of a clock too. The newest list stays: the next
        one goes on from there, and no list ever has the name of another."""
        gone = await self._executor.execute(
            """delete from revoked_statuses where (list_id, idx) in (
                   select list_id, idx from revoked_statuses where expires_at < now() - make_interval(secs => $2)
                   limit $1 for update skip locked)""",
            limit,
            MOST_LEEWAY,
        )
        return gone + await self._executor.execute(
            """delete from status_lists where expires_at < now() - make_interval(secs => $1)
                   and id < (select max(id) from status_lists)""",
            MOST_LEEWAY,
        )
