"""Refusals of access tokens, each with the challenge that says what would do (RFC 6750 §3, RFC 9449 §7.1)."""

from idp.endpoints.answers import Headers, Problem
from idp.protocol.client import ADMIN_SCOPE
from idp.protocol.errors import InvalidDPoPProofError, UseDPoPNonceError
from idp.protocol.tokens import BEARER, DPOP
from idp_verifier.jwk import SUPPORTED_ALGORITHMS

_ALGS = f'algs="{" ".join(SUPPORTED_ALGORITHMS)}"'


def no_token() -> Problem:
    """No error code (§3.1): nothing was wrong with what did not come."""
    challenges = f'{BEARER} realm="idp", {DPOP} {_ALGS}'
    return Problem(401, "This needs an access token.", headers={"WWW-Authenticate": challenges})


def two_tokens() -> Problem:
    challenge = f'{BEARER} error="invalid_request"'
    return Problem(400, "The request has more than one Authorization header.", headers={"WWW-Authenticate": challenge})


def invalid_token(scheme: str, reason: str) -> Problem:
    return _unauthenticated(scheme, "invalid_token", reason, f"The access token is not accepted: {reason}.")


def insufficient_scope(scheme: str, detail: str) -> Problem:
    challenge = f'{scheme} error="insufficient_scope", scope="{ADMIN_SCOPE}"'
    return Problem(403, detail, headers={"WWW-Authenticate": challenge})


def unproved(error: InvalidDPoPProofError | UseDPoPNonceError) -> Problem:
    """The refusal of a proof, which the token endpoint words in another way."""
    nonce = {"DPoP-Nonce": error.nonce} if isinstance(error, UseDPoPNonceError) else {}
    return _unauthenticated(DPOP, error.error, error.description, error.description, nonce)


def _unauthenticated(scheme: str, error: str, reason: str, detail: str, headers: Headers | None = None) -> Problem:
    quoted = reason.replace("\\", "").replace('"', "'").encode("ascii", "replace").decode()
    challenge = f'{scheme} error="{error}", error_description="{quoted}"'
    challenge += f", {_ALGS}" if scheme == DPOP else ""
    return Problem(401, detail, headers={"WWW-Authenticate": challenge, **(headers or {})})
