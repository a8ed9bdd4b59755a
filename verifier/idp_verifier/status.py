"""Token Status Lists (draft-ietf-oauth-status-list): whether a token has been revoked, without a call per request.

A token carries the address of a list and an index into it; the list is a signed, compressed array of bits.
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from idp_verifier.claims import is_instant
from idp_verifier.encoding import decode_base64url
from idp_verifier.errors import InvalidStatus, RevokedToken, StatusUnavailable
from idp_verifier.jwk import VerificationKey

MAX_LIST_OCTETS = 4 * 1024 * 1024
"""To what a list may inflate, at most: enough for 33 million tokens of one bit each."""
MAX_LIST_TOKEN_OCTETS = 4 * 1024 * 1024

_VALID = 0
_DEFAULT_PORTS = {"http": 80, "https": 443}


class StatusReference(NamedTuple):
    """Where the status of a token is to be looked up (§6.2)."""

    uri: str
    idx: int


@dataclass(frozen=True, slots=True)
class StatusList:
    """A list as `key` has signed it: `bits` for each token, in `octets` from the lowest bit up (§4.1).

    `exp` (POSIX seconds) ends its use; `ttl` is for how many seconds it need not be fetched again. Both may be None.
    """

    key: VerificationKey
    bits: int
    octets: bytes
    exp: float | None
    ttl: float | None

    def demand_valid(self, idx: int) -> None:
        """Raises RevokedToken unless the status at `idx` is VALID; InvalidStatus if there is no such index."""
        position, place = divmod(idx * self.bits, 8)
        if position >= len(self.octets):
            raise InvalidStatus("the index of the token lies outside of the status list")
        if self.octets[position] >> place & (1 << self.bits) - 1 != _VALID:
            raise RevokedToken("the token has been revoked or suspended")


def status_reference(members: Mapping[str, Any], issuer: str) -> StatusReference | None:
    """What a token with these claims says of its status; None if it has none.

    Raises InvalidStatus, also for a mechanism that is not known here, and for a list at another origin than the
    issuer's: a token's claim is not to send us anywhere.
    """
    if "status" not in members:
        return None
    match members["status"]:
        case {"status_list": {"uri": str(uri), "idx": int(idx)}} if type(idx) is int and idx >= 0:
            if _URI_CHARACTERS.fullmatch(uri) and _is_of(issuer, uri):
                return StatusReference(uri, idx)
            raise InvalidStatus("the status list of the token is not at its issuer")
    raise InvalidStatus("the status of the token is not one that can be checked")


def read_status_list(
    key: VerificationKey, members: Mapping[str, Any], *, issuer: str, uri: str, now: float, leeway: float
) -> StatusList:
    """The list in the claims of a Status List Token that `key` has signed (§5.1, §8.3). Raises StatusUnavailable.

    `now` is in POSIX seconds; `leeway`, in seconds, is how far the issuer's clock may be ahead of it.
    """
    exp, ttl, iat = members.get("exp"), members.get("ttl"), members.get("iat")
    if members.get("sub") != uri or members.get("iss", issuer) != issuer:
        raise StatusUnavailable("it is another list, or that of another issuer")
    if not is_instant(iat) or iat > now + leeway:
        raise StatusUnavailable("it does not say since when it holds, or comes from the future")
    if exp is not None and not (is_instant(exp) and now < exp):
        raise StatusUnavailable("it has expired")
    if ttl is not None and not (is_instant(ttl) and ttl > 0):
        raise StatusUnavailable("its ttl is not a positive number")
    match members.get("status_list"):
        case {"bits": int(bits), "lst": str(lst)} if type(bits) is int and bits in {1, 2, 4, 8}:
            return StatusList(key, bits, _inflate(lst), exp, ttl)
    raise StatusUnavailable("it has no list")


def _inflate(lst: str) -> bytes:
    inflater = zlib.decompressobj()
    try:
        octets = inflater.decompress(decode_base64url(lst.encode("ascii")), MAX_LIST_OCTETS + 1)
    except (ValueError, zlib.error) as problem:
        raise StatusUnavailable("it is not compressed as ZLIB") from problem
    if len(octets) > MAX_LIST_OCTETS or not inflater.eof or inflater.unused_data:
        raise StatusUnavailable("it is too large, or cut off, or followed by something else")
    return octets


def _is_of(issuer: str, uri: str) -> bool:
    try:
        theirs, ours = urlsplit(uri), urlsplit(issuer)
        return "@" not in theirs.netloc and not theirs.fragment and _origin(theirs) == _origin(ours)
    except ValueError:
        return False


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)


_URI_CHARACTERS = re.compile(r"[!#-~]+")  # visible ASCII without quotation marks: it ends up in sentences
