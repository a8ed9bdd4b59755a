"""Refresh tokens (RFC 6749 §6, RFC 9700 §4.14.2): what happens when one of a family is presented. Pure decisions.

All tokens that follow one another from one login are a family. It is one row: the digest of its current token, that
of the one before, when it was swapped, and the successor, sealed so that only the token before can open it. A client
whose answer was lost repeats the token it has, and gets the same successor again.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from uuid import UUID

from idp.protocol.errors import InvalidScopeError, InvalidTargetError, OAuth2Error


@dataclass(frozen=True, slots=True)
class RefreshPolicy:
    """Durations in seconds. `retry_window` 0 makes every token good for strictly one use."""

    ttl: int = 30 * 86400
    idle_ttl: int = 14 * 86400
    retry_window: int = 30


NO_TOKEN = b""
"""The digest of no token: a family of a login without refresh tokens is there to end its access tokens with it."""


@dataclass(frozen=True, slots=True)
class Family:
    """A family, as the database keeps it. Instants are POSIX seconds."""

    id: UUID
    client_id: str
    user_id: UUID
    scope: tuple[str, ...]
    audience: tuple[str, ...]
    auth_time: float
    amr: tuple[str, ...]
    current_digest: bytes
    previous_digest: bytes | None
    rotated_at: float | None
    sealed_successor: bytes | None
    idle_until: float
    expires_at: float
    revoked_at: float | None = None
    dpop_jkt: str | None = None
    """The thumbprint of the key that every refresh has to prove; None where client authentication does as much."""

    def is_alive(self, now: float) -> bool:
        return self.revoked_at is None and now < self.expires_at and now < self.idle_until


class Presentation(Enum):
    """What presenting a token of a family means."""

    CURRENT = auto()
    """The token that is good: it is swapped for its successor."""
    REPEATED = auto()
    """The one before, soon after it was swapped, its successor unused: the answer was lost."""
    REPLAYED = auto()
    """Any other of the family: somebody has a copy. The family ends."""
    FOREIGN = auto()
    """Another client has it. Nothing changes, or whoever finds a token could end what is its owner's."""
    UNPROVED = auto()
    """It is bound to a key, and no proof of that key came with it. Nothing changes, for the same reason."""
    ENDED = auto()
    """The family has ended: nothing changes."""


def presentation(
    family: Family, digest: bytes, client_id: str, dpop_jkt: str | None, now: float, retry_window: int
) -> Presentation:
    """Decides. `digest` is of a token that is proved to be of this family, `dpop_jkt` of the key that was proved."""
    if not family.is_alive(now):
        return Presentation.ENDED
    if family.client_id != client_id:
        return Presentation.FOREIGN
    if family.dpop_jkt not in (None, dpop_jkt):
        return Presentation.UNPROVED
    if hmac.compare_digest(family.current_digest, digest):
        return Presentation.CURRENT
    if _is_repeated(family, digest, now, retry_window):
        return Presentation.REPEATED
    return Presentation.REPLAYED


def _is_repeated(family: Family, digest: bytes, now: float, retry_window: int) -> bool:
    """The window runs from the first swap and is never extended: a repetition changes nothing."""
    if family.previous_digest is None or family.rotated_at is None or family.sealed_successor is None:
        return False
    return hmac.compare_digest(family.previous_digest, digest) and now < family.rotated_at + retry_window


def excess(family: Family, scope: Sequence[str], audience: Sequence[str]) -> OAuth2Error | None:
    """The refusal for whoever asks for more than was granted (R12), None for others. Nothing asked for is no excess."""
    if not set(scope) <= set(family.scope):
        return InvalidScopeError("The scope is more than what was granted.")
    if not set(audience) <= set(family.audience):
        return InvalidTargetError("The resource is not one that was granted.")
    return None
