"""A key pair: its JWK (RFC 7517), its thumbprint as kid (RFC 7638), its private half in PKCS #8."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from keys.algorithms import ALGORITHMS, Sign

PublicJwk = Mapping[str, Any]
MIN_RSA_BITS = 2048  # RFC 7518 §3.3
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a public key of an algorithm looks like (RFC 7518 §6, RFC 8037 §2)."""

    type: type[RSAKey | ECKey | OKPKey]
    kty: str
    members: tuple[str, ...]
    crv: str | None = None


_RSA = _Kind(RSAKey, "RSA", ("n", "e"))
_KINDS: Mapping[str, _Kind] = {
    "RS256": _RSA,
    "PS256": _RSA,
    "ES256": _Kind(ECKey, "EC", ("crv", "x", "y"), "P-256"),
    "EdDSA": _Kind(OKPKey, "OKP", ("crv", "x"), "Ed25519"),
}


class NotAPublicKeyError(ValueError):
    """A JWK is not the public key of a signature algorithm of ours."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A new signing key. `private` is PKCS #8 in DER, to be sealed at once."""

    kid: str
    alg: str
    public_jwk: PublicJwk
    private: bytes = field(repr=False)


def generate(alg: str, bits: int) -> KeyPair:
    """Makes a key pair. RSA takes a good part of a second of CPU: not for the event loop."""
    private = ALGORITHMS[alg].generate(bits)
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    jwk = public_jwk({**_KINDS[alg].type.import_key(public).as_dict(private=False), "alg": alg})
    return KeyPair(jwk["kid"], alg, jwk, der)


def public_jwk(jwk: Mapping[str, Any]) -> PublicJwk:
    """The JWK as we publish it: the public members alone, `kid`, `use` and `alg`. Raises NotAPublicKeyError.

    A `kid` that is there stays: a predecessor's tokens name it.
    """
    alg = str(jwk.get("alg"))
    kind = _KINDS.get(alg)
    if kind is None or jwk.get("kty") != kind.kty or jwk.get("crv") != kind.crv:
        raise NotAPublicKeyError(f"A key must have alg, one of {', '.join(_KINDS)}, and the kty and crv of that.")
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise NotAPublicKeyError("The key has its private half with it; give its public members alone.")
    members = {"kty": kind.kty, **{name: jwk.get(name) for name in kind.members}}
    thumbprint = _thumbprint(kind, members)
    return {**members, "kid": str(jwk.get("kid") or thumbprint), "use": "sig", "alg": alg}


def _thumbprint(kind: _Kind, members: Mapping[str, Any]) -> str:
    """RFC 7638. Raises NotAPublicKeyError if the members are no key, or a weak one."""
    try:
        key = kind.type.import_key(dict(members))
        public = key.public_key
    except (ValueError, JoseError) as error:
        raise NotAPublicKeyError(f"The public key cannot be read: {error}") from None
    if isinstance(public, RSAPublicKey) and public.key_size < MIN_RSA_BITS:
        raise NotAPublicKeyError(f"The key has {public.key_size} bits; RSA needs {MIN_RSA_BITS} (RFC 7518 §3.3).")
    return key.thumbprint()


def load_signer(alg: str, der: bytes) -> Sign:
    """What signs with a private half that `generate` made.

    The seal has already proved that these are the bytes we wrote, so the primality checks, 50 ms of them, are skipped.
    """
    private: PrivateKeyTypes = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    return ALGORITHMS[alg].signer(private)
