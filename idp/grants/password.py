"""The password grant (RFC 6749 §4.3), for clients that an operator trusts with passwords (RFC 9700 §2.4, R10)."""

from idp.protocol.audience import granted_audience
from idp.protocol.authorization import Authorization, TokenRequest
from idp.protocol.client import ADMIN_SCOPE
from idp.protocol.errors import InvalidScopeError, OAuth2Error
from idp.protocol.ports import LoginAttempt, Ports
from idp.protocol.scope import granted_scope


class PasswordGrant:
    """Exchanges a person's name and password for a token of that person."""

    grant_type = "password"

    def __init__(self, ports: Ports) -> None:
        self._issuer = ports.issuer
        self._login = ports.login
        self._families = ports.families

    async def exchange(self, request: TokenRequest) -> Authorization | OAuth2Error:
        client = request.client
        scope = granted_scope(request.scope, client)
        audience = granted_audience(request.resources, scope, client, self._issuer)
        authentication = await self._login(
            LoginAttempt(request.required("username"), request.required("password"), request.origin, client.client_id)
        )
        if isinstance(authentication, OAuth2Error):
            return authentication
        if ADMIN_SCOPE in scope and not authentication.user.is_administrator:
            return InvalidScopeError(f"The scope '{ADMIN_SCOPE}' is for administrators.")
        return await self._families.begin(request, Authorization(client, scope, audience, authentication))
