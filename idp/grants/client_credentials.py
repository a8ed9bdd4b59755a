"""The client credentials grant (RFC 6749 §4.4): a machine acts for itself. No database, no wait."""

from idp.protocol.audience import granted_audience
from idp.protocol.authorization import Authorization, TokenRequest
from idp.protocol.errors import OAuth2Error, UnauthorizedClientError
from idp.protocol.ports import Ports
from idp.protocol.scope import granted_scope


class ClientCredentialsGrant:
    """Exchanges the client's own authentication for a token of its own."""

    grant_type = "client_credentials"

    def __init__(self, ports: Ports) -> None:
        self._issuer = ports.issuer

    async def exchange(self, request: TokenRequest) -> Authorization | OAuth2Error:
        client = request.client
        if client.is_public:  # §4.4: the only credentials there are must be real ones
            return UnauthorizedClientError("A public client cannot act for itself.")
        scope = granted_scope(request.scope, client)
        return Authorization(client, scope, granted_audience(request.resources, scope, client, self._issuer))
