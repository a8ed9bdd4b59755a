"""Who holds the access token of a request to our own resources.

The token is verified as any resource service would, by `idp_verifier` over the key set that we hold in memory. What
it says of a person was true when it was signed; whether that person may still do this is asked of the database.
"""

from dataclasses import dataclass

from starlette.requests import Request

from idp.directory.issued_tokens import IssuedTokens
from idp.endpoints.answers import Problem
from idp.endpoints.envelope import origin_of
from idp.protocol.audit import Actor, AuditEvent
from idp.protocol.client import ADMIN_SCOPE
from idp.protocol.ports import Audit
from idp.protocol.user import User
from idp.store.users import Users
from idp_verifier import Claims, VerificationError
from keys.keyring import NoSigningKeyError

PERSONS_ONLY = "This token is a client's own; only a person's will do here."
ADMINISTRATORS_ONLY = "Admin access required"


@dataclass(frozen=True, slots=True)
class Bearer:
    """Authenticates requests by their access token (RFC 6750 §2.1)."""

    tokens: IssuedTokens
    users: Users
    audit: Audit

    async def claims(self, request: Request) -> Claims:
        """The claims of a token that is meant for us and was not revoked. Raises a Problem: 401 without one."""
        token = _bearer_token(request)
        try:
            claims = self.tokens.claims(token, self.tokens.issuer)
        except NoSigningKeyError:
            raise Problem(503, "No key is available to verify the token.", headers={"Retry-After": "1"}) from None
        except VerificationError as error:
            raise unauthenticated(str(error)) from None
        if await self.tokens.is_revoked(claims):
            raise unauthenticated("the token was revoked")
        return claims

    async def user(self, request: Request, *, persons_only: str = PERSONS_ONLY) -> User:
        """The person who holds the token, as the database knows them now.

        Raises a Problem: 401, or 403 with the detail `persons_only` when a client holds it.
        """
        claims = await self.claims(request)
        user_id = self.tokens.user_id(claims)
        if user_id is None:
            raise Problem(403, persons_only)
        user = await self.users.by_id(user_id)
        if user is None or not user.is_active:
            raise unauthenticated("the user is disabled or gone")
        return user

    async def administrator(self, request: Request) -> Actor:
        """Whoever may use the admin API: a client or an administrator, by a token for nothing but this.

        Raises a Problem: 401, or 403 when the token, or the person now, is not allowed.
        """
        claims, origin = await self.claims(request), origin_of(request.scope)
        try:
            await self._check_administrator(claims)
        except Problem as refusal:
            detail = {"reason": refusal.detail, "method": request.method, "route": request.scope["route"].path}
            self.audit.record(
                AuditEvent("admin.refused", "refused", origin, claims.sub, None, claims.client_id, detail)
            )
            raise
        return Actor(claims.sub, origin)

    async def _check_administrator(self, claims: Claims) -> None:
        if claims["aud"] not in (self.tokens.issuer, [self.tokens.issuer]):
            raise _insufficient(f"The admin API needs a token whose only audience is {self.tokens.issuer}.")
        if ADMIN_SCOPE not in claims.scopes:
            raise _insufficient(f"The admin API needs a token with the scope {ADMIN_SCOPE}.")
        user_id = self.tokens.user_id(claims)
        if user_id is None:
            return
        user = await self.users.by_id(user_id)
        if user is None or not user.is_active:
            raise unauthenticated("the user is disabled or gone")
        if not user.is_administrator:
            raise Problem(403, ADMINISTRATORS_ONLY)


def _bearer_token(request: Request) -> str:
    """The one token of the request. Of two, a proxy may have checked the other one."""
    given = request.headers.getlist("authorization")
    if len(given) > 1:
        challenge = {"WWW-Authenticate": 'Bearer error="invalid_request"'}
        raise Problem(400, "The request has more than one Authorization header.", headers=challenge)
    scheme, _, token = "".join(given).partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthenticated()
    return token.strip()


def unauthenticated(reason: str | None = None) -> Problem:
    """401 with the challenge of RFC 6750 §3; without a reason when no token came at all (§3.1)."""
    if reason is None:
        return Problem(401, "This needs an access token.", headers={"WWW-Authenticate": 'Bearer realm="idp"'})
    quoted = reason.replace("\\", "").replace('"', "'").encode("ascii", "replace").decode()
    challenge = f'Bearer error="invalid_token", error_description="{quoted}"'
    return Problem(401, f"The access token is not accepted: {reason}.", headers={"WWW-Authenticate": challenge})


def _insufficient(detail: str) -> Problem:
    challenge = f'Bearer error="insufficient_scope", scope="{ADMIN_SCOPE}"'
    return Problem(403, detail, headers={"WWW-Authenticate": challenge})
