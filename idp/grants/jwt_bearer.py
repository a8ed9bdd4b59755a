"""The JWT bearer grant (RFC 7523 §2.1): a token of a trusted outside issuer stands for a client's credentials."""

from idp.protocol.assertion import JWT_BEARER
from idp.protocol.audience import granted_audience
from idp.protocol.authorization import Authorization, TokenRequest
from idp.protocol.client import ADMIN_SCOPE
from idp.protocol.errors import InvalidScopeError, OAuth2Error
from idp.protocol.ports import Ports
from idp.protocol.scope import granted_scope


class JwtBearerGrant:
    """Exchanges the outside token for a token of the client's own, as the client credentials grant would."""

    grant_type = JWT_BEARER

    def __init__(self, ports: Ports) -> None:
        self._issuer = ports.issuer
        self._workloads = ports.workloads

    async def exchange(self, request: TokenRequest) -> Authorization | OAuth2Error:
        """The outside token is accepted last: one that is good once is not spent on a request that is refused."""
        client = request.client
        assertion = request.required("assertion")
        scope = granted_scope(request.scope, client)
        if ADMIN_SCOPE in scope:  # whoever runs the outside issuer would be an administrator of this server
            raise InvalidScopeError(f"The scope '{ADMIN_SCOPE}' needs credentials of the client's own.")
        audience = granted_audience(request.resources, scope, client, self._issuer)
        await self._workloads.accept(assertion, client.client_id, request.origin)
        return Authorization(client, scope, audience)
