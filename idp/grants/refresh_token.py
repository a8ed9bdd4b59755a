"""The refresh token grant (RFC 6749 §6): rotation with reuse detection (RFC 9700 §4.14.2, R11), for every client."""

from idp.protocol.authorization import Authorization, TokenRequest
from idp.protocol.errors import OAuth2Error
from idp.protocol.ports import Ports


class RefreshTokenGrant:
    """Exchanges a refresh token for its successor and a fresh access token."""

    grant_type = "refresh_token"

    def __init__(self, ports: Ports) -> None:
        self._families = ports.families

    async def exchange(self, request: TokenRequest) -> Authorization | OAuth2Error:
        return await self._families.present(request, request.required("refresh_token"))
