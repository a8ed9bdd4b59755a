"""The lists, signed: each made once in `LIST_TTL` seconds at most, when somebody asks, and kept in memory.

While the database is away a list goes on until its `exp`. It is dropped with its key: whoever has a revoked key could
have signed any list.
"""

import asyncio
import hashlib
import logging
from dataclasses import dataclass

from idp.protocol.ports import Clock
from idp.protocol.status import LIST_TTL, LIST_TYPE, list_claims, status_list
from idp.store.database import DatabaseUnavailable
from idp.store.status_lists import StatusLists
from keys.keyring import Keyring, NoSigningKeyError

log = logging.getLogger(__name__)

PAUSE = 5.0
"""Seconds between two attempts to make a list that cannot be made: meanwhile the last one is served at once."""


@dataclass(frozen=True, slots=True)
class SignedList:
    """A Status List Token as it goes over the wire; instants are in POSIX seconds."""

    token: bytes
    etag: str
    kid: str
    made_at: float
    exp: int

    def max_age(self, now: float) -> int:
        """Seconds for which a verifier may keep it: until it is made anew, so that ages do not add up."""
        return max(0, int(self.made_at + LIST_TTL - now))


class SignedLists:
    """The lists of `issuer`. `lifetime`, in seconds, is that of a Status List Token."""

    def __init__(self, issuer: str, lists: StatusLists, keyring: Keyring, clock: Clock, *, lifetime: int) -> None:
        self._issuer = issuer
        self._lists = lists
        self._keyring = keyring
        self._clock = clock
        self._lifetime = lifetime
        self._made: dict[int, SignedList] = {}
        self._making: dict[int, asyncio.Task[SignedList | None]] = {}
        self._pause_until = float("-inf")

    async def get(self, list_id: int) -> SignedList | None:
        """The list as it is now; None when there is no such list, or none that a living token could name.

        Raises DatabaseUnavailable or NoSigningKeyError when it cannot be made and there is none to go on with.
        """
        now = self._clock()
        held = self._usable(list_id, now)
        if held and (0 <= now - held.made_at < LIST_TTL or now < self._pause_until):
            return held
        try:
            return await self._single_flight(list_id)
        except (DatabaseUnavailable, NoSigningKeyError) as error:
            if held is None:
                raise
            self._pause_until = now + PAUSE
            log.warning("status list not made anew", extra={"list": list_id, "reason": str(error)})
            return held

    def _usable(self, list_id: int, now: float) -> SignedList | None:
        held = self._made.get(list_id)
        if held is None or now >= held.exp:
            return None
        published = any(jwk["kid"] == held.kid for jwk in self._keyring.jwks(now).keys)
        return held if published else None

    async def _single_flight(self, list_id: int) -> SignedList | None:
        """However many ask at once, it is made once; who stops waiting does not stop it for the others."""
        making = self._making.get(list_id)
        if making is None:
            making = self._making[list_id] = asyncio.create_task(self._make(list_id))
            making.add_done_callback(lambda made: self._end(list_id, made))
        return await asyncio.shield(making)

    def _end(self, list_id: int, making: "asyncio.Task[SignedList | None]") -> None:
        del self._making[list_id]
        if not making.cancelled():
            making.exception()  # known to whoever waits, if anybody still does

    async def _make(self, list_id: int) -> SignedList | None:
        now = self._clock()  # before the list is read: from then on it grows old
        self._made = {known: held for known, held in self._made.items() if now < held.exp}
        revoked = await self._lists.revoked(list_id)
        if revoked is None:
            return None
        lst = await asyncio.to_thread(status_list, revoked)
        claims = list_claims(self._issuer, list_id, lst, now=int(now), lifetime=self._lifetime)
        token, kid = await self._keyring.sign(claims, typ=LIST_TYPE, now=now)
        etag = '"' + hashlib.sha256(token.encode()).hexdigest()[:32] + '"'
        made = self._made[list_id] = SignedList(token.encode(), etag, kid, now, claims["exp"])
        return made
