"""The token exchange grant (RFC 8693): an API that received a token calls the next one for the same subject."""

from idp.protocol.authorization import Authorization, Exchange, TokenRequest
from idp.protocol.errors import InvalidGrantError, InvalidRequestError, OAuth2Error, UnauthorizedClientError
from idp.protocol.ports import Ports
from idp.protocol.status import Status
from idp.protocol.token_exchange import (
    TOKEN_EXCHANGE,
    SubjectToken,
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
        self._families = ports.families

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
            client,
            scope,
            audience,
            subject.authentication,
            family_id=subject.family_id,
            exchange=exchange,
            status=await self._status(subject),
        )

    async def _status(self, subject: SubjectToken) -> Status | None:
        """What goes with a family is known to it, so that it ends with it."""
        try:
            return await self._families.join(subject.family_id) if subject.family_id else None
        except InvalidGrantError:
            raise InvalidRequestError("The subject token has ended.") from None  # RFC 8693 §2.2.2
