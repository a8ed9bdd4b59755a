"""`POST /token` (RFC 6749 §3.2), the way in six calls: `handle`, `parse_form`, `authenticate_client`,
`select_grant`, `grant.exchange`, `issuer.issue`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from idp.directory.client_cache import ClientCache
from idp.endpoints.answers import json_answer, oauth_error_answer
from idp.endpoints.envelope import origin_of
from idp.endpoints.form import Form, parse_form
from idp.grants import Grant
from idp.issuer import Issuer
from idp.metrics import Metrics
from idp.protocol.audit import AuditEvent
from idp.protocol.authorization import Authorization, Origin, TokenRequest
from idp.protocol.client import ADMIN_SCOPE, Client
from idp.protocol.client_authentication import ClientCredentials, is_authentic, presented_credentials
from idp.protocol.errors import (
    InvalidClientError,
    InvalidRequestError,
    InvalidScopeError,
    InvalidTargetError,
    MethodNotAllowedError,
    OAuth2Error,
    TemporarilyUnavailableError,
    UnauthorizedClientError,
    UnsupportedGrantTypeError,
)
from idp.protocol.ports import Audit, Clock
from idp.protocol.tokens import TokenResponse
from idp.store.database import DatabaseUnavailable
from keys.keyring import NoSigningKeyError

EXCESSES = (UnauthorizedClientError, InvalidScopeError, InvalidTargetError)
"""The refusals of a client that asks for more than it may have: those are for the audit log."""


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """Exchanges grants for tokens."""

    clients: ClientCache
    grants: Mapping[str, Grant]
    issuer: Issuer
    audit: Audit
    metrics: Metrics
    clock: Clock
    default_client_id: str | None = None

    async def handle(self, request: Request) -> Response:
        """Every refusal leaves here, in the one form that clients understand."""
        try:
            return await self._answer(request)
        except OAuth2Error as error:
            refusal = error
        except DatabaseUnavailable:
            refusal = TemporarilyUnavailableError("The database cannot be reached; try again.", retry_after=1)
        except NoSigningKeyError:
            refusal = TemporarilyUnavailableError("No signing key is usable; try again.", retry_after=5)
        self.metrics.token_refused(refusal.error or "error")
        return oauth_error_answer(refusal)

    async def _answer(self, request: Request) -> Response:
        if request.method != "POST":  # §3.2
            raise MethodNotAllowedError
        origin = origin_of(request.scope)
        form = await parse_form(request)
        client = await self.authenticate_client(request, form, origin)
        try:
            grant = self.select_grant(form, client)
            outcome = await grant.exchange(TokenRequest(client, form.values, form.resources, origin))
            if isinstance(outcome, OAuth2Error):
                raise outcome
        except EXCESSES as error:
            self._record_excess(error, client, origin)
            raise
        response = await self.issuer.issue(outcome)
        self._record(outcome, response, grant.grant_type, origin)
        return json_answer(response.body(), headers={"Cache-Control": "no-store", "Pragma": "no-cache"})

    async def authenticate_client(self, request: Request, form: Form, origin: Origin) -> Client:
        """The client, proved by its credentials (§2.3). Raises InvalidClientError or InvalidRequestError."""
        try:
            presented = presented_credentials(_authorization(request), form.values) or self._default_client(form)
        except InvalidClientError:
            self._record_bad_client(None, origin)
            raise
        client = await self.clients.find(presented.client_id)
        if not is_authentic(client, presented, self.clock()) or client is None:
            self._record_bad_client(client, origin)
            raise InvalidClientError("Client authentication failed.")
        return _restricted(client) if client.client_id == self.default_client_id else client

    def _default_client(self, form: Form) -> ClientCredentials:
        """A password request that names no client is the default client's, if there is one."""
        if self.default_client_id is None or _implied_grant_type(form) != "password":
            raise InvalidRequestError("The request names no client: client_id is missing.")
        return ClientCredentials("none", self.default_client_id)

    def select_grant(self, form: Form, client: Client) -> Grant:
        """The grant that the request names, if we support it and the client may use it (§5.2, R10)."""
        is_default = client.client_id == self.default_client_id
        grant_type = _implied_grant_type(form) if is_default else form.values.get("grant_type")
        if grant_type is None:
            raise InvalidRequestError("The parameter grant_type is missing.")
        grant = self.grants.get(grant_type)
        if grant is None:
            raise UnsupportedGrantTypeError
        if grant_type not in client.grant_types:
            raise UnauthorizedClientError(f"This client is not registered for the grant {grant_type}.")
        return grant

    def _record(self, authorization: Authorization, response: TokenResponse, grant_type: str, origin: Origin) -> None:
        client_id = authorization.client.client_id
        detail = {"grant_type": grant_type, "jti": response.jti, "kid": response.kid, "scope": " ".join(response.scope)}
        subject = authorization.subject
        self.audit.record(AuditEvent("token.issued", "success", origin, client_id, subject, client_id, detail))
        self.metrics.token_issued(grant_type)

    def _record_bad_client(self, client: Client | None, origin: Origin) -> None:
        known = client.client_id if client else None  # an unknown one may be a secret in the wrong field (L1)
        self.audit.record(AuditEvent("client.authentication_failed", "failure", origin, known, known, known))

    def _record_excess(self, error: OAuth2Error, client: Client, origin: Origin) -> None:
        name, detail = client.client_id, {"error": error.error or ""}
        self.audit.record(AuditEvent("token.refused", "refused", origin, name, name, name, detail))


def _authorization(request: Request) -> str | None:
    """The one Authorization header. Two are two authentications in one request (§2.3)."""
    given = request.headers.getlist("authorization")
    if len(given) > 1:
        raise InvalidRequestError("The request has more than one Authorization header.")
    return given[0] if given else None


def _implied_grant_type(form: Form) -> str | None:
    """FastAPI's OAuth2PasswordRequestForm makes `grant_type` optional, so that a username alone stands for it."""
    return form.values.get("grant_type", "password" if "username" in form.values else None)


def _restricted(client: Client) -> Client:
    """The default client, which anybody is: passwords alone, nothing to come back to, no administration."""
    scopes = tuple(scope for scope in client.scopes if scope != ADMIN_SCOPE)
    return replace(client, grant_types=client.grant_types & {"password"}, scopes=scopes, redirect_uris=())
