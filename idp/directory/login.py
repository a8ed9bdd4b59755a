"""Trying a password: the one way, whatever endpoint or page asks (SECURITY.md P5, P6).

In order: find the account, ask whether a try may come now, hash (no connection is held meanwhile), then, in one
transaction, check that nothing changed during the hashing and remember the place. Each refusal looks alike and costs
alike whether or not there is such an account.
"""

import asyncio
import hashlib
import ipaddress
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from idp.directory.passwords import Passwords
from idp.passwords.pool import Overloaded
from idp.protocol.audit import AuditEvent, Outcome
from idp.protocol.authorization import Authentication
from idp.protocol.errors import InvalidGrantError, OAuth2Error, TemporarilyUnavailableError
from idp.protocol.identity import login_key
from idp.protocol.ports import Audit, Clock, LoginAttempt
from idp.protocol.throttle import ACCOUNT, KNOWN, SOURCE, Pace
from idp.protocol.user import User
from idp.store import Aggregates, Store
from idp.store.users import UserWithPassword

Counter = tuple[str, Pace]
"""What a try is counted against, and how fast tries may come that count against it."""

_NOBODY = UUID(int=0)
_LONGEST_SOURCE = 64  # characters of what a proxy may report instead of an address


@dataclass(frozen=True, slots=True)
class Login:
    """Tries passwords. `lookups` bounds how many database connections a flood of logins may hold."""

    store: Store
    passwords: Passwords
    audit: Audit
    clock: Clock
    lookups: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(4))

    async def __call__(self, attempt: LoginAttempt) -> Authentication | OAuth2Error:
        try:
            self.passwords.check_room()
            return await self._try(attempt)
        except Overloaded as busy:
            return TemporarilyUnavailableError("Too many logins at once; try again.", retry_after=busy.retry_after)

    async def _try(self, attempt: LoginAttempt) -> Authentication | OAuth2Error:
        key = login_key(attempt.identifier)
        async with self.lookups:
            found = await self.store.users.by_login_key(key)
            counters = await self._counters(key, found, place_of(attempt.origin.source))
            wait = await self._admit(counters)
        if wait:
            self.audit.record(_event(attempt, found, "login.throttled", "refused"))
            return TemporarilyUnavailableError(
                "Too many failed logins; try again later.", retry_after=wait, status_code=429
            )
        try:
            user = await self._proved(attempt, found, counters)
        except Overloaded:
            await self._forgive(counters)
            raise
        if user is None:
            self.audit.record(_event(attempt, found, "login.failed", "failure"))
            return InvalidGrantError("The username or password is wrong.")
        return Authentication(user, self.clock(), ("pwd",))

    async def _counters(self, key: str, found: UserWithPassword | None, place: str) -> Sequence[Counter]:
        """An account counts by its id, whichever of its names was typed; an unknown name counts likewise.

        From a place that the account is used from, tries are counted by themselves: nobody elsewhere can slow them.
        """
        known = await self.store.login_tries.knows(found.user.id if found else _NOBODY, place)
        if found and known:
            return [(f"known:{found.user.id}:{place}", KNOWN)]
        account = found.user.id if found else hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
        return [(f"account:{account}", ACCOUNT), (f"source:{place}", SOURCE)]

    async def _admit(self, counters: Sequence[Counter]) -> int:
        """Counts the try before it is made, so that parallel ones cannot slip through; a good one is taken back.

        Gives 0, or the seconds to wait, when nothing was counted.
        """
        tries = self.store.login_tries
        wait = await tries.wait([subject for subject, _ in counters])
        if wait:
            return max(1, math.ceil(wait))
        for index, (subject, pace) in enumerate(counters):
            if not await tries.count(subject, pace):  # another try was faster
                await self._forgive(counters[:index])
                return 1
        return 0

    async def _proved(
        self, attempt: LoginAttempt, found: UserWithPassword | None, counters: Sequence[Counter]
    ) -> User | None:
        verdict = await self.passwords.verify(attempt.password, found.password_hash if found else None)
        if not verdict.ok or found is None or not found.user.is_active:
            return None
        new_hash = await self.passwords.upgraded(attempt.password) if verdict.outdated else None

        async def settle(store: Aggregates) -> User | None:
            user = await store.users.with_password_hash(found.user.id, found.password_hash)
            if user is None:  # disabled, or given another password while we hashed
                return None
            if new_hash:
                await store.users.upgrade_password_hash(user.id, new_hash)
            await store.login_tries.learn(user.id, place_of(attempt.origin.source))
            for subject, _ in counters:
                await store.login_tries.forgive(subject)
            await store.audit.add(_event(attempt, found, "login.succeeded", "success"))
            return user

        async with self.lookups:
            return await self.store.transact(settle)

    async def _forgive(self, counters: Sequence[Counter]) -> None:
        for subject, _ in counters:
            await self.store.login_tries.forgive(subject)


def place_of(source: str) -> str:
    """Where a source address is, as far as tries are counted.

    Whoever has one address of IPv6 has all 2^64 of its network (RFC 4291 §2.5.1), so the network counts; an IPv4
    address that came over an IPv6 socket counts as itself.
    """
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return source[:_LONGEST_SOURCE]
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((int(address), 64), strict=False))


def _event(attempt: LoginAttempt, found: UserWithPassword | None, event: str, outcome: Outcome) -> AuditEvent:
    """The typed name is not recorded when it is nobody's: it may be a password in the wrong field (L1)."""
    user_id = str(found.user.id) if found else None
    return AuditEvent(event, outcome, attempt.origin, actor=user_id, subject=user_id, client_id=attempt.client_id)
