"""JWS compact serialisation (RFC 7515 §3.1), written out: on the way of every token it is all there is besides RSA."""

from binascii import b2a_base64
from collections.abc import Mapping

import orjson

_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def base64url(data: bytes) -> bytes:
    """Base64url without padding (RFC 7515 §2)."""
    return b2a_base64(data, newline=False).rstrip(b"=").translate(_URL_SAFE)


def header_segment(*, alg: str, kid: str, typ: str) -> bytes:
    """The encoded JOSE header."""
    return base64url(orjson.dumps({"typ": typ, "alg": alg, "kid": kid}))


def signing_input(header: bytes, claims: Mapping[str, object]) -> bytes:
    """What is signed: the encoded header and claims, joined by a dot."""
    return header + b"." + base64url(orjson.dumps(claims))
