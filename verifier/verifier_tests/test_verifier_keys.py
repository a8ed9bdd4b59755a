"""JWK Sets: which keys are taken, which are left, and which sets are refused. J1."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from idp_verifier import InvalidKeySet, KeySet, VerificationKey, parse_key, prepare_key
from idp_verifier.errors import InvalidKey
from idp_verifier.testing import Signer, base64url

RSA, RSA_PSS, P256, ED = (Signer.generate(alg, kid=alg) for alg in ("RS256", "PS256", "ES256", "EdDSA"))


@pytest.mark.parametrize("signer", [RSA, RSA_PSS, P256, ED], ids=lambda signer: signer.alg)
def test_each_algorithm_verifies_its_own_signatures(signer: Signer) -> None:
    parse_key(signer.jwk).check(signer.sign_octets(b"octets"), b"octets")
    prepare_key(signer.kid, signer.alg, signer.public_key).check(signer.sign_octets(b"octets"), b"octets")


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("signer", [RSA, P256, ED], ids=lambda signer: signer.jwk["kty"])
def test_j1_an_algorithm_that_does_not_fit_the_key_is_refused(signer: Signer, alg: str) -> None:
    fits = (alg in {"RS256", "PS256"}) if signer is RSA else alg == signer.alg
    if fits:
        assert parse_key({**signer.jwk, "alg": alg}).alg == alg
    else:
        with pytest.raises(InvalidKey):
            parse_key({**signer.jwk, "alg": alg})


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "RS1", "rs256", "RS384", "RSA-OAEP", "dir", "", None, 7])
def test_j1_only_the_four_algorithms_are_known(alg: object) -> None:
    with pytest.raises(InvalidKey):
        parse_key({**RSA.jwk, "alg": alg})


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"use": None},
        {"key_ops": ["sign"]},
        {"key_ops": "verify"},
        {"kty": "rsa"},
        {"kty": "DH"},
        {"kid": ""},
        {"kid": 7},
        {"n": ""},
        {"n": RSA.jwk["n"] + "="},
        {"n": "é"},
        {"n": base64url((1 << 1023 | 1).to_bytes(128))},
        {"n": base64url((1 << 2046 | 1).to_bytes(256))},
        {"n": base64url((1 << 16383 | 1).to_bytes(2048))},
        {"e": "AQ"},
        {"e": "Aw"},
        {"e": "AQAA"},
        {"e": base64url((2**64 + 1).to_bytes(9))},
    ],
    ids=" ".join,
)
def test_an_rsa_key_that_is_weak_odd_or_for_something_else_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidKey):
        parse_key({**RSA.jwk, **change})


def test_a_weak_key_is_refused_as_an_object_too() -> None:
    weak = rsa.RSAPublicNumbers(65537, 1 << 1023 | 1).public_key()
    with pytest.raises(InvalidKey, match="2048"):
        prepare_key("weak", "RS256", weak)
    with pytest.raises(InvalidKey, match="fit"):
        prepare_key("curve", "ES256", ec.generate_private_key(ec.SECP384R1()).public_key())


@pytest.mark.parametrize(
    "change",
    [
        {"crv": "P-384"},
        {"crv": "secp256k1"},
        {"x": P256.jwk["y"], "y": P256.jwk["x"]},  # not on the curve
        {"x": base64url(b"\0" * 33)},
        {"x": base64url(b"\0" * 32), "y": base64url(b"\0" * 32)},
    ],
    ids=["P-384", "secp256k1", "off-curve", "33 octets", "zero"],
)
def test_an_elliptic_key_that_is_not_a_point_of_p256_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidKey):
        parse_key({**P256.jwk, **change})


@pytest.mark.parametrize("change", [{"crv": "X25519"}, {"crv": "Ed448"}, {"x": base64url(b"\1" * 31)}], ids=str)
def test_an_edwards_key_of_another_curve_or_size_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidKey):
        parse_key({**ED.jwk, **change})


def test_keys_for_others_are_skipped_and_named() -> None:
    """RFC 7517 §5."""
    future = {"kty": "AKP", "alg": "ML-DSA-44", "kid": "later", "pub": "AAAA"}
    keyset = KeySet.parse({"keys": [future, {**RSA.jwk, "use": "enc", "kid": "enc"}, dict(P256.jwk)]})
    assert list(keyset) == ["ES256"]
    assert keyset.skipped == ("key 0: the kty is not supported", "key 1: the use is not sig")


@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
def test_a_set_that_leaks_a_private_member_is_refused_as_a_whole(member: str) -> None:
    with pytest.raises(InvalidKeySet, match="private"):
        KeySet.parse({"keys": [dict(P256.jwk), {**RSA.jwk, member: "AQAB"}]})


def test_a_kid_that_occurs_twice_is_refused() -> None:
    twin = {**P256.jwk, "kid": RSA.kid}
    for keys in ([dict(RSA.jwk), twin], [dict(RSA.jwk), {**twin, "use": "enc"}]):
        with pytest.raises(InvalidKeySet, match="kid"):
            KeySet.parse({"keys": keys})
    key = parse_key(RSA.jwk)
    with pytest.raises(InvalidKeySet, match="kid"):
        KeySet([key, key])


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":[]}',
        b'{"keys":[1]}',
        b'{"keys":[],"keys":[]}',
        b"\xff",
        b"[" * 9999,
    ],
    ids=lambda document: repr(document[:20]),
)
def test_a_document_that_is_no_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(InvalidKeySet):
        KeySet.parse(document)


def test_a_key_set_is_an_immutable_mapping_by_kid() -> None:
    keyset = KeySet.parse(json.dumps({"keys": [dict(RSA.jwk), dict(ED.jwk)]}).encode())
    assert set(keyset) == {"RS256", "EdDSA"}
    assert len(keyset) == 2
    assert isinstance(keyset["EdDSA"], VerificationKey)
    with pytest.raises(TypeError):
        keyset["x"] = keyset["EdDSA"]  # type: ignore[index]
