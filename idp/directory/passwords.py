"""Passwords, judged, made and verified: the hasher and the pool in which it works."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

from idp.passwords.hashing import PasswordHasher, StoredHashError, Verdict
from idp.passwords.pool import HashPool, Overloaded
from idp.passwords.rules import check
from idp.store.users import Users

log = logging.getLogger(__name__)

_REREAD = 60.0
"""Seconds between two looks at what the costliest imported hash is."""


class Passwords:
    """Works on passwords in the pool, with no database connection held meanwhile. `ticker` never steps."""

    def __init__(
        self, users: Users, hasher: PasswordHasher, pool: HashPool, *, min_length: int, ticker: Callable[[], float]
    ) -> None:
        self._users = users
        self._hasher = hasher
        self._pool = pool
        self._min_length = min_length
        self._ticker = ticker
        self._reread_at = float("-inf")

    def check_room(self) -> None:
        """Raises Overloaded if work would be refused now; a flood is turned away here, before it costs anything."""
        self._pool.check_room()

    async def chosen(self, password: str, own_words: Iterable[str]) -> str:
        """The hash of a password that somebody chose. Raises WeakPassword or Overloaded."""
        return await self._pool.run(_checked_hash, self._hasher, password, tuple(own_words), self._min_length)

    async def verify(self, password: str, stored: str | None) -> Verdict:
        """Whether the password is the one that was stored; None is nobody's, and costs the same (P6).

        Raises Overloaded. A stored hash that cannot be verified is reported, and is nobody's to the outside.
        """
        await self._look_at_costs()
        try:
            return await self._pool.run(self._hasher.verify, password, stored)
        except StoredHashError as error:
            log.error("stored password hash unusable", extra={"reason": str(error)})  # noqa: TRY400
            return Verdict(ok=False, outdated=False)

    async def upgraded(self, password: str) -> str | None:
        """A hash by today's settings of a password that was right; None while the pool is busy, for a later login."""
        try:
            return await self._pool.run(self._hasher.hash, password)
        except Overloaded:
            return None

    async def _look_at_costs(self) -> None:
        """Every login takes as long as the costliest imported hash, lest slowness tell whose account was imported."""
        now = self._ticker()
        if now - self._reread_at >= _REREAD:
            self._reread_at = now
            highest = await self._users.highest_foreign_cost()
            self._hasher = replace(self._hasher, highest_stored_cost=highest)


def _checked_hash(hasher: PasswordHasher, password: str, own_words: Iterable[str], min_length: int) -> str:
    return hasher.hash(check(password, own_words=own_words, min_length=min_length))
