"""When a key is published, signs, verifies and goes: pure functions of its instants and of `now`.

Instants are POSIX seconds of the database's clock, durations are seconds. A phase is stored nowhere: every instance
that knows the same instants and the same time agrees without talking, and only changing the instants needs a lock.

    publish_at        sign_from            sign_until           verify_until
        |  published      |     signing        |    verifying        |  retired
        |<-publish_ahead->|<-rotation_period-->|<---- retention ---->|

The keys that sign now or will are the *line*: each signs until the next one begins, so at every instant exactly one
key signs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar


class Phase(StrEnum):
    """Where a key is in its life."""

    PUBLISHED = "published"
    SIGNING = "signing"
    VERIFYING = "verifying"
    RETIRED = "retired"
    REVOKED = "revoked"


PUBLIC_PHASES = frozenset({Phase.PUBLISHED, Phase.SIGNING, Phase.VERIFYING})
"""The phases in which a key is in the JWK Set."""

PRIVATE_PHASES = frozenset({Phase.PUBLISHED, Phase.SIGNING})
"""The phases in which there is a use for the private half. After them it is destroyed."""

LONGEST_DEAFNESS = 7200.0
"""Seconds, twice those for which any settings let an instance sign without having read the key table."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The instants of one key."""

    publish_at: float
    sign_from: float
    sign_until: float
    verify_until: float
    revoked_at: float | None = None

    def phase(self, now: float) -> Phase:
        """The phase at `now`. A revocation counts from when one hears of it, whatever the time is said to be."""
        if self.revoked_at is not None:
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

    def withdrawn(self, now: float) -> "Lifetime":
        """The lifetime of a key that was published and is not to sign after all.

        It leaves the JWK Set, unless an instance that does not hear of it soon enough may sign with it as planned.
        """
        never_signs = self.sign_from - now > LONGEST_DEAFNESS
        return replace(self, sign_from=now, sign_until=now, verify_until=now if never_signs else self.verify_until)


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """The durations that make a lifetime.

    `publish_ahead` is how long every verifier needs to have seen a key before it signs. `retention` is how long a key
    verifies after it signed last: the longest token, the skew of verifiers' clocks, and `propagation`, within which
    every instance that reaches the database has read a change of the instants.
    """

    rotation_period: float
    publish_ahead: float
    retention: float
    propagation: float = 10.0

    def signing(self, life: Lifetime, sign_from: float, sign_until: float) -> Lifetime:
        """The same key, signing from and until other instants. `verify_until` only ever rises."""
        verify_until = max(life.verify_until, sign_until + self.retention)
        return replace(life, sign_from=sign_from, sign_until=sign_until, verify_until=verify_until)

    def new(self, *, publish_at: float, sign_from: float, sign_until: float | None = None) -> Lifetime:
        """The lifetime of a new key, that signs for a whole period unless told otherwise."""
        sign_until = sign_from + self.rotation_period if sign_until is None else sign_until
        return Lifetime(publish_at, sign_from, sign_until, sign_until + self.retention)


@dataclass(frozen=True, slots=True)
class KeySettings:
    """What new keys are like, and when they serve."""

    policy: RotationPolicy
    alg: str = "RS256"
    bits: int = 2048
    awaited: tuple[str, ...] = ()
    """Verifiers, by the name under which they fetch the JWK Set, for which a planned rotation is put off a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledKey:
    """What planning needs to know of a key. `asked_at` is when somebody asked by hand that it sign."""

    kid: str
    alg: str
    lifetime: Lifetime
    asked_at: float | None = None


Key = TypeVar("Key", bound=ScheduledKey)


def line(keys: Iterable[Key], now: float) -> Sequence[Key]:
    """The keys that sign now or will, in the order in which they do."""
    able = [key for key in keys if key.lifetime.phase(now) in PRIVATE_PHASES]
    return sorted(able, key=lambda key: key.lifetime.sign_from)
