"""The compact serialization of a JWS (RFC 7515 §7.1), taken apart without trusting any of it."""

from functools import lru_cache
from typing import Any, NamedTuple

from idp_verifier.encoding import decode_base64url, parse_object
from idp_verifier.errors import InvalidHeader, MalformedToken, WrongType

MAX_TOKEN_OCTETS = 16 * 1024
"""Larger tokens are refused before anything is decoded. HTTP servers rarely let through so large a header."""

# `crit` asks to understand extensions; we know none (RFC 7515 §4.1.11), and `b64` is nothing without it (RFC 7797
# §6). `zip` and `enc` belong to JWE: no compressed or encrypted token is ever opened (RFC 8725 §3.6).
_REFUSED_PARAMETERS = frozenset({"crit", "b64", "zip", "enc"})


class Header(NamedTuple):
    """What is kept of a JOSE header.

    What else it holds, above all `jwk`, `jku`, `x5c` and `x5u`, cannot influence verification, since nobody gets
    to see it (RFC 8725 §3.10).
    """

    alg: str
    kid: str
    typ: str


def split_compact(token: str | bytes, max_octets: int = MAX_TOKEN_OCTETS) -> tuple[bytes, bytes, bytes, bytes]:
    """Takes a token apart without looking into any part: header (still encoded), payload, signature, and what it
    is a signature of. Raises MalformedToken.
    """
    signing_input, _, signature = octets_of(token, max_octets).rpartition(b".")
    header, _, payload = signing_input.partition(b".")
    if b"." in payload:
        raise MalformedToken("the token has more than three parts; encrypted tokens are not accepted")
    if not header or not payload or not signature:
        raise MalformedToken("the token does not have three non-empty parts")
    try:
        return header, decode_base64url(payload), decode_base64url(signature), signing_input
    except ValueError:
        raise MalformedToken("the token is not strict base64url") from None


# One key's tokens all begin with the same octets. Forged headers can push that entry out, which costs the time
# that it saves, and no more memory than this number of tokens.
@lru_cache(maxsize=32)
def parse_header(segment: bytes) -> Header:
    """The header of a token whose key is named by `kid`. Raises MalformedToken or InvalidHeader."""
    parameters = parse_parameters(segment)
    return Header(*(text_parameter(parameters, name) for name in Header._fields))


def parse_parameters(segment: bytes) -> dict[str, Any]:
    """All parameters of a header, none of which asks for an extension. Raises MalformedToken or InvalidHeader."""
    try:
        parameters = parse_object(decode_base64url(segment))
    except ValueError:
        raise MalformedToken("the header is not strict JSON in strict base64url") from None
    if not _REFUSED_PARAMETERS.isdisjoint(parameters):
        raise InvalidHeader("the header has crit, b64, zip or enc, which are not supported")
    return parameters


def text_parameter(parameters: dict[str, Any], name: str) -> str:
    """The header parameter `name`. Raises InvalidHeader unless it is a string."""
    value = parameters.get(name)
    if not isinstance(value, str):
        raise InvalidHeader(f"the header has no {name}, or one that is not a string")
    return value


def demand_type(given: str, typ: str) -> None:
    """Raises WrongType unless the header's `typ`, as `given`, is `typ`: with or without `application/`.

    Media types compare without regard to case, and the prefix is optional (RFC 7515 §4.1.9, RFC 9068 §4).
    """
    if given != typ and given.lower().removeprefix("application/") != typ:
        raise WrongType("the token is of another type than the one expected here")


def text_of(token: str | bytes, max_octets: int = MAX_TOKEN_OCTETS) -> str:
    """The token as text, of which nothing but the size is known to be right. Raises MalformedToken."""
    if not isinstance(token, (str, bytes)):
        raise MalformedToken("the token is not a string")
    if len(token) > max_octets:
        raise MalformedToken(f"the token is larger than {max_octets // 1024} KiB")
    return token if isinstance(token, str) else token.decode("latin-1")


def octets_of(token: str | bytes, max_octets: int = MAX_TOKEN_OCTETS) -> bytes:
    """The token as it travels. Raises MalformedToken for what is larger, or is no ASCII text."""
    try:
        return text_of(token, max_octets).encode("ascii")
    except UnicodeEncodeError:
        raise MalformedToken("the token has characters beyond ASCII") from None
