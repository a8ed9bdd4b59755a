"""The refresh token grant (RFC 6749 §6): rotation with reuse detection (RFC 9700 §4.14.2, R11), for every client."""

from idp.protocol.audience import granted_audience
from idp.protocol.authorization import Authorization, TokenRequest
from idp.protocol.client import ADMIN_SCOPE
from idp.protocol.errors import InvalidTargetError, OAuth2Error
from idp.protocol.ports import Ports
from idp.protocol.record import changed
from idp.protocol.scope import granted_scope


class RefreshTokenGrant:
    """Exchanges a refresh token for its successor and a fresh access token."""

    grant_type = "refresh_token"

    def __init__(self, ports: Ports) -> None:
        self._issuer = ports.issuer
        self._families = ports.families

    async def exchange(self, request: TokenRequest) -> Authorization | OAuth2Error:
        """What is asked for must be registered for the client, as with any grant, and have been granted then (R12)."""
        token = request.required("refresh_token")
        if request.scope or request.resources:
            scope = granted_scope(request.scope, request.client)
            granted_audience(request.resources, scope, request.client, self._issuer)
        outcome = await self._families.present(request, token)
        return self._as_registered_now(outcome) if isinstance(outcome, Authorization) else outcome

    def _as_registered_now(self, granted: Authorization) -> Authorization | OAuth2Error:
        """What the client, or the person, has lost since the login is not refreshed."""
        client, authentication = granted.client, granted.authentication
        assert authentication is not None
        scopes, audiences = set(client.scopes), {*client.audiences, self._issuer}
        if not authentication.user.is_administrator:
            scopes.discard(ADMIN_SCOPE)
        if scopes.issuperset(granted.scope) and audiences.issuperset(granted.audience):
            return granted  # as nearly always
        scope = tuple(value for value in granted.scope if value in scopes)
        audience = tuple(value for value in granted.audience if value in audiences)
        if not audience:
            return InvalidTargetError("This client may not have tokens any more for what was granted.")
        return changed(granted, scope=scope, audience=audience)
