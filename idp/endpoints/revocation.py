"""`POST /revoke` (RFC 7009): a client gives back a token of its own. 200 means that the revocation is durable."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from idp.directory.families import Families
from idp.directory.issued_tokens import ANY_AUDIENCE, IssuedTokens
from idp.endpoints.answers import NO_STORE
from idp.endpoints.client_requests import ClientRequest, ClientRequests, answered
from idp.protocol.audit import AuditEvent
from idp.protocol.errors import InvalidGrantError, InvalidRequestError
from idp.protocol.status import status_of
from idp.store import Aggregates, Store
from idp_verifier import Claims, VerificationError


@dataclass(frozen=True, slots=True)
class RevocationEndpoint:
    """Revokes refresh tokens, each with its whole family, and access tokens, each alone."""

    requests: ClientRequests
    families: Families
    tokens: IssuedTokens
    store: Store

    async def handle(self, request: Request) -> Response:
        return await answered(self._answer(request))

    async def _answer(self, request: Request) -> Response:
        """A token that is not one of ours, or has ended, is as revoked as can be: that is 200 too (§2.2)."""
        asked = await self.requests.read(request)
        token = asked.form.values.get("token")
        if token is None:
            raise InvalidRequestError("The parameter token is missing.")
        client_id = asked.client.client_id
        if not await self.families.revoke(token, client_id, asked.origin):
            await self._revoke_access_token(token, asked)
        return Response(status_code=200, headers=NO_STORE)

    async def _revoke_access_token(self, token: str, asked: ClientRequest) -> None:
        try:
            claims = self.tokens.claims(token, ANY_AUDIENCE)
        except VerificationError:
            return
        if claims.client_id != asked.client.client_id:
            raise InvalidGrantError("The token was issued to another client.")
        await self.store.transact(lambda store: _revoke(store, claims, asked))


async def _revoke(store: Aggregates, claims: Claims, asked: ClientRequest) -> None:
    client_id, detail = asked.client.client_id, {"jti": claims.jti}
    await store.revoked_tokens.add(claims.jti, claims.exp)
    if status := status_of(claims, claims.issuer):
        await store.status_lists.revoke(status)
    await store.audit.add(
        AuditEvent("token.revoked", "success", asked.origin, client_id, claims.sub, client_id, detail)
    )
