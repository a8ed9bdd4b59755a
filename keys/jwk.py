"""A key pair: its JWK (RFC 7517, RFC 7518 §6.3), its thumbprint as kid (RFC 7638), its private half in PKCS #8."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from joserfc.jwk import RSAKey

PublicJwk = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A new signing key. `private` is PKCS #8 in DER, to be sealed at once."""

    kid: str
    alg: str
    public_jwk: PublicJwk
    private: bytes

    def __repr__(self) -> str:
        return f"KeyPair(kid={self.kid!r}, alg={self.alg!r})"


def generate_rsa(bits: int, alg: str = "RS256") -> KeyPair:
    """Makes an RSA key. Takes a good part of a second of CPU: not for the event loop."""
    private = generate_private_key(public_exponent=65537, key_size=bits)
    jwk = RSAKey.import_key(private.public_key())
    kid = jwk.thumbprint()
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair(kid, alg, {**jwk.as_dict(private=False), "kid": kid, "use": "sig", "alg": alg}, der)


def load_private(der: bytes) -> RSAPrivateKey:
    """Loads the private half that `generate_rsa` made.

    The seal has already proved that these are the bytes we wrote, so the primality checks, 50 ms of them, are skipped.
    """
    key = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, RSAPrivateKey)
    return key
