"""The claims of an access token (RFC 9068 §2.2) and the answer that carries it (RFC 6749 §5.1)."""

from dataclasses import field
from typing import Any

from idp.protocol.authorization import Authorization
from idp.protocol.errors import InvalidRequestError
from idp.protocol.record import record
from idp.protocol.status import Status

BEARER, DPOP = "Bearer", "DPoP"
"""The values of `token_type` (RFC 6750 §4, RFC 9449 §5); also the schemes by which such tokens are presented."""

ACCESS_TOKEN_TYPE = "at+jwt"  # noqa: S105 - RFC 9068 §2.1, a media type

LONGEST_ACCESS_TOKEN = 86400
"""Seconds: the most that IDP_ACCESS_TOKEN_TTL takes."""

FAMILY_CLAIM = "family_id"
"""Ours: names the family of refresh tokens that an access token goes with, so that it can end with it."""


def lifetime_of(authorization: Authorization, *, now: int, ttl: int) -> int:
    """Seconds for which a token is good: `ttl`, but an exchanged one no longer than its subject token.

    Raises InvalidRequestError when that has expired meanwhile (RFC 8693 §2.2.2).
    """
    if authorization.exchange is None:
        return ttl
    left = int(authorization.exchange.expires_at) - now
    if left < 1:
        raise InvalidRequestError("The subject token has expired.")
    return min(ttl, left)


def access_token_claims(
    authorization: Authorization, *, issuer: str, now: int, lifetime: int, jti: str, status: Status | None = None
) -> dict[str, Any]:
    """The claims, from one reading of the clock. A single audience is a string, as most verifiers expect."""
    audience = authorization.audience
    claims: dict[str, Any] = {
        "iss": issuer,
        "sub": authorization.subject,
        "aud": audience[0] if len(audience) == 1 else list(audience),
        "exp": now + lifetime,
        "iat": now,
        "jti": jti,
        "client_id": authorization.client.client_id,
    }
    if authorization.scope:
        claims["scope"] = " ".join(authorization.scope)
    if authorization.dpop_jkt:
        claims["cnf"] = {"jkt": authorization.dpop_jkt}  # RFC 9449 §6.1
    if authorization.authentication:
        claims |= _claims_of_person(authorization)
    if authorization.exchange and authorization.exchange.act:
        claims["act"] = authorization.exchange.act
    if status:
        claims["status"] = status.claim(issuer)
    return claims


def _claims_of_person(authorization: Authorization) -> dict[str, Any]:
    authentication = authorization.authentication
    assert authentication is not None
    user = authentication.user
    claims: dict[str, Any] = {
        "auth_time": int(authentication.time),
        "amr": list(authentication.methods),
        "roles": list(user.roles),
    }
    if user.username:
        claims["username"] = user.username
    if authorization.family_id:
        claims[FAMILY_CLAIM] = str(authorization.family_id)
    return claims


@record
class TokenResponse:
    """A successful answer (RFC 6749 §5.1), to an exchange with `issued_token_type` (RFC 8693 §2.2.1). `jti` and `kid`
    are for the audit log."""

    access_token: str = field(repr=False)
    expires_in: int
    scope: tuple[str, ...]
    jti: str
    kid: str
    refresh_token: str | None = field(default=None, repr=False)
    issued_token_type: str | None = None
    token_type: str = BEARER

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "access_token": self.access_token,
            "token_type": self.token_type,
            "expires_in": self.expires_in,
        }
        if self.refresh_token:
            body["refresh_token"] = self.refresh_token
        if self.issued_token_type:
            body["issued_token_type"] = self.issued_token_type
        return body | ({"scope": " ".join(self.scope)} if self.scope else {})
