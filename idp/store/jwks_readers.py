"""Who fetched the JWK Set, and the newest key that was in it."""

from collections.abc import Sequence

from idp.protocol.record import record
from idp.store.database import Executor


@record
class Reader:
    """A reader of the JWK Set. `confirmed`: it asked again with the ETag of a set that has `newest_kid`."""

    name: str
    newest_kid: str
    confirmed: bool
    seen_at: float


class JwksReaders:
    """The table `jwks_readers`."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def all(self) -> Sequence[Reader]:
        """The readers, by name."""
        rows = await self._executor.fetch_all(
            """select name, newest_kid, confirmed, extract(epoch from seen_at)::float8 as seen_at
               from jwks_readers order by name"""
        )
        return [Reader(*row) for row in rows]

    async def save(self, readers: Sequence[Reader], *, bound: int) -> None:
        """Writes what an instance saw, and forgets all but the `bound` readers that were seen last."""
        await self._executor.execute(
            """insert into jwks_readers as r (name, newest_kid, confirmed, seen_at)
               select name, kid, confirmed, to_timestamp(seen_at)
               from unnest($1::text[], $2::text[], $3::bool[], $4::float8[]) as t (name, kid, confirmed, seen_at)
               order by name
               on conflict (name) do update set
                   confirmed = excluded.confirmed or (r.confirmed and r.newest_kid = excluded.newest_kid),
                   newest_kid = excluded.newest_kid,
                   seen_at = excluded.seen_at""",
            [reader.name for reader in readers],
            [reader.newest_kid for reader in readers],
            [reader.confirmed for reader in readers],
            [reader.seen_at for reader in readers],
        )
        await self._executor.execute(
            """delete from jwks_readers where name in
                   (select name from jwks_readers order by seen_at desc, name offset $1)""",
            bound,
        )
