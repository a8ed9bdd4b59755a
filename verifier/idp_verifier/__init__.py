"""Verifies JWT access tokens (RFC 9068) offline, from an issuer's JWK Set.

`Verifier` is for resource services: it finds the issuer's keys, keeps them current and checks tokens.
`verify_token` is the pure core under it, for whoever already holds the keys, as the issuer itself does.
"""

from idp_verifier.bearer import TokenCookie
from idp_verifier.claims import Claims
from idp_verifier.dpop import DpopProof, VerifiedProof, verify_proof
from idp_verifier.errors import (
    ExpiredToken,
    InvalidClaims,
    InvalidHeader,
    InvalidKeySet,
    InvalidProof,
    InvalidSignature,
    InvalidStatus,
    KeysUnavailable,
    MalformedToken,
    NotYetValid,
    ProofRequired,
    ReplayedProof,
    RevokedToken,
    StatusUnavailable,
    TooManyProofs,
    Unavailable,
    UnboundToken,
    UnknownKey,
    UnsupportedConfirmation,
    VerificationError,
    WrongAudience,
    WrongIssuer,
    WrongType,
)
from idp_verifier.jwk import SUPPORTED_ALGORITHMS, VerificationKey, parse_key, prepare_key
from idp_verifier.keyset import KeySet, verify_token
from idp_verifier.resource import ProtectedResource
from idp_verifier.verifier import Verifier

__all__ = [
    "SUPPORTED_ALGORITHMS",
    "Claims",
    "DpopProof",
    "ExpiredToken",
    "InvalidClaims",
    "InvalidHeader",
    "InvalidKeySet",
    "InvalidProof",
    "InvalidSignature",
    "InvalidStatus",
    "KeySet",
    "KeysUnavailable",
    "MalformedToken",
    "NotYetValid",
    "ProofRequired",
    "ProtectedResource",
    "ReplayedProof",
    "RevokedToken",
    "StatusUnavailable",
    "TokenCookie",
    "TooManyProofs",
    "Unavailable",
    "UnboundToken",
    "UnknownKey",
    "UnsupportedConfirmation",
    "VerificationError",
    "VerificationKey",
    "VerifiedProof",
    "Verifier",
    "WrongAudience",
    "WrongIssuer",
    "WrongType",
    "parse_key",
    "prepare_key",
    "verify_proof",
    "verify_token",
]
