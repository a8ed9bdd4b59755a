"""A set of keys, and the verification of a token with it: pure, from bytes and an instant to claims."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature as BadSignature

from idp_verifier.claims import Claims, check, demand_time, not_before
from idp_verifier.encoding import parse_object
from idp_verifier.errors import (
    InvalidHeader,
    InvalidKey,
    InvalidKeySet,
    InvalidSignature,
    MalformedToken,
    PrivateKeyPublished,
    UnknownKey,
)
from idp_verifier.jwk import VerificationKey, parse_key
from idp_verifier.jws import MAX_TOKEN_OCTETS, demand_type, parse_header, split_compact

DEFAULT_LEEWAY = 30.0
"""Seconds. The issuer plans for clocks that differ by as much (its IDP_CLOCK_SKEW): less would refuse good
tokens, more would accept tokens beyond the time for which the issuer keeps their key published."""


class KeySet(Mapping[str, VerificationKey]):
    """Verification keys by `kid`. Immutable.

    `skipped` says, for each key of a JWK Set that is not used, why.
    """

    __slots__ = ("_keys", "skipped")

    def __init__(self, keys: Iterable[VerificationKey], skipped: Iterable[str] = ()) -> None:
        """Raises InvalidKeySet if two keys have the same `kid`: which one is meant would be a guess."""
        self._keys: dict[str, VerificationKey] = {}
        self.skipped = tuple(skipped)
        for key in keys:
            if key.kid in self._keys:
                raise InvalidKeySet("two keys have the same kid")
            self._keys[key.kid] = key

    @classmethod
    def parse(cls, document: bytes | Mapping[str, Any]) -> "KeySet":
        """Reads a JWK Set (RFC 7517 §5), from its JSON or as a mapping.

        A key that cannot be used here is skipped, as that section asks: an issuer may publish keys for others
        too. A set that leaks a private key, uses a `kid` twice or has nothing usable is refused as a whole,
        with InvalidKeySet.
        """
        jwks = _jwks_of(document)
        _demand_unique_kids(jwks)
        keys, skipped = [], []
        for position, jwk in enumerate(jwks):
            try:
                keys.append(parse_key(jwk))
            except PrivateKeyPublished:
                raise InvalidKeySet("the key set holds a private or symmetric key") from None
            except InvalidKey as reason:
                skipped.append(f"key {position}: {reason}")
        if not keys:
            raise InvalidKeySet("the key set has no usable key")
        return cls(keys, skipped)

    def carrying_over(self, before: "KeySet") -> "KeySet":
        """The same set, with the objects of `before` for keys that have not changed.

        So whether a key is still there is a question of identity, and what it has verified stays verified.
        """
        keys = (before[kid] if before.get(kid) == key else key for kid, key in self.items())
        return KeySet(keys, self.skipped)

    def __getitem__(self, kid: str) -> VerificationKey:
        return self._keys[kid]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    # As Mapping has it, but without raising and catching: it is asked for every token.
    def get(self, kid: str, default: Any = None) -> Any:
        return self._keys.get(kid, default)

    def __len__(self) -> int:
        return len(self._keys)


def verify_token(
    token: str | bytes,
    keyset: Mapping[str, VerificationKey],
    *,
    issuer: str,
    audience: str | Collection[str],
    now: float,
    leeway: float = DEFAULT_LEEWAY,
    typ: str = "at+jwt",
) -> Claims:
    """Checks header, signature and claims of `token` in one call (RFC 8725 §3, RFC 9068 §4).

    `audience` is what this resource is called: the token must be for one of these names. `now` is in POSIX
    seconds. `typ` is the media type without `application/`, in lower case. What takes more than a key is left to
    the caller: a token that is bound to a key (`cnf`) or has a `status` is verified like any other. Raises
    VerificationError.
    """
    _, members = authenticate(token, keyset, typ=typ)
    names = {audience} if isinstance(audience, str) else audience
    check(members, issuer=issuer, audience=names, typ=typ)
    demand_time(members["exp"], not_before(members), now, leeway)
    return Claims(members)


def authenticate(
    token: str | bytes,
    keyset: Mapping[str, VerificationKey],
    *,
    typ: str,
    max_octets: int = MAX_TOKEN_OCTETS,
) -> tuple[VerificationKey, dict[str, Any]]:
    """The key that has signed `token`, and what it has signed, of which nothing has been checked.

    Raises VerificationError, but no InvalidClaims.
    """
    jws = split_compact(token, max_octets)
    header = parse_header(jws.header)
    demand_type(header.typ, typ)
    key = keyset.get(header.kid)
    if key is None:
        raise UnknownKey("the issuer has published no key of this kid")
    if header.alg != key.alg:
        raise InvalidHeader("the alg is not that of the key")
    try:
        key.check(jws.signature, jws.signing_input)
    except (BadSignature, ValueError):
        raise InvalidSignature("the signature is not valid") from None
    try:
        return key, parse_object(jws.payload)
    except ValueError:
        raise MalformedToken("the claims are not a strict JSON object") from None


def _jwks_of(document: bytes | Mapping[str, Any]) -> list[dict[str, Any]]:
    try:
        members = parse_object(document) if isinstance(document, bytes) else document
    except ValueError:
        raise InvalidKeySet("the key set is not a strict JSON object") from None
    jwks = members.get("keys")
    if not isinstance(jwks, list) or not all(isinstance(jwk, dict) for jwk in jwks):
        raise InvalidKeySet("the key set has no list of keys")
    return jwks


def _demand_unique_kids(jwks: list[dict[str, Any]]) -> None:
    kids = [kid for jwk in jwks if isinstance(kid := jwk.get("kid"), str)]
    if len(set(kids)) != len(kids):
        raise InvalidKeySet("two keys have the same kid")
