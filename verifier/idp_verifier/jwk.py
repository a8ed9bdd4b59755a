"""JSON Web Keys (RFC 7517, RFC 7518 §6, RFC 8037), prepared once for many verifications.

A key is bound to one algorithm (RFC 8725 §3.1) when it is read. A token's header can agree with it or be
refused; it never chooses.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from idp_verifier.encoding import decode_base64url, encode_base64url
from idp_verifier.errors import InvalidKey, PrivateKeyPublished

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
Check = Callable[[bytes, bytes], None]

# RFC 7518 §3.3 demands 2048. The ceiling keeps one verification cheap whatever is published.
_RSA_BITS = range(2048, 8192 + 1)
# FIPS 186-5 §5.1 bounds e from below; OpenSSL refuses e above 64 bits for moduli of more than 3072 bits.
_RSA_EXPONENTS = range(65537, 2**64, 2)

_SHA256_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
"""What stands before a SHA-256 digest: RFC 8017 §9.2, note 1."""
_P256_OCTETS = 32
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key with its one algorithm. Equal keys have equal names, algorithms and numbers.

    `check(signature, signing_input)` raises cryptography's InvalidSignature, or ValueError.
    """

    kid: str
    alg: str
    public_key: PublicKey = field(hash=False, repr=False)
    check: Check = field(compare=False, repr=False)


def parse_key(jwk: Mapping[str, Any]) -> VerificationKey:
    """Reads one JWK. Raises InvalidKey; PrivateKeyPublished if it holds more than a public key."""
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise PrivateKeyPublished("the key holds private members")
    _demand_purpose(jwk)
    reader = _READERS.get(_text(jwk, "kty"))
    if reader is None:
        raise InvalidKey("the kty is not supported")
    try:
        public_key = reader(jwk)
    except InvalidKey:
        raise
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidKey("the members are not those of a public key") from None
    return prepare_key(_text(jwk, "kid"), _text(jwk, "alg"), public_key)


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """The SHA-256 thumbprint of a public key (RFC 7638 §3), for a JWK that `parse_key` has accepted."""
    members = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True).encode()
    return encode_base64url(sha256(canonical).digest())


def prepare_key(kid: str, alg: str, public_key: PublicKey) -> VerificationKey:
    """Binds a public key to its algorithm. Raises InvalidKey if they do not fit, or the key is weak."""
    prepare = _ALGORITHMS.get(alg)
    if prepare is None:
        raise InvalidKey("the alg is not supported")
    return VerificationKey(kid, alg, public_key, prepare(public_key))


def _demand_purpose(jwk: Mapping[str, Any]) -> None:
    if jwk.get("use", "sig") != "sig":
        raise InvalidKey("the use is not sig")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise InvalidKey("the key_ops do not include verify")


def _text(jwk: Mapping[str, Any], name: str) -> str:
    value = jwk.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidKey(f"{name} is missing")
    return value


def _octets(jwk: Mapping[str, Any], name: str) -> bytes:
    return decode_base64url(_text(jwk, name).encode("ascii"))


# kty and crv: from members to a public key


def _read_rsa(jwk: Mapping[str, Any]) -> rsa.RSAPublicKey:
    n, e = (int.from_bytes(_octets(jwk, name)) for name in ("n", "e"))
    _demand_strong_rsa(n.bit_length(), e)
    return rsa.RSAPublicNumbers(e, n).public_key()


def _read_ec(jwk: Mapping[str, Any]) -> ec.EllipticCurvePublicKey:
    if jwk.get("crv") != "P-256":
        raise InvalidKey("the crv is not supported")
    x, y = _octets(jwk, "x"), _octets(jwk, "y")
    if not len(x) == len(y) == _P256_OCTETS:  # RFC 7518 §6.2.1.2: the full size, leading zeros included
        raise InvalidKey("the coordinates do not have the size of the curve")
    return ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), ec.SECP256R1()).public_key()


def _read_okp(jwk: Mapping[str, Any]) -> ed25519.Ed25519PublicKey:
    if jwk.get("crv") != "Ed25519":
        raise InvalidKey("the crv is not supported")
    return ed25519.Ed25519PublicKey.from_public_bytes(_octets(jwk, "x"))


_READERS: dict[str, Callable[[Mapping[str, Any]], PublicKey]] = {
    "RSA": _read_rsa,
    "EC": _read_ec,
    "OKP": _read_okp,
}

# RFC 7638 §3.2, RFC 8037 §2
_THUMBPRINT_MEMBERS = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}


# alg: from a public key to the check of a signature


def _demand_strong_rsa(bits: int, exponent: int) -> None:
    if bits not in _RSA_BITS:
        raise InvalidKey("the RSA modulus has fewer than 2048 or more than 8192 bits")
    if exponent not in _RSA_EXPONENTS:
        raise InvalidKey("the RSA exponent is even, or out of range")


def _strong_rsa(key: PublicKey) -> rsa.RSAPublicKey:
    if not isinstance(key, rsa.RSAPublicKey):
        raise InvalidKey("the alg does not fit the key")
    _demand_strong_rsa(key.key_size, key.public_numbers().e)
    return key


# Both by hashlib's digest, since cryptography takes a microsecond longer to set up its own.


def _rs256(key: PublicKey) -> Check:
    """RSASSA-PKCS1-v1_5, as RFC 8017 §8.2.2 has it: what was signed is made anew, and compared as a whole.

    cryptography's `verify` does that too, two microseconds slower. Its `recover` undoes the operation (step 2) and, in
    OpenSSL, takes off `00 01 FF..FF 00`, to the letter (§9.2). What is left has to be the one DigestInfo with its NULL,
    and has as many octets as that; so there was one count of FF that fits, and the whole block is the one that signing
    makes. Nothing of it is parsed, which is what forgeries live on. The size (step 1) is left to the caller: OpenSSL
    would take a number without its leading zeros.
    """
    public_key = _strong_rsa(key)
    recover, scheme, size = public_key.recover_data_from_signature, padding.PKCS1v15(), (public_key.key_size + 7) // 8

    def check(signature: bytes, signing_input: bytes) -> None:
        if len(signature) != size:
            raise ValueError("the signature is not of the size of the modulus")
        if recover(signature, scheme, None) != _SHA256_DIGEST_INFO + sha256(signing_input).digest():
            raise InvalidSignature

    return check


def _ps256(key: PublicKey) -> Check:
    # RFC 7518 §3.5: MGF1 with the same hash, and a salt of the hash's size
    verify, hashed = _strong_rsa(key).verify, Prehashed(SHA256())
    scheme = padding.PSS(padding.MGF1(SHA256()), SHA256().digest_size)
    return lambda signature, signing_input: verify(signature, sha256(signing_input).digest(), scheme, hashed)


def _es256(key: PublicKey) -> Check:
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidKey("the alg does not fit the key")
    verify, scheme = key.verify, ec.ECDSA(SHA256())

    def check(signature: bytes, signing_input: bytes) -> None:
        if len(signature) != 2 * _P256_OCTETS:  # RFC 7518 §3.4: R and S, each at full size
            raise ValueError("the signature is not R and S")
        r, s = int.from_bytes(signature[:_P256_OCTETS]), int.from_bytes(signature[_P256_OCTETS:])
        verify(encode_dss_signature(r, s), signing_input, scheme)

    return check


def _eddsa(key: PublicKey) -> Check:
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise InvalidKey("the alg does not fit the key")
    return key.verify


_ALGORITHMS: dict[str, Callable[[PublicKey], Check]] = {
    "RS256": _rs256,
    "PS256": _ps256,
    "ES256": _es256,
    "EdDSA": _eddsa,
}
SUPPORTED_ALGORITHMS = tuple(_ALGORITHMS)
"""The fixed list, for tokens and for proofs: what metadata and the challenges of RFC 9449 §7.1 have to name."""
