"""JWTs that others signed (RFC 7519), taken apart from their compact serialization (RFC 7515 §7.1).

What is in one is believed only after `directory/key_sets.py` has verified the signature.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keys.jws import base64url

MAX_LENGTH = 16 * 1024
"""Characters. A longer one is refused before anything is decoded."""
_END_OF_TIME = 253_402_300_800
"""The first second of the year 10000: later dates do not convert, and milliseconds taken for seconds begin."""


class RefusedJwt(Exception):  # noqa: N818 - an answer rather than an error
    """The JWT is not accepted. The sentence says why, in the ASCII of RFC 6749 §5.2, and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class SignedJwt:
    """Header and claims as they stand there, and what was signed."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any] = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @property
    def typ(self) -> str:
        """The media type without `application/`, in lower case (RFC 7515 §4.1.9); empty when there is none."""
        typ = self.header.get("typ", "")
        return typ.lower().removeprefix("application/") if isinstance(typ, str) else "?"

    @property
    def audience(self) -> tuple[str, ...]:
        """`aud`, always as a tuple. Raises RefusedJwt."""
        aud = self.claims.get("aud", [])
        audience = (aud,) if isinstance(aud, str) else aud
        if not isinstance(audience, tuple | list) or not all(isinstance(name, str) for name in audience):
            raise RefusedJwt("The aud of the JWT is neither a string nor an array of strings.")
        return tuple(audience)

    def text(self, name: str) -> str:
        """A claim that must be there, as a string that is not empty, without NUL. Raises RefusedJwt."""
        value = self.claims.get(name)
        if not isinstance(value, str) or not value or "\0" in value:
            raise RefusedJwt(f"The {name} of the JWT is missing, or no string.")
        return value

    def instant(self, name: str) -> float | None:
        """A claim in POSIX seconds (RFC 7519 §2, NumericDate), if it is there. Raises RefusedJwt."""
        value = self.claims.get(name)
        if value is None:
            return None
        # bool is a kind of int in Python, but not in JSON; NaN is in no range
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _END_OF_TIME:
            raise RefusedJwt(f"The {name} of the JWT is no number of seconds.")
        return float(value)


def read_jwt(text: str) -> SignedJwt:
    """Takes a JWT apart, and verifies nothing. Raises RefusedJwt."""
    segments = text.split(".", 3) if len(text) <= MAX_LENGTH and text.isascii() else []
    if len(segments) != 3:
        raise RefusedJwt("The JWT is not in the compact serialization of a JWS, or too long.")
    signing_input, _, _ = text.rpartition(".")
    try:
        header, claims, signature = map(_decoded, segments)
        jwt = SignedJwt(_object(header), _object(claims), signing_input.encode(), signature)
    except (ValueError, RecursionError):
        raise RefusedJwt("The JWT is not well formed.") from None
    if not jwt.header.keys().isdisjoint({"crit", "b64", "zip", "enc"}):
        # RFC 7515 §4.1.11: none of these is understood. `zip` and `enc` belong to JWE (RFC 8725 §3.6).
        raise RefusedJwt("The header of the JWT asks for extensions that are not supported.")
    return jwt


def _decoded(segment: str) -> bytes:
    """Base64url without padding (RFC 7515 §2), in the one form that has no unused bits set."""
    data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    if base64url(data) != segment.encode():
        raise ValueError("not canonical")
    return data


def _object(data: bytes) -> dict[str, Any]:
    """A JSON object without repeated names, of which another reader might take the other, and without halves of
    surrogate pairs."""
    value = json.loads(data.decode(), object_pairs_hook=_unique)
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - one kind of error for one kind of fault
    json.dumps(value, ensure_ascii=False).encode()
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is repeated")
    return members
