"""What a client is told when a request is refused (RFC 6749 §5.2 and its extensions).

A refusal is Authlib's `OAuth2Error`: it names the error, describes it in the ASCII that §5.2 allows, and carries
its status and headers. Inside a transaction it is returned, not raised, because raising would roll back what the
refusal itself must make durable.
"""

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749.errors import (
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
    UnauthorizedClientError,
)

__all__ = [
    "InvalidClientError",
    "InvalidDPoPProofError",
    "InvalidGrantError",
    "InvalidRequestError",
    "InvalidScopeError",
    "InvalidTargetError",
    "MethodNotAllowedError",
    "OAuth2Error",
    "TemporarilyUnavailableError",
    "TooManyActorsError",
    "UnauthorizedClientError",
    "UnsupportedGrantTypeError",
    "UseDPoPNonceError",
]


class InvalidClientError(OAuth2Error):
    """Client authentication failed. A 401 must carry a challenge, and Basic must name a realm (RFC 7617 §2)."""

    error = "invalid_client"
    status_code = 401

    def get_headers(self) -> list[tuple[str, str]]:
        return [*super().get_headers(), ("WWW-Authenticate", 'Basic realm="idp", charset="UTF-8"')]


class UnsupportedGrantTypeError(OAuth2Error):
    """No such grant here. What was asked for is not repeated: it may hold anything."""

    error = "unsupported_grant_type"
    description = "This server does not support that grant type."


class MethodNotAllowedError(OAuth2Error):
    """Tokens are asked for with POST (RFC 6749 §3.2), so that they stay out of logs and histories."""

    error = "invalid_request"
    description = "This endpoint takes POST only."
    status_code = 405

    def get_headers(self) -> list[tuple[str, str]]:
        return [*super().get_headers(), ("Allow", "POST")]


class InvalidTargetError(OAuth2Error):
    """The requested resource is not one that this client may have tokens for (RFC 8707 §2)."""

    error = "invalid_target"


class TooManyActorsError(InvalidRequestError):
    """The subject token has come through so many hands that this client cannot be one more (RFC 8693 §2.2.2, §4.1)."""

    description = "The subject token has been exchanged too many times."


class InvalidDPoPProofError(OAuth2Error):
    """The proof is missing where one is needed, or is not good (§5, §7.1)."""

    error = "invalid_dpop_proof"


class UseDPoPNonceError(OAuth2Error):
    """The proof has no nonce of ours, or an old one: it is to be made again with this one (§8)."""

    error = "use_dpop_nonce"
    description = "The proof must hold the nonce of the DPoP-Nonce header."

    def __init__(self, nonce: str) -> None:
        super().__init__()
        self.nonce = nonce

    def get_headers(self) -> list[tuple[str, str]]:
        return [*super().get_headers(), ("DPoP-Nonce", self.nonce)]


class TemporarilyUnavailableError(OAuth2Error):
    """Not now: the server is busy or cut off (503), or this account or source has tried too often (429).

    RFC 6749 has this word for the authorization endpoint only (§4.1.2.1); the token endpoint borrows it.
    """

    error = "temporarily_unavailable"
    status_code = 503

    def __init__(self, description: str, *, retry_after: int, status_code: int = 503) -> None:
        super().__init__(description, status_code=status_code)
        self.retry_after = retry_after

    def get_headers(self) -> list[tuple[str, str]]:
        """Adds how many seconds to wait (RFC 9110 §10.2.3)."""
        return [*super().get_headers(), ("Retry-After", str(self.retry_after))]
