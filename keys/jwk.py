"""A key pair: its JWK (RFC 7517), its thumbprint as kid (RFC 7638), its private half in PKCS #8."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from joserfc.jwk import ECKey, OKPKey, RSAKey

from keys.algorithms import ALGORITHMS, Sign

PublicJwk = Mapping[str, Any]
_KINDS: Mapping[str, type[RSAKey | ECKey | OKPKey]] = {
    "RS256": RSAKey,
    "PS256": RSAKey,
    "ES256": ECKey,
    "EdDSA": OKPKey,
}
_PUBLIC_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}


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
    jwk = public_jwk({**_KINDS[alg].import_key(public).as_dict(private=False), "alg": alg})
    return KeyPair(jwk["kid"], alg, jwk, der)


def public_jwk(jwk: Mapping[str, Any]) -> PublicJwk:
    """The JWK as we publish it: the public members alone, `kid`, `use` and `alg`. Raises NotAPublicKeyError.

    A `kid` that is there stays: a predecessor's tokens name it.
    """
    alg, kind = str(jwk.get("alg")), _PUBLIC_MEMBERS.get(str(jwk.get("kty")))
    if alg not in _KINDS or kind is None:
        raise NotAPublicKeyError(f"A public key must have a known kty, and alg as one of: {', '.join(_KINDS)}.")
    members = {"kty": jwk["kty"], **{name: jwk.get(name) for name in kind}}
    try:
        thumbprint = _KINDS[alg].import_key(members).thumbprint()
    except ValueError as error:
        raise NotAPublicKeyError(f"The public key cannot be read: {error}") from None
    return {**members, "kid": str(jwk.get("kid") or thumbprint), "use": "sig", "alg": alg}


def load_signer(alg: str, der: bytes) -> Sign:
    """What signs with a private half that `generate` made.

    The seal has already proved that these are the bytes we wrote, so the primality checks, 50 ms of them, are skipped.
    """
    private: PrivateKeyTypes = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    return ALGORITHMS[alg].signer(private)
