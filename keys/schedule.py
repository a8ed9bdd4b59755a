"""When a key is published, signs, verifies and goes: pure functions of its instants and of `now`.

Instants are POSIX seconds of the database's clock, durations are seconds. A phase is stored nowhere: every instance
that knows the same instants and the same time agrees without talking, and only making a key needs a lock.

    publish_at        sign_from            sign_until           verify_until
        |  published      |     signing        |    verifying        |  retired
        |<-publish_ahead->|<-rotation_period-->|<-- retention ------>|
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """Where a key is in its life."""

    PUBLISHED = "published"
    SIGNING = "signing"
    VERIFYING = "verifying"
    RETIRED = "retired"
    REVOKED = "revoked"


PUBLIC_PHASES = frozenset({Phase.PUBLISHED, Phase.SIGNING, Phase.VERIFYING})
"""The phases in which a key is in the JWK Set."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The instants of one key."""

    publish_at: float
    sign_from: float
    sign_until: float
    verify_until: float
    revoked_at: float | None = None

    def phase(self, now: float) -> Phase:
        """The phase at `now`. A key that is not yet to be published counts as published: it may be, it need not."""
        if self.revoked_at is not None and self.revoked_at <= now:
            return Phase.REVOKED
        if now < self.sign_from:
            return Phase.PUBLISHED
        if now < self.sign_until:
            return Phase.SIGNING
        return Phase.VERIFYING if now < self.verify_until else Phase.RETIRED

    def next_change(self, now: float) -> float | None:
        """The next instant after `now` at which the phase changes by itself, None when it never does again."""
        instants = (self.sign_from, self.sign_until, self.verify_until)
        ahead = [instant for instant in instants if instant > now]
        return None if self.phase(now) is Phase.REVOKED or not ahead else min(ahead)


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """The durations that make a lifetime.

    `retention` is how long a key verifies after it signed last: the longest token plus the clock skew that
    verifiers may have. `publish_ahead` is how long every verifier needs to have seen a key before it signs.
    """

    rotation_period: float
    publish_ahead: float
    retention: float

    def lifetime(self, *, publish_at: float, sign_from: float) -> Lifetime:
        sign_until = sign_from + self.rotation_period
        return Lifetime(publish_at, sign_from, sign_until, sign_until + self.retention)


def missing_lifetimes(existing: Iterable[Lifetime], now: float, policy: RotationPolicy) -> Sequence[Lifetime]:
    """The lifetimes of the keys to make at `now`: one that signs, and the one that signs after it.

    The successor is made as soon as its predecessor begins to sign, so it is published for a whole rotation period,
    never less than `publish_ahead`. Where no key can sign (the very first start, or all instances slept through the
    end of the last key), one signs at once: verifiers may then meet it before they refetch.
    """
    alive = sorted((life for life in existing if life.revoked_at is None), key=lambda life: life.sign_from)
    made: list[Lifetime] = []
    signing = next((life for life in alive if life.phase(now) is Phase.SIGNING), None)
    if signing is None:
        signing = policy.lifetime(publish_at=now, sign_from=now)
        made.append(signing)
    if not any(life.sign_from >= signing.sign_until for life in alive):
        sign_from = max(signing.sign_until, now + policy.publish_ahead)
        made.append(policy.lifetime(publish_at=now, sign_from=sign_from))
    return made
