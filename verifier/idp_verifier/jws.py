"""The compact serialization of a JWS (RFC 7515 §7.1), taken apart without trusting any of it."""

from functools import lru_cache
from typing import Any, NamedTuple

from idp_verifier.encoding import decode_base64url, parse_object
from idp_verifier.errors import InvalidHeader, MalformedToken, WrongType

MAX_TOKEN_OCTETS = 16 * 1024
"""Larger tokens are refused before anything is decoded. HTTP servers rarely let through so large a header."""

# `crit` asks to understand extensions; we know none (RFC 7515 §4.1.11). `zip` and `enc` belong to JWE: no
# compressed or encrypted token is ever opened (RFC 8725 §3.6).
_REFUSED_PARAMETERS = frozenset({"crit", "zip", "enc"})


class Header(NamedTuple):
    """What is kept of a JOSE header.

    What else it holds, above all `jwk`, `jku`, `x5c` and `x5u`, cannot influence verification, since nobody gets
    to see it (RFC 8725 §3.10).
    """

    alg: str
    kid: str
    typ: str


class CompactJws(NamedTuple):
    """A parsed token, of which nothing has been verified yet."""

    header: Header
    payload: bytes
    signature: bytes
    signing_input: bytes


def parse_compact(token: str | bytes) -> CompactJws:
    """Takes a token apart. Raises MalformedToken or InvalidHeader; never looks for a key."""
    signing_input, _, signature = _octets_of(token).rpartition(b".")
    header, _, payload = signing_input.partition(b".")
    if b"." in payload:
        raise MalformedToken("the token has more than three parts; encrypted tokens are not accepted")
    if not header or not payload or not signature:
        raise MalformedToken("the token does not have three non-empty parts")
    try:
        return CompactJws(_parse_header(header), decode_base64url(payload), decode_base64url(signature), signing_input)
    except ValueError:
        raise MalformedToken("the token is not strict base64url with a JSON header") from None


# One key's tokens all begin with the same octets. Forged headers can push that entry out, which costs the time
# that it saves, and no more memory than this number of tokens.
@lru_cache(maxsize=32)
def _parse_header(segment: bytes) -> Header:
    parameters = parse_object(decode_base64url(segment))
    if not _REFUSED_PARAMETERS.isdisjoint(parameters):
        raise InvalidHeader("the header has crit, zip or enc, which are not supported")
    return Header(_text(parameters, "alg"), _text(parameters, "kid"), _text(parameters, "typ"))


def demand_type(header: Header, typ: str) -> None:
    """Raises WrongType unless the header's `typ` is `typ`, a media type with or without `application/`.

    Media types compare without regard to case, and the prefix is optional (RFC 7515 §4.1.9, RFC 9068 §4).
    """
    if header.typ != typ and header.typ.lower().removeprefix("application/") != typ:
        raise WrongType("the token is of another type than the one expected here")


def _octets_of(token: str | bytes) -> bytes:
    if not isinstance(token, str | bytes):
        raise MalformedToken("the token is not a string")
    if len(token) > MAX_TOKEN_OCTETS:
        raise MalformedToken("the token is larger than 16 KiB")
    try:
        return token.encode("ascii") if isinstance(token, str) else token
    except UnicodeEncodeError:
        raise MalformedToken("the token has characters beyond ASCII") from None


def _text(parameters: dict[str, Any], name: str) -> str:
    value = parameters.get(name)
    if not isinstance(value, str):
        raise InvalidHeader(f"the header has no {name}, or one that is not a string")
    return value
