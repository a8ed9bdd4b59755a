"""Token Status Lists (draft-ietf-oauth-status-list-21): where the status of a token is, and how a list is written.

A token names a list and an index into it; the list has one bit for each. So a verifier learns of revocations from one
small document, and nobody learns which token it has before it.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from keys.jws import base64url

LIST_TYPE = "statuslist+jwt"
"""§5.1, a media type without `application/`."""
LIST_SIZE = 1 << 20
"""Indices of a list: 128 KiB before compression. Few lists are alive at once, each a crowd to hide in (§12.1)."""
LIST_TTL = 30
"""Seconds after which a list is made anew. Who keeps one for as long after fetching it, which is what `ttl` says
(§13.7), sees a revocation within twice that."""
LIST_GRACE = 2 * LIST_TTL
"""Seconds for which a list outlives a token that was issued with it: however old it was when it was fetched, and
however long ago that was, it lasts through an outage of ours until that token expires."""

_BITS = 1  # §7.1: 0 is VALID, 1 is INVALID; nothing of ours is suspended
_PATH = "/status/"
_LONGEST_ID = 18  # digits that fit the database's bigint


@dataclass(frozen=True, slots=True)
class Status:
    """A token's own place in the lists. Whatever has it is good no longer than `expires_at`, in POSIX seconds."""

    list_id: int
    idx: int
    expires_at: float

    def claim(self, issuer: str) -> dict[str, Any]:
        """The value of the token's claim `status` (§6.2)."""
        return {"status_list": {"idx": self.idx, "uri": list_uri(issuer, self.list_id)}}


DrawStatus = Callable[[], Status | None]
"""Gives a place that no other living token has; None where tokens have none. Raises TemporarilyUnavailableError."""


def no_status() -> None:
    """For an issuer whose tokens have no status."""


def list_uri(issuer: str, list_id: int) -> str:
    return f"{issuer}{_PATH}{list_id}"


def parse_list_id(name: str) -> int | None:
    """The list that is called so; None for what is no name of a list."""
    list_id = int(name) if name.isdecimal() and len(name) <= _LONGEST_ID else None
    return list_id if str(list_id) == name else None


def status_of(claims: Mapping[str, Any], issuer: str) -> Status | None:
    """The place that a token with these claims has in our lists; None if it has none."""
    match claims.get("status"):
        case {"status_list": {"idx": int(idx), "uri": str(uri)}} if 0 <= idx < LIST_SIZE:
            list_id = parse_list_id(uri.removeprefix(issuer + _PATH))
            if list_id is not None and uri == list_uri(issuer, list_id):
                return Status(list_id, idx, claims["exp"])
    return None


def status_list(revoked: Iterable[int]) -> dict[str, Any]:
    """The list in which these indices are INVALID and all others VALID (§4.2): the first is an octet's lowest bit."""
    octets = bytearray(LIST_SIZE // 8)
    for idx in revoked:
        octets[idx >> 3] |= 1 << (idx & 7)
    return {"bits": _BITS, "lst": base64url(zlib.compress(octets, 9)).decode()}


def list_claims(issuer: str, list_id: int, lst: Mapping[str, Any], *, now: int, lifetime: int) -> dict[str, Any]:
    """The claims of a Status List Token (§5.1). `lifetime` is in seconds."""
    return {
        "iss": issuer,
        "sub": list_uri(issuer, list_id),
        "iat": now,
        "exp": now + lifetime,
        "ttl": LIST_TTL,
        "status_list": lst,
    }
