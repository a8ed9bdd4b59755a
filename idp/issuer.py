"""From what was granted to the signed answer (RFC 9068, RFC 6749 §5.1)."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from idp.protocol.authorization import Authorization
from idp.protocol.errors import TemporarilyUnavailableError
from idp.protocol.ports import Clock, Signer
from idp.protocol.status import DrawStatus, no_status
from idp.protocol.tokens import ACCESS_TOKEN_TYPE, BEARER, DPOP, TokenResponse, access_token_claims, lifetime_of
from keys.jws import base64url


def random_jti() -> str:
    """A fresh token id of 128 random bits (RFC 7519 §4.1.7)."""
    return base64url(os.urandom(16)).decode()


@dataclass(frozen=True, slots=True)
class Issuer:
    """Issues tokens under one name. `access_token_ttl` is in seconds."""

    name: str
    access_token_ttl: int
    clock: Clock
    signer: Signer
    draw_status: DrawStatus = no_status
    new_jti: Callable[[], str] = random_jti

    async def issue(self, authorization: Authorization) -> TokenResponse:
        """Signs an access token. One reading of the clock picks the key, `iat` and `exp`.

        Raises NoSigningKeyError when no key may sign now, InvalidRequestError when no time is left for the token,
        TemporarilyUnavailableError when there is no status for it, or one that would be forgotten before it expires.
        """
        now = self.clock()
        lifetime = lifetime_of(authorization, now=int(now), ttl=self.access_token_ttl)
        jti, status = self.new_jti(), authorization.status or self.draw_status()
        if status and now + lifetime > status.expires_at:
            raise TemporarilyUnavailableError("The request took too long; try again.", retry_after=1)
        claims = access_token_claims(
            authorization, issuer=self.name, now=int(now), lifetime=lifetime, jti=jti, status=status
        )
        token, kid = await self.signer.sign(claims, typ=ACCESS_TOKEN_TYPE, now=now)
        exchange = authorization.exchange
        return TokenResponse(
            token,
            lifetime,
            authorization.scope,
            jti,
            kid,
            authorization.refresh_token,
            exchange.issued_token_type if exchange else None,
            token_type=DPOP if authorization.dpop_jkt else BEARER,
        )
