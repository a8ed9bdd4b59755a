"""Tokens of every algorithm, with any claims, and their verification by the core alone."""

from typing import Any

from idp_verifier import Claims, KeySet, parse_key, verify_token
from idp_verifier.testing import Signer, access_token_claims

ISSUER = "https://id.example.com"
AUDIENCE = "https://api.example.com"
NOW = 1_800_000_000
SIGNERS = {alg: Signer.generate(alg, kid=alg) for alg in ("RS256", "PS256", "ES256", "EdDSA")}
KEYS = KeySet(parse_key(signer.jwk) for signer in SIGNERS.values())
ES256 = SIGNERS["ES256"]


def verify(token: Any, *, now: float = NOW, leeway: float = 30, typ: str = "at+jwt") -> Claims:
    return verify_token(token, KEYS, issuer=ISSUER, audience=AUDIENCE, now=now, leeway=leeway, typ=typ)


def claims(**changes: Any) -> dict[str, Any]:
    """Those of a good token; `...` omits one."""
    members = {**access_token_claims(ISSUER, NOW), **changes}
    return {name: value for name, value in members.items() if value is not ...}
