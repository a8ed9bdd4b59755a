"""`POST /token` (RFC 6749 §3.2), the way in six calls: `handle`, `parse_form`, `authenticate_client`,
`select_grant`, `grant.exchange`, `issuer.issue`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import orjson
from starlette.requests import Request
from starlette.responses import Response

from idp.directory.workloads import Workloads
from idp.endpoints.answers import Answer, fields
from idp.endpoints.client_requests import ClientRequest, ClientRequests, answered
from idp.endpoints.form import Form
from idp.endpoints.proofs import Possession, Proofs
from idp.grants import Grant
from idp.issuer import Issuer
from idp.metrics import Metrics
from idp.protocol.assertion import JWT_BEARER
from idp.protocol.audit import AuditEvent
from idp.protocol.authorization import Authorization, Origin, TokenRequest
from idp.protocol.client import ADMIN_SCOPE, Client
from idp.protocol.client_authentication import ClientCredentials
from idp.protocol.errors import (
    InvalidDPoPProofError,
    InvalidRequestError,
    InvalidScopeError,
    InvalidTargetError,
    OAuth2Error,
    TooManyActorsError,
    UnauthorizedClientError,
    UnsupportedGrantTypeError,
)
from idp.protocol.ports import Audit, Record
from idp.protocol.record import changed
from idp.protocol.tokens import TokenResponse

EXCESSES = (UnauthorizedClientError, InvalidScopeError, InvalidTargetError, TooManyActorsError)
"""The refusals of a client that asks for more than it may have: those are for the audit log."""

_UNCACHED = fields({"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache"})


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """Exchanges grants for tokens. `check_signing` raises NoSigningKeyError when none could be signed at that time."""

    requests: ClientRequests
    grants: Mapping[str, Grant]
    workloads: Workloads
    issuer: Issuer
    check_signing: Callable[[float], object]
    proofs: Proofs
    audit: Audit
    metrics: Metrics
    default_client_id: str | None = None

    async def handle(self, request: Request) -> Response:
        return await answered(self._answer(request), lambda error: self.metrics.token_refused(error.error or "error"))

    async def _answer(self, request: Request) -> Response:
        asked = await self.requests.read(request, self._default_client, self._vouched)
        # Nothing is spent in vain: a refresh token would be, whose window for retries may end before the outage that
        # keeps us from recording, or from signing, what came of it.
        with self.audit.room() as record:
            try:
                return await self._exchanged(request, asked, record)
            except EXCESSES as error:
                record(_excess(error, asked))
                raise

    async def _exchanged(self, request: Request, asked: ClientRequest, record: Record) -> Response:
        client, form = asked.client, asked.form
        grant_type = form.values.get("grant_type")
        if client.client_id == self.default_client_id:
            client, grant_type = _restricted(client), _implied_grant_type(form)
        grant = self.select_grant(grant_type, client)
        self.check_signing(asked.at)
        proved = await self._proved(request, client)
        outcome = await grant.exchange(
            TokenRequest(client, form.values, form.resources, asked.origin, form.audiences, proved.jkt)
        )
        if isinstance(outcome, OAuth2Error):
            raise outcome
        response = await self.issuer.issue(changed(outcome, dpop_jkt=proved.jkt) if proved.jkt else outcome)
        record(_issued(outcome, response, grant.grant_type, asked))
        self.metrics.token_issued(grant.grant_type)
        body = orjson.dumps(response.body())
        return Answer(body, 200, _UNCACHED + fields(proved.headers) if proved.headers else _UNCACHED)

    def _default_client(self, form: Form) -> ClientCredentials | None:
        """A password request that names no client is the default client's, if there is one."""
        if self.default_client_id is None or _implied_grant_type(form) != "password":
            return None
        return ClientCredentials("none", self.default_client_id)

    async def _vouched(self, form: Form, named: str | None, origin: Origin) -> str | None:
        """Whom the token of an outside issuer stands for: no other authentication is needed (RFC 7521 §4.1)."""
        assertion = form.values.get("assertion")
        if assertion is None or form.values.get("grant_type") != JWT_BEARER:
            return None
        return await self.workloads.client_of(assertion, named, origin)

    def select_grant(self, grant_type: str | None, client: Client) -> Grant:
        """The grant that the request names, if we support it and the client may use it (§5.2, R10)."""
        if grant_type is None:
            raise InvalidRequestError("The parameter grant_type is missing.")
        grant = self.grants.get(grant_type)
        if grant is None:
            raise UnsupportedGrantTypeError
        if grant_type not in client.grant_types:
            raise UnauthorizedClientError(f"This client is not registered for the grant {grant_type}.")
        return grant

    async def _proved(self, request: Request, client: Client) -> Possession:
        """The key that the token is to be bound to, if the request proves one (RFC 9449 §5), as some must (§5.2)."""
        proved = await self.proofs.accept(request, client.client_id)
        if proved.jkt is None and client.dpop_bound_access_tokens:
            self.proofs.record_unproved(request, client.client_id)
            raise InvalidDPoPProofError("This client gets only tokens that are bound to a key; send a DPoP proof.")
        return proved


def _issued(authorization: Authorization, response: TokenResponse, grant_type: str, asked: ClientRequest) -> AuditEvent:
    client_id = authorization.client.client_id
    detail = {"grant_type": grant_type, "jti": response.jti, "kid": response.kid, "scope": " ".join(response.scope)}
    if authorization.exchange:  # who follows these finds every token that came of a login
        detail["subject_jti"] = authorization.exchange.subject_jti
    return AuditEvent("token.issued", "success", asked.origin, client_id, authorization.subject, client_id, detail)


def _excess(error: OAuth2Error, asked: ClientRequest) -> AuditEvent:
    name, detail = asked.client.client_id, {"error": error.error or ""}
    return AuditEvent("token.refused", "refused", asked.origin, name, name, name, detail)


def _restricted(client: Client) -> Client:
    """The default client is anybody: passwords alone, nothing to come back to, no administration."""
    scopes = tuple(scope for scope in client.scopes if scope != ADMIN_SCOPE)
    return replace(client, grant_types=client.grant_types & {"password"}, scopes=scopes, redirect_uris=())


def _implied_grant_type(form: Form) -> str | None:
    """FastAPI's OAuth2PasswordRequestForm makes `grant_type` optional, so that a username alone stands for it."""
    return form.values.get("grant_type", "password" if "username" in form.values else None)
