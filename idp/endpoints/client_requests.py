"""What the endpoints for clients have in common: POST with a form, an authenticated client, errors as RFC 6749 §5.2."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from idp.directory.client_cache import ClientCache
from idp.endpoints.answers import oauth_error_answer
from idp.endpoints.envelope import origin_of
from idp.endpoints.form import Form, parse_form
from idp.protocol.audit import AuditEvent
from idp.protocol.authorization import Origin
from idp.protocol.client import Client
from idp.protocol.client_authentication import ClientCredentials, is_authentic, presented_credentials
from idp.protocol.errors import (
    InvalidClientError,
    InvalidRequestError,
    MethodNotAllowedError,
    OAuth2Error,
    TemporarilyUnavailableError,
)
from idp.protocol.ports import Audit, Clock
from idp.store.database import DatabaseUnavailable
from keys.keyring import NoSigningKeyError

DefaultClient = Callable[[Form], ClientCredentials | None]
Refused = Callable[[OAuth2Error], None]


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


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """A request that was read, of a client that was authenticated."""

    client: Client
    form: Form
    origin: Origin


@dataclass(frozen=True, slots=True)
class ClientRequests:
    """Reads requests of clients. `default` says who asks when nobody is named, if anybody."""

    clients: ClientCache
    audit: Audit
    clock: Clock

    async def read(self, request: Request, default: DefaultClient = lambda _: None) -> ClientRequest:
        """Raises MethodNotAllowedError, InvalidRequestError or InvalidClientError."""
        if request.method != "POST":  # RFC 6749 §3.2, RFC 7009 §2.1, RFC 7662 §2.1
            raise MethodNotAllowedError
        form, origin = await parse_form(request), origin_of(request.scope)
        return ClientRequest(await self.authenticate_client(request, form, origin, default), form, origin)

    async def authenticate_client(self, request: Request, form: Form, origin: Origin, default: DefaultClient) -> Client:
        """The client, proved by its credentials (§2.3). Raises InvalidClientError or InvalidRequestError."""
        try:
            presented = presented_credentials(_authorization(request), form.values) or default(form)
        except InvalidClientError:
            self._record_bad_client(None, origin)
            raise
        if presented is None:
            raise InvalidRequestError("The request names no client: client_id is missing.")
        client = await self.clients.find(presented.client_id)
        if not is_authentic(client, presented, self.clock()) or client is None:
            self._record_bad_client(client, origin)
            raise InvalidClientError("Client authentication failed.")
        return client

    def _record_bad_client(self, client: Client | None, origin: Origin) -> None:
        known = client.client_id if client else None  # an unknown one may be a secret in the wrong field (L1)
        self.audit.record(AuditEvent("client.authentication_failed", "failure", origin, known, known, known))


def _authorization(request: Request) -> str | None:
    """The one Authorization header. Two are two authentications in one request (§2.3)."""
    given = request.headers.getlist("authorization")
    if len(given) > 1:
        raise InvalidRequestError("The request has more than one Authorization header.")
    return given[0] if given else None
