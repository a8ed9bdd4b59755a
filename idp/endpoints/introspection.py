"""`POST /introspect` (RFC 7662): whether a token is good at this moment, for clients that were added with
`--introspect`."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from idp.directory.families import Families
from idp.directory.issued_tokens import ANY_AUDIENCE, IssuedTokens
from idp.endpoints.answers import json_answer
from idp.endpoints.client_requests import ClientRequests, answered
from idp.protocol.client import Client
from idp.protocol.errors import InvalidRequestError, UnauthorizedClientError
from idp.protocol.tokens import BEARER, DPOP
from idp.store.users import Users
from idp_verifier import Claims, VerificationError

_INACTIVE = {"active": False}
_SHOWN = (
    "iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "username", "auth_time", "amr", "roles", "act",
    "cnf",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class IntrospectionEndpoint:
    """Tells of tokens. All that is not known to be good is plainly inactive, without a reason (§2.2)."""

    requests: ClientRequests
    families: Families
    tokens: IssuedTokens
    users: Users

    async def handle(self, request: Request) -> Response:
        return await answered(self._answer(request))

    async def _answer(self, request: Request) -> Response:
        asked = await self.requests.read(request)
        if not asked.client.may_introspect or asked.client.is_public:
            raise UnauthorizedClientError("This client is not registered for introspection.")
        token = asked.form.values.get("token")
        if token is None:
            raise InvalidRequestError("The parameter token is missing.")
        return json_answer(
            await self._access_token(token, asked.client) or await self._refresh_token(token, asked.client)
        )

    async def _access_token(self, token: str, client: Client) -> dict[str, Any] | None:
        """None when it is not an access token of ours, or not one that concerns this client."""
        try:
            claims = self.tokens.claims(token, ANY_AUDIENCE)
        except VerificationError:
            return None
        if not self._concerns(claims, client):
            return None
        if await self.tokens.is_revoked(claims) or not await self._is_of_somebody(claims):
            return _INACTIVE
        shown = {name: claims[name] for name in _SHOWN if name in claims}
        return {"active": True, "token_type": DPOP if "cnf" in claims else BEARER, **shown}

    def _concerns(self, claims: Claims, client: Client) -> bool:
        """A resource service may ask of tokens that are for it, a client of its own (§4: no scanning of others')."""
        return claims.client_id == client.client_id or bool(
            set(claims.audience) & {*client.audiences, *client.resource_ids}
        )

    async def _is_of_somebody(self, claims: Claims) -> bool:
        """Tokens of a disabled person, and of a client that was removed, are not good any more."""
        user_id = self.tokens.user_id(claims)
        if user_id is None:
            return await self.requests.clients.find(claims.sub) is not None
        user = await self.users.by_id(user_id)
        return user is not None and user.is_active

    async def _refresh_token(self, token: str, client: Client) -> dict[str, Any]:
        found = await self.families.current(token)
        if found is None or found.family.client_id != client.client_id:
            return _INACTIVE
        family = found.family
        return {
            "active": True,
            "client_id": family.client_id,
            "sub": str(family.user_id),
            "scope": " ".join(family.scope),
            "exp": int(min(family.expires_at, family.idle_until)),
        }
