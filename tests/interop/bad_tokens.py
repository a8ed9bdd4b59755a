"""Tokens that a resource must refuse, each wrong in one way only; and those that it must accept."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from idp_verifier.testing import Signer, access_token_claims, base64url

OTHER = "https://other.example.com"
_HOUR = 3600


def good_tokens(signer: Signer, claims: Mapping[str, Any]) -> dict[str, str]:
    """By what may differ between them. `claims` are those of a good token, whose `aud` is a string."""
    audience = claims["aud"]
    return {
        "audience is a string": signer.sign(claims),
        "audience is a list": signer.sign({**claims, "aud": [OTHER, audience]}),
    }


def bad_tokens(signer: Signer, claims: Mapping[str, Any]) -> dict[str, str]:
    """By what is wrong with them. All but the forged ones are signed by `signer`, whom the resource trusts."""
    return {
        **_wrong_claims(signer, claims),
        **_forged(signer, claims),
        **_unsigned(signer, claims),
        "type: JWT": signer.sign(claims, typ="JWT"),
    }


def _wrong_claims(signer: Signer, claims: Mapping[str, Any]) -> dict[str, str]:
    audience, now = claims["aud"], claims["iat"]
    changes: dict[str, dict[str, Any]] = {
        "expired": {"iat": now - 2 * _HOUR, "exp": now - _HOUR},
        "no expiry": {"exp": None},
        "not yet valid": {"nbf": now + _HOUR},
        "another audience": {"aud": OTHER},
        "other audiences": {"aud": [OTHER, f"{OTHER}/2"]},
        "an audience that begins alike": {"aud": f"{audience}.evil.example"},
        "no audience": {"aud": None},
        "another issuer": {"iss": OTHER},
        "no issuer": {"iss": None},
    }
    return {name: signer.sign(_changed(claims, change)) for name, change in changes.items()}


def _changed(claims: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**claims, **change}.items() if value is not None}


def _forged(signer: Signer, claims: Mapping[str, Any]) -> dict[str, str]:
    head, _, signature = signer.sign(claims).split(".")
    raised = base64url(json.dumps({**claims, "sub": "root"}).encode())
    stranger = Signer.generate()
    return {
        "forged: other claims": f"{head}.{raised}.{signature}",
        "forged: a stranger's key under our kid": replace(stranger, kid=signer.kid).sign(claims),
        "forged: an unknown kid": stranger.sign(claims),
        "forged: the key is in the header": replace(stranger, kid=signer.kid).sign(claims, jwk=dict(stranger.jwk)),
    }


def _unsigned(signer: Signer, claims: Mapping[str, Any]) -> dict[str, str]:
    """RFC 8725 §2.1: no signature at all, and HMAC with the public key as its secret."""
    public = signer.public_key
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    secrets = {"PEM": pem, "PEM without line end": pem.strip(), "DER": der, "JWK": json.dumps(signer.jwk).encode()}
    return {
        **{f"alg: {alg}": _unprotected(signer, claims, alg) for alg in ("none", "None", "NONE")},
        **{
            f"alg: HS256 by the {form}": _keyed(secret).sign(claims, kid=signer.kid) for form, secret in secrets.items()
        },
    }


def _unprotected(signer: Signer, claims: Mapping[str, Any], alg: str) -> str:
    return signer.sign(claims, alg=alg).rpartition(".")[0] + "."


def _keyed(secret: bytes) -> Signer:
    stranger = Signer.generate("EdDSA")
    return replace(stranger, alg="HS256", sign_octets=lambda octets: hmac.digest(secret, octets, hashlib.sha256))


def claims_for(issuer: str, audience: str, now: float, scope: str) -> dict[str, Any]:
    """The claims of a good token."""
    return {**access_token_claims(issuer, now), "aud": audience, "scope": scope}
