"""Who holds the access token of a request to our own resources.

The token is verified as any resource service would, by `idp_verifier` over the key set that we hold in memory. What
it says of a person was true when it was signed; whether that person may still do this is asked of the database.
"""

from dataclasses import dataclass

from starlette.requests import Request

from idp.directory.client_cache import ClientCache
from idp.directory.issued_tokens import IssuedTokens
from idp.endpoints.answers import Problem
from idp.endpoints.challenges import insufficient_scope, invalid_token, no_token, two_tokens, unproved
from idp.endpoints.envelope import origin_of
from idp.endpoints.proofs import Proofs
from idp.protocol.audit import Actor, AuditEvent
from idp.protocol.client import ADMIN_SCOPE
from idp.protocol.errors import InvalidDPoPProofError, UseDPoPNonceError
from idp.protocol.ports import Audit
from idp.protocol.tokens import BEARER, DPOP
from idp.protocol.user import User
from idp.store.users import Users
from idp_verifier import Claims, VerificationError
from idp_verifier.dpop import bound_key
from keys.keyring import NoSigningKeyError

PERSONS_ONLY = "This token is a client's own; only a person's will do here."
ADMINISTRATORS_ONLY = "Admin access required"
_SCHEMES = {scheme.lower(): scheme for scheme in (BEARER, DPOP)}


@dataclass(frozen=True, slots=True)
class Bearer:
    """Authenticates requests by their access token (RFC 6750 §2.1, RFC 9449 §7)."""

    tokens: IssuedTokens
    proofs: Proofs
    clients: ClientCache
    users: Users
    audit: Audit

    async def claims(self, request: Request) -> Claims:
        """The claims of a token that is meant for us and was not revoked. Raises a Problem: 401 without one."""
        scheme, token = _presented(request)
        try:
            claims = self.tokens.claims(token, self.tokens.issuer)
            jkt = bound_key(claims)
        except NoSigningKeyError:
            raise Problem(503, "No key is available to verify the token.", headers={"Retry-After": "1"}) from None
        except VerificationError as error:
            raise invalid_token(scheme, str(error)) from None
        if scheme == DPOP:
            await self._demand_proof(request, claims, token, jkt)
        elif jkt:
            self.proofs.record_unproved(request, claims.client_id, claims.sub)
            raise invalid_token(DPOP, "it is bound to a key; present it by the scheme DPoP, with a proof")
        if await self.tokens.is_revoked(claims):
            raise invalid_token(scheme, "the token was revoked")
        return claims

    async def _demand_proof(self, request: Request, claims: Claims, token: str, jkt: str | None) -> None:
        """Demands a proof of the key that the token is bound to (RFC 9449 §7.1). Raises a Problem: 401."""
        if jkt is None:
            raise invalid_token(DPOP, "it is not bound to a key; present it by the scheme Bearer")
        try:
            proved = await self.proofs.accept(request, claims.client_id, access_token=token)
        except (InvalidDPoPProofError, UseDPoPNonceError) as error:
            raise unproved(error) from None
        if proved.jkt != jkt:
            self.proofs.record_unproved(request, claims.client_id, claims.sub)
            raise unproved(InvalidDPoPProofError("The request does not prove the key that the token is bound to."))

    async def user(self, request: Request, *, persons_only: str = PERSONS_ONLY) -> User:
        """The person who holds the token, as the database knows them now.

        Raises a Problem: 401, or 403 with the detail `persons_only` when a client holds it.
        """
        return await self.user_by(await self.claims(request), persons_only=persons_only)

    async def user_by(self, claims: Claims, *, persons_only: str = PERSONS_ONLY) -> User:
        """The same, for who has asked for the claims already: a request has one proof, which is good once."""
        user_id = self.tokens.user_id(claims)
        if user_id is None:
            raise Problem(403, persons_only)
        user = await self.users.by_id(user_id)
        if user is None or not user.is_active:
            raise invalid_token(_scheme_of(claims), "the user is disabled or gone")
        return user

    async def administrator(self, request: Request) -> Actor:
        """Whoever may use the admin API: a client or an administrator, by a token for nothing but this.

        Raises a Problem: 401, or 403 when the token, or the person now, is not allowed.
        """
        return await self.administrator_by(request, await self.claims(request))

    async def administrator_by(self, request: Request, claims: Claims) -> Actor:
        """The same, for who has asked for the claims of this request already."""
        origin = origin_of(request.scope)
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
        scheme = _scheme_of(claims)
        if claims["aud"] not in (self.tokens.issuer, [self.tokens.issuer]):
            raise insufficient_scope(
                scheme, f"The admin API needs a token whose only audience is {self.tokens.issuer}."
            )
        if ADMIN_SCOPE not in claims.scopes:
            raise insufficient_scope(scheme, f"The admin API needs a token with the scope {ADMIN_SCOPE}.")
        client = await self.clients.find(claims.client_id)
        if client is None or ADMIN_SCOPE not in client.scopes:
            raise invalid_token(scheme, "its client is gone, or not registered for administration any more")
        user_id = self.tokens.user_id(claims)
        if user_id is None:
            return
        user = await self.users.by_id(user_id)
        if user is None or not user.is_active:
            raise invalid_token(scheme, "the user is disabled or gone")
        if not user.is_administrator:
            raise Problem(403, ADMINISTRATORS_ONLY)


def _presented(request: Request) -> tuple[str, str]:
    """The scheme and the one token of the request. Of two, a proxy may have checked the other one."""
    given = request.headers.getlist("authorization")
    if len(given) > 1:
        raise two_tokens()
    scheme, _, token = "".join(given).partition(" ")
    known = _SCHEMES.get(scheme.lower())
    if known is None or not token.strip():
        raise no_token()
    return known, token.strip()


def _scheme_of(claims: Claims) -> str:
    """By which scheme the token of these claims was presented: it is accepted by no other."""
    return DPOP if bound_key(claims) else BEARER
