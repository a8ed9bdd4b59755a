"""The token exchange grant (RFC 8693): an API that received a token calls the next one for the same subject."""

from idp.protocol.authorization import Authorization, Exchange, TokenRequest
from idp.protocol.errors import OAuth2Error, UnauthorizedClientError
from idp.protocol.ports import Ports
from idp.protocol.token_exchange import (
    TOKEN_EXCHANGE,
    exchanged_act,
    exchanged_audience,
    exchanged_scope,
    issued_token_type,
)


class TokenExchangeGrant:
    """Exchanges a token that was sent to the client for one that the client can send on."""

    grant_type = TOKEN_EXCHANGE

    def __init__(self, ports: Ports) -> None:
        self._subject_tokens = ports.subject_tokens

    async def exchange(self, request: TokenRequest) -> Authorization | OAuth2Error:
        client = request.client
        if client.is_public:  # anybody could pose as the API that the token was sent to
            return UnauthorizedClientError("A public client cannot exchange tokens.")
        token_type = issued_token_type(request.form)
        audience = exchanged_audience((*request.resources, *request.audiences), client)
        subject = await self._subject_tokens.read(request)
        scope = exchanged_scope(request.scope, subject, client)
        exchange = Exchange(
            subject=subject.subject,
            subject_jti=subject.jti,
            expires_at=subject.expires_at,
            act=exchanged_act(subject, client),
            issued_token_type=token_type,
        )
        return Authorization(
            client, scope, audience, subject.authentication, family_id=subject.family_id, exchange=exchange
        )
