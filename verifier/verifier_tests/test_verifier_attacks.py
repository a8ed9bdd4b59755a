"""The attack classes "algorithm confusion" and "header injection": J1, J2, J5, J7."""

import base64
import hashlib
import hmac
import itertools
import json
import socket
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature as BadSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from idp_verifier import (
    InvalidHeader,
    InvalidSignature,
    KeySet,
    MalformedToken,
    UnknownKey,
    VerificationError,
    parse_key,
    verify_token,
)
from idp_verifier.testing import Signer, access_token_claims, base64url

ISSUER = "https://id.example.com"
AUDIENCE = "https://api.example.com"
NOW = 1_800_000_000
CLAIMS = access_token_claims(ISSUER, NOW)
RSA, P256, ED = (Signer.generate(alg, kid=alg) for alg in ("RS256", "ES256", "EdDSA"))
KEYS = KeySet(parse_key(signer.jwk) for signer in (RSA, P256, ED))
ATTACKER = Signer.generate("RS256", kid="RS256")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a header made us connect to somewhere")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def verify(token: str) -> None:
    verify_token(token, KEYS, issuer=ISSUER, audience=AUDIENCE, now=NOW)


def unsigned(**header: Any) -> str:
    parameters = {"typ": "at+jwt", "kid": "RS256", **header}
    return ".".join(base64url(json.dumps(part).encode()) for part in (parameters, CLAIMS))


def spellings(word: str) -> list[str]:
    return ["".join(letters) for letters in itertools.product(*((c.lower(), c.upper()) for c in word))]


# Algorithm confusion


def renderings(signer: Signer) -> dict[str, bytes]:
    key, jwk = signer.public_key, dict(signer.jwk)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    openssh = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    made = {
        "PEM": pem,
        "PEM without final newline": pem.strip(),
        "PEM with CRLF": pem.replace(b"\n", b"\r\n"),
        "PEM on one line": pem.replace(b"\n", b""),
        "DER": der,
        "DER in base64": base64.b64encode(der),
        "OpenSSH": openssh,
        "OpenSSH with comment": openssh + b" root@host\n",
        "JWK": json.dumps(jwk).encode(),
        "JWK compact": json.dumps(jwk, separators=(",", ":")).encode(),
        "JWK sorted": json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode(),
        "JWK Set": json.dumps({"keys": [jwk]}).encode(),
        "kid": signer.kid.encode(),
        "empty": b"",
    }
    if "n" in jwk:
        made["PKCS#1 PEM"] = key.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
        made["PKCS#1 DER"] = key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
        made["modulus"] = jwk["n"].encode()
    return made


SECRETS = [
    pytest.param(signer, secret, id=f"{signer.alg}-{name}")
    for signer in (RSA, P256, ED)
    for name, secret in renderings(signer).items()
]


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize(("signer", "secret"), SECRETS)
def test_j1_a_public_key_is_never_an_hmac_secret(signer: Signer, secret: bytes, digest: str) -> None:
    """PyJWT CVE-2022-29217, python-jose CVE-2024-33663."""
    for alg in (f"HS{digest[3:]}", signer.alg):
        signing_input = unsigned(alg=alg, kid=signer.kid)
        tag = hmac.digest(secret, signing_input.encode(), digest)
        with pytest.raises((InvalidHeader, InvalidSignature)):
            verify(f"{signing_input}.{base64url(tag)}")


@pytest.mark.parametrize("alg", [*spellings("none"), " none", "none\0", "", "null"])
@pytest.mark.parametrize("signature", ["", ".", ".AA", ".e30"])
def test_j1_there_is_no_unsecured_token(alg: str, signature: str) -> None:
    """Authlib CVE-2026-28802."""
    with pytest.raises((MalformedToken, InvalidHeader)):
        verify(unsigned(alg=alg) + signature)


@pytest.mark.parametrize("alg", [None, True, 0, [], ["RS256"], {"RS256": 1}])
def test_j1_an_alg_that_is_no_string_is_refused(alg: object) -> None:
    with pytest.raises(InvalidHeader):
        verify(unsigned(alg=alg) + ".AA")


@pytest.mark.parametrize("signer", [RSA, P256, ED], ids=lambda signer: signer.alg)
@pytest.mark.parametrize("kid", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA", "RS384", "rs256", "RS256 "])
def test_j1_one_algorithm_per_key(signer: Signer, kid: str, alg: str) -> None:
    token = signer.sign(CLAIMS, kid=kid, alg=alg)
    if signer.kid == kid and signer.alg == alg:
        verify(token)
    else:
        with pytest.raises((InvalidHeader, InvalidSignature)):
            verify(token)


def test_j1_a_ps256_signature_by_an_rs256_key_is_refused() -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    numbers = private.public_key().public_numbers()
    jwk = {"kty": "RSA", "kid": "k", "n": base64url(numbers.n.to_bytes(256)), "e": "AQAB"}
    octets = b"octets"
    signature = private.sign(octets, padding.PSS(padding.MGF1(SHA256()), 32), SHA256())
    parse_key({**jwk, "alg": "PS256"}).check(signature, octets)
    with pytest.raises(BadSignature):
        parse_key({**jwk, "alg": "RS256"}).check(signature, octets)


@pytest.mark.parametrize("signature", [b"\0" * 64, b"\0" * 63 + b"\1", b"\xff" * 64, b"\0" * 32, b"0" * 72])
def test_j1_degenerate_ecdsa_signatures_are_refused(signature: bytes) -> None:
    """CVE-2022-21449: R and S of zero were accepted as a signature of anything."""
    with pytest.raises(InvalidSignature):
        verify(f"{unsigned(alg='ES256', kid='ES256')}.{base64url(signature)}")


def test_j2_an_ecdsa_signature_has_one_size() -> None:
    """A zero in front of S is the same number, but another token."""
    head, _, signature = P256.sign(CLAIMS).rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    for longer in (raw[:32] + b"\0" + raw[32:], b"\0" + raw, raw + b"\0"):
        with pytest.raises(InvalidSignature):
            verify(f"{head}.{base64url(longer)}")


def test_j1_a_der_signature_is_not_the_one_of_jws() -> None:
    head, _, signature = P256.sign(CLAIMS).rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    with pytest.raises(InvalidSignature):
        verify(f"{head}.{base64url(der)}")


# Header injection


@pytest.mark.parametrize(
    "header",
    [
        {"jwk": dict(ATTACKER.jwk)},
        {"jwk": dict(ATTACKER.jwk), "kid": "RS256"},
        {"jwk": {**ATTACKER.jwk, "kid": "RS256"}},
        {"jku": "https://evil.example.com/jwks.json"},
        {"jku": "http://127.0.0.1:1/jwks.json"},
        {"jku": "file:///etc/passwd"},
        {"jku": ISSUER + "@evil.example.com/jwks.json"},
        {"x5u": "https://evil.example.com/chain.pem"},
        {"x5c": [base64.b64encode(b"certificate").decode()]},
        {"x5t": base64url(hashlib.sha1(b"certificate", usedforsecurity=False).digest())},
        {"x5t#S256": base64url(hashlib.sha256(b"certificate").digest())},
    ],
    ids=" ".join,
)
def test_j5_a_key_in_the_header_is_ignored(header: dict[str, Any]) -> None:
    with pytest.raises(InvalidSignature):
        verify(ATTACKER.sign(CLAIMS, **header))
    verify(RSA.sign(CLAIMS, **header))  # ignored, also where the issuer itself sends it


@pytest.mark.parametrize(
    "kid",
    [
        "../../../../dev/null",
        "/etc/passwd",
        "..\\..\\windows\\win.ini",
        "file:///dev/null",
        "https://evil.example.com/key",
        "' OR '1'='1",
        "x' UNION SELECT 'secret' --",
        "RS256'--",
        "RS256\0",
        "RS256\n",
        " RS256",
        "rs256",
        "ＲＳ256",  # noqa: RUF001 - full-width on purpose
        "|id",
        "$(id)",
        "__class__",
        "A" * 4000,
        "",
    ],
)
def test_j5_a_kid_is_only_a_lookup_key(kid: str) -> None:
    with pytest.raises(UnknownKey) as refusal:
        verify(ATTACKER.sign(CLAIMS, kid=kid))
    assert kid not in str(refusal.value) or not kid


@pytest.mark.parametrize("kid", [None, 0, True, ["RS256"], {"RS256": 1}, 1.5])
def test_j5_a_kid_is_a_string_and_required(kid: object) -> None:
    with pytest.raises(InvalidHeader):
        verify(RSA.sign(CLAIMS, kid=kid))


@pytest.mark.parametrize(
    "crit", [["exp"], ["b64"], ["x"], ["alg"], [], "exp", None, {}, ["http://example.com/UNDEFINED"]]
)
def test_j2_every_crit_is_refused(crit: object) -> None:
    header = {"typ": "at+jwt", "alg": "RS256", "kid": "RS256", "crit": crit, "b64": True, "x": 1}
    signing_input = ".".join(base64url(json.dumps(part).encode()) for part in (header, CLAIMS))
    with pytest.raises(InvalidHeader, match="crit"):
        verify(f"{signing_input}.{base64url(RSA.sign_octets(signing_input.encode()))}")


@pytest.mark.parametrize("b64", [False, True, "", []])
def test_j2_an_unencoded_payload_is_refused(b64: object) -> None:
    """RFC 7797 §6: `b64` is nothing without `crit`."""
    with pytest.raises(InvalidHeader):
        verify(RSA.sign(CLAIMS, b64=b64))


@pytest.mark.parametrize("header", [{"zip": "DEF"}, {"zip": ""}, {"enc": "A256GCM"}], ids=str)
def test_j7_compression_and_encryption_are_refused(header: dict[str, Any]) -> None:
    with pytest.raises(InvalidHeader):
        verify(RSA.sign(CLAIMS, **header))


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"none","alg":"RS256","typ":"at+jwt","kid":"RS256"}',
        b'{"alg":"RS256","kid":"RS256","typ":"JWT","typ":"at+jwt"}',
        b'{"alg":"RS256","kid":"x","typ":"at+jwt","\\u006bid":"RS256"}',
        b'["alg","RS256"]',
        b'"RS256"',
        b"null",
        b'\xef\xbb\xbf{"alg":"RS256","typ":"at+jwt","kid":"RS256"}',
        b'{"alg":"RS256","typ":"at+jwt","kid":"RS256"}\0',
        b'{"alg":"RS256","typ":"at+jwt","kid":"RS256","x":NaN}',
        b'{"alg":"RS256","typ":"at+jwt","kid":"RS256",}',
    ],
    ids=repr,
)
def test_j2_a_header_that_can_be_read_in_two_ways_is_refused(header: bytes) -> None:
    signing_input = f"{base64url(header)}.{base64url(json.dumps(CLAIMS).encode())}"
    with pytest.raises(MalformedToken):
        verify(f"{signing_input}.{base64url(RSA.sign_octets(signing_input.encode()))}")


def test_a_signature_of_other_claims_is_refused() -> None:
    """Parts of good tokens, put together anew."""
    first, second = RSA.sign(CLAIMS).split("."), RSA.sign({**CLAIMS, "sub": "root"}).split(".")
    mixtures = set(itertools.product(*zip(first, second, strict=True))) - {tuple(first), tuple(second)}
    assert mixtures
    for mixture in mixtures:
        with pytest.raises(VerificationError):
            verify(".".join(mixture))
