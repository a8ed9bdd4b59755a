"""Subject tokens (RFC 8693 §2.1): access tokens of ours, in the hands of the API that they were sent to."""

from dataclasses import dataclass

from idp.directory.issued_tokens import ANY_AUDIENCE, IssuedTokens
from idp.protocol.audit import AuditEvent
from idp.protocol.authorization import Authentication, TokenRequest
from idp.protocol.client import Client
from idp.protocol.errors import InvalidRequestError
from idp.protocol.ports import Audit
from idp.protocol.token_exchange import SubjectToken
from idp.store import Store
from idp_verifier import Claims, InvalidClaims, VerificationError, WrongAudience


@dataclass(frozen=True, slots=True)
class SubjectTokens:
    """Reads them, as any resource service would, and asks the database what has ended since they were signed."""

    tokens: IssuedTokens
    store: Store
    audit: Audit

    async def read(self, request: TokenRequest) -> SubjectToken:
        """The subject token of a request. Raises InvalidRequestError (§2.2.2) when it is not good for this client,
        and says so in the audit log: somebody may be trying tokens that were meant for others."""
        token = request.required("subject_token")
        try:
            claims = self.tokens.claims(token, ANY_AUDIENCE)
        except VerificationError as error:
            raise self._refused(request, None, error) from None
        try:
            return await self._accepted(claims, request.client)
        except VerificationError as error:
            raise self._refused(request, claims, error) from None

    async def _accepted(self, claims: Claims, client: Client) -> SubjectToken:
        # A token for this server opens what is ours: no client is this server, whatever it is registered as.
        if not set(claims.audience) & (set(client.resource_ids) - {self.tokens.issuer}):
            raise WrongAudience("the token was not sent to this client")
        if "cnf" in claims:  # RFC 9449 §6: whoever was sent the token cannot prove the key
            raise InvalidClaims("the token is bound to a key that is not the client's")
        if await self.tokens.is_revoked(claims):
            raise VerificationError("the token was revoked")
        return SubjectToken(
            subject=claims.sub,
            jti=claims.jti,
            scope=claims.scopes,
            expires_at=claims.exp,
            authentication=await self._authentication(claims),
            family_id=self.tokens.family_id(claims),
            act=claims.get("act"),
        )

    async def _authentication(self, claims: Claims) -> Authentication | None:
        """The login behind the token, with the person as they are now; None where the subject is a client."""
        user_id = self.tokens.user_id(claims)
        if user_id is None:
            if await self.store.clients.find(claims.sub) is None:
                raise InvalidClaims("the subject of the token is gone")
            return None
        user = await self.store.users.by_id(user_id)
        if user is None or not user.is_active:
            raise InvalidClaims("the subject of the token is disabled or gone")
        if "auth_time" not in claims:  # a predecessor's token, whose key was imported
            raise InvalidClaims("the token does not say when its subject logged in")
        return Authentication(user, claims["auth_time"], tuple(claims.get("amr", ())))

    def _refused(self, request: TokenRequest, claims: Claims | None, reason: VerificationError) -> InvalidRequestError:
        client_id, subject = request.client.client_id, claims.sub if claims else None
        detail = {"reason": str(reason)} | ({"subject_jti": claims.jti} if claims else {})
        self.audit.record(
            AuditEvent("exchange.refused", "refused", request.origin, client_id, subject, client_id, detail)
        )
        return InvalidRequestError(f"The subject token is not accepted: {reason}.")
