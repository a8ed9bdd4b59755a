"""The signature algorithms (RFC 7518 §3, RFC 8037 §3.1): how a key of each is made and signs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

_SHA256 = SHA256()
_PKCS1 = padding.PKCS1v15()
_PSS = padding.PSS(padding.MGF1(_SHA256), salt_length=32)  # as long as the hash (RFC 7518 §3.5)
_ECDSA = ec.ECDSA(_SHA256)

Sign = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One algorithm. `bits` only means something for RSA. One that is `quick` signs in less time than it takes to
    have another thread do it: some 40 µs, where RSA takes ten times as long and more."""

    generate: Callable[[int], PrivateKeyTypes]
    signer: Callable[[PrivateKeyTypes], Sign]
    quick: bool = False


def _generate_rsa(bits: int) -> PrivateKeyTypes:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def _rs256(private: PrivateKeyTypes) -> Sign:
    assert isinstance(private, rsa.RSAPrivateKey)
    return lambda message: private.sign(message, _PKCS1, _SHA256)


def _ps256(private: PrivateKeyTypes) -> Sign:
    assert isinstance(private, rsa.RSAPrivateKey)
    return lambda message: private.sign(message, _PSS, _SHA256)


def _es256(private: PrivateKeyTypes) -> Sign:
    assert isinstance(private, ec.EllipticCurvePrivateKey)

    def sign(message: bytes) -> bytes:
        """JWS wants the two numbers side by side, not their DER (RFC 7518 §3.4)."""
        r, s = decode_dss_signature(private.sign(message, _ECDSA))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return sign


def _eddsa(private: PrivateKeyTypes) -> Sign:
    assert isinstance(private, ed25519.Ed25519PrivateKey)
    return private.sign


ALGORITHMS: Mapping[str, Algorithm] = {
    "RS256": Algorithm(_generate_rsa, _rs256),
    "PS256": Algorithm(_generate_rsa, _ps256),
    "ES256": Algorithm(lambda _: ec.generate_private_key(ec.SECP256R1()), _es256, quick=True),
    "EdDSA": Algorithm(lambda _: ed25519.Ed25519PrivateKey.generate(), _eddsa, quick=True),
}
"""By their registered names."""
