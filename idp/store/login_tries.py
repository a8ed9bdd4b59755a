"""Tries at passwords, counted where all instances see them, and the places from which people logged in."""

from collections.abc import Sequence
from uuid import UUID

from idp.protocol.throttle import DAY, KNOWN_FOR, Pace
from idp.store.database import Executor


class LoginTries:
    """The tables `login_tries` and `known_sources`. A `subject` is whatever is counted: an account, a source."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def knows(self, user_id: UUID, source: str) -> bool:
        """Whether the account was logged into from this source of late."""
        row = await self._executor.fetch_one(
            """select from known_sources
               where user_id = $1 and source = $2 and seen_at > now() - make_interval(secs => $3)""",
            user_id,
            source,
            KNOWN_FOR,
        )
        return row is not None

    async def learn(self, user_id: UUID, source: str) -> None:
        """Remembers that the account was logged into from this source."""
        await self._executor.execute(
            """insert into known_sources (user_id, source) values ($1, $2)
               on conflict (user_id, source) do update set seen_at = now()""",
            user_id,
            source,
        )

    async def wait(self, subjects: Sequence[str]) -> float:
        """Seconds until a try that counts for all of these may come, 0 when it may come now."""
        row = await self._executor.fetch_one(
            """select extract(epoch from max(next_at) - now())::float8 as wait from login_tries
               where subject = any ($1) and next_at > now()""",
            subjects,
        )
        return float(row["wait"] or 0) if row else 0.0

    async def count(self, subject: str, pace: Pace) -> bool:
        """Counts a try, in one statement so that no two instances count the same one; False when it is too early.

        Within the free tries the next one may come at any time, even for a statement that began before this one.
        """
        row = await self._executor.fetch_one(
            """insert into login_tries as t (subject, tries, next_at, last_at)
               values ($1, 1, case when $2 > 1 then '-infinity' else now() + make_interval(secs => least(1, $3)) end,
                   now())
               on conflict (subject) do update set (tries, next_at, last_at) = (
                   select n, case when n < $2 then '-infinity'
                       else now() + make_interval(secs => least(power(2, least(n - $2, 30)), $3)) end, now()
                   from (select case when t.last_at < now() - make_interval(secs => $4) then 1 else t.tries + 1 end)
                       as counted (n))
               where t.next_at <= now()
               returning tries""",
            subject,
            pace.free,
            pace.longest,
            DAY,
        )
        return row is not None

    async def forgive(self, subject: str) -> None:
        """Takes a try back, with the wait after it: the password was right, or was not tried after all."""
        await self._executor.execute(
            "update login_tries set tries = greatest(tries - 1, 0), next_at = '-infinity' where subject = $1", subject
        )

    async def purge(self, *, limit: int) -> int:
        """Forgets what no longer counts, since whoever types names of nobody leaves a row for each."""
        tries = await self._executor.execute(
            """delete from login_tries where subject in (
                   select subject from login_tries
                   where last_at < now() - make_interval(secs => $1) and next_at <= now()
                   limit $2 for update skip locked)""",
            DAY,
            limit,
        )
        sources = await self._executor.execute(
            """delete from known_sources where (user_id, source) in (
                   select user_id, source from known_sources where seen_at <= now() - make_interval(secs => $1)
                   limit $2 for update skip locked)""",
            KNOWN_FOR,
            limit,
        )
        return tries + sources
