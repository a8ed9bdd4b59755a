"""What the endpoints for clients have in common: POST with a form, an authenticated client, errors as RFC 6749 §5.2."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from idp.directory.client_assertions import ClientAssertions
from idp.directory.client_cache import ClientCache
from idp.directory.proved_clients import ProvedClients
from idp.endpoints.answers import oauth_error_answer
from idp.endpoints.envelope import origin_of
from idp.endpoints.fields import field_values
from idp.endpoints.form import Form, parse_form
from idp.protocol.audit import AuditEvent
from idp.protocol.authorization import Origin
from idp.protocol.client import Client
from idp.protocol.client_authentication import PARAMETERS, ClientCredentials, is_authentic, presented_credentials
from idp.protocol.errors import (
    InvalidClientError,
    InvalidRequestError,
    MethodNotAllowedError,
    OAuth2Error,
    TemporarilyUnavailableError,
)
from idp.protocol.ports import Audit, Clock
from idp.protocol.record import record
from idp.protocol.signed_jwt import RefusedJwt, SignedJwt
from idp.store.database import DatabaseUnavailable
from keys.keyring import NoSigningKeyError

DefaultClient = Callable[[Form], ClientCredentials | None]
Vouched = Callable[[Form, str | None, Origin], Awaitable[str | None]]
"""The client_id that something in the form proves, at an endpoint that takes it for a client's credentials. The
client that the request names, if any, comes with the form."""
Refused = Callable[[OAuth2Error], None]


async def nobody(_: Form, __: str | None, ___: Origin) -> None:
    """Nothing but a client's own credentials proves it."""


async def answered(work: Awaitable[Response], refused: Refused = lambda _: None) -> Response:
    """The answer, or the refusal in the one form that clients understand."""
    try:
        return await work
    except OAuth2Error as error:
        refusal = error
    except DatabaseUnavailable:
        refusal = TemporarilyUnavailableError("The database cannot be reached; try again.", retry_after=1)
    except NoSigningKeyError:
        refusal = TemporarilyUnavailableError("No signing key is usable; try again.", retry_after=5)
    refused(refusal)
    return oauth_error_answer(refusal)


@record
class ClientRequest:
    """A request that was read `at` this instant, in POSIX seconds, of a client that was authenticated."""

    client: Client
    form: Form
    origin: Origin
    at: float


@dataclass(frozen=True, slots=True)
class ClientRequests:
    """Reads requests of clients. Of one that shows no proof of its own, `vouched` may know another; `default` says who
    asks when nobody is named, if anybody."""

    clients: ClientCache
    proved: ProvedClients
    assertions: ClientAssertions
    audit: Audit
    clock: Clock

    async def read(
        self, request: Request, default: DefaultClient = lambda _: None, vouched: Vouched = nobody
    ) -> ClientRequest:
        """Raises MethodNotAllowedError, InvalidRequestError, InvalidClientError, or what `vouched` raises."""
        if request.method != "POST":  # RFC 6749 §3.2, RFC 7009 §2.1, RFC 7662 §2.1
            raise MethodNotAllowedError
        form, origin, now = await parse_form(request), origin_of(request.scope), self.clock()
        authorization = _authorization(request)
        if authorization is not None and PARAMETERS.isdisjoint(form.values):
            proved = await self.proved.find(authorization)
            if proved is not None:
                return ClientRequest(proved, form, origin, now)
        try:
            presented = presented_credentials(authorization, form.values)
        except InvalidClientError:
            self._record_bad_client(None, origin)
            raise
        if presented is None or presented.method == "none":
            vouched_for = await vouched(form, presented.client_id if presented else None, origin)
            client = await self.clients.find(vouched_for) if vouched_for else None
            if client is not None:
                return ClientRequest(client, form, origin, now)
        client = await self.authenticate_client(presented or default(form), origin)
        if authorization is not None and presented is not None and presented.method == "client_secret_basic":
            self.proved.remember(authorization, client)  # it alone has proved it: beside an empty one, others would
        return ClientRequest(client, form, origin, now)

    async def authenticate_client(self, presented: ClientCredentials | None, origin: Origin) -> Client:
        """The client, proved by its credentials (§2.3). Raises InvalidClientError or InvalidRequestError."""
        if presented is None:
            raise InvalidRequestError("The request names no client: client_id is missing.")
        client = await self.clients.find(presented.client_id)
        if presented.assertion:
            await self._accept_assertion(client, presented.assertion, origin)
        elif not is_authentic(client, presented, self.clock()):
            self._record_bad_client(client, origin)
            raise InvalidClientError("Client authentication failed.")
        assert client is not None, "nobody was proved"
        return client

    async def _accept_assertion(self, client: Client | None, assertion: SignedJwt, origin: Origin) -> None:
        try:
            await self.assertions.accept(client, assertion)
        except RefusedJwt as refusal:
            self._record_bad_client(client, origin, reason=str(refusal))
            raise InvalidClientError(str(refusal)) from None

    def _record_bad_client(self, client: Client | None, origin: Origin, **detail: str) -> None:
        known = client.client_id if client else None  # an unknown one may be a secret in the wrong field (L1)
        self.audit.record(AuditEvent("client.authentication_failed", "failure", origin, known, known, known, detail))


def _authorization(request: Request) -> str | None:
    """The one Authorization header. Two are two authentications in one request (§2.3)."""
    given = field_values(request.scope, b"authorization")
    if len(given) > 1:
        raise InvalidRequestError("The request has more than one Authorization header.")
    return given[0] if given else None
