# ruff: noqa: N818 - the names say what was wrong with the token; the root says that it is an error
"""What `verify` raises.

    VerificationError
    ├── MalformedToken      not a compact JWS of a JSON object
    ├── InvalidHeader       alg, kid or crit is not acceptable
    │   └── WrongType       another kind of token, an id token for instance
    ├── UnknownKey          the issuer publishes no key of this kid
    ├── InvalidSignature
    ├── InvalidClaims       a claim is missing, or has the wrong JSON type
    │   ├── ExpiredToken
    │   ├── NotYetValid
    │   ├── WrongIssuer
    │   ├── WrongAudience
    │   ├── InvalidStatus   what it says about its status cannot be followed
    │   └── UnsupportedConfirmation  bound to something that is not checked here, a TLS certificate for instance
    ├── ProofRequired       bound to a key (DPoP), and no proof came with it
    ├── InvalidProof        the proof is not one for this token, this request and this moment
    │   └── ReplayedProof
    ├── UnboundToken        a proof came with it, but it is bound to no key
    ├── RevokedToken        its status is not VALID any more
    └── Unavailable         no fault of the token: what it would be checked against could not be had
        ├── KeysUnavailable
        │   └── InvalidKeySet   what was published as keys cannot be used
        ├── StatusUnavailable
        └── TooManyProofs   more proofs than can be remembered came within a short time

Every error is a code and a sentence. The sentence never quotes the token: it may be logged, and sent to the
client in a `WWW-Authenticate` header, without escaping.
"""

from typing import ClassVar


class VerificationError(Exception):
    """The token was not accepted. `code` is stable, `str(error)` is a sentence for people."""

    code: ClassVar[str] = "invalid_token"


class MalformedToken(VerificationError):
    """Not a compact JWS (RFC 7515 §7.1) of a JSON object, or larger than allowed."""

    code = "malformed_token"


class InvalidHeader(VerificationError):
    """The JOSE header asks for something that is not done here."""

    code = "invalid_header"


class WrongType(InvalidHeader):
    """The header's `typ` names another kind of token (RFC 8725 §3.11)."""

    code = "wrong_type"


class UnknownKey(VerificationError):
    """The header's `kid` names no key of the issuer."""

    code = "unknown_key"


class InvalidSignature(VerificationError):
    """The signature was not made by the key, over these bytes, with the key's algorithm."""

    code = "invalid_signature"


class InvalidClaims(VerificationError):
    """A required claim is missing, or a claim has the wrong JSON type or an absurd value."""

    code = "invalid_claims"


class ExpiredToken(InvalidClaims):
    """`exp` has passed."""

    code = "expired_token"


class NotYetValid(InvalidClaims):
    """`nbf` or `iat` lies in the future."""

    code = "not_yet_valid"


class WrongIssuer(InvalidClaims):
    """`iss` is not the issuer that is trusted here."""

    code = "wrong_issuer"


class WrongAudience(InvalidClaims):
    """`aud` does not name this resource."""

    code = "wrong_audience"


class InvalidStatus(InvalidClaims):
    """`status` names no Token Status List of the issuer, or an index that lies outside of it."""

    code = "invalid_status"


class UnsupportedConfirmation(InvalidClaims):
    """`cnf` (RFC 7800) binds the token to something else than, or beside, a DPoP key."""

    code = "unsupported_confirmation"


class ProofRequired(VerificationError):
    """The token is bound to a key (`cnf.jkt`, RFC 9449 §6.1): without a DPoP proof it is worth nothing."""

    code = "proof_required"


class InvalidProof(VerificationError):
    """The DPoP proof fails a check of RFC 9449 §4.3."""

    code = "invalid_proof"


class ReplayedProof(InvalidProof):
    """The `jti` of the DPoP proof was seen before."""

    code = "replayed_proof"


class UnboundToken(VerificationError):
    """A DPoP proof came with a bearer token, which anybody could use: not what its sender believes."""

    code = "unbound_token"


class RevokedToken(VerificationError):
    """The Token Status List says something else than VALID of the token: INVALID or SUSPENDED, for instance."""

    code = "revoked_token"


class Unavailable(VerificationError):
    """What the token would be checked against could not be had. Says nothing about the token: answer 503."""

    code = "unavailable"


class TooManyProofs(Unavailable):
    """Remembering one more proof would mean to forget one that could still be replayed."""

    code = "too_many_proofs"


class KeysUnavailable(Unavailable):
    """There are no keys to verify with: the issuer could not be reached. Says nothing about the token."""

    code = "keys_unavailable"


class InvalidKeySet(KeysUnavailable):
    """A JWK Set that must not be used: ambiguous, leaking private members, or without a usable key."""

    code = "invalid_key_set"


class StatusUnavailable(Unavailable):
    """There is no Token Status List to look the token up in: out of reach, expired, or not acceptable."""

    code = "status_unavailable"


class InvalidKey(ValueError):
    """One JWK that is not to verify with. About keys, not tokens: `verify` never raises it."""


class PrivateKeyPublished(InvalidKey):
    """A JWK holds private or symmetric members: whoever can read it could sign with it."""
