"""Token exchange (RFC 8693): an API exchanges a token that was sent to it for one that it can send on. Pure decisions.

Nothing grows on the way, neither the scope nor the time that is left, and whoever acted before stays named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from idp.protocol.authorization import Authentication
from idp.protocol.client import ADMIN_SCOPE, Client
from idp.protocol.errors import InvalidRequestError, InvalidScopeError, InvalidTargetError, TooManyActorsError
from idp.protocol.scope import granted_scope

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - an identifier, as the next
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
TOKEN_TYPES = (ACCESS_TOKEN, "urn:ietf:params:oauth:token-type:jwt")
"""What is taken and given (§3): an access token of ours is one by its use, and a JWT by its form."""

MOST_ACTORS = 5
"""How many may act one for the other (§4.1): two APIs that call each other would never end."""


@dataclass(frozen=True, slots=True)
class SubjectToken:
    """An access token of ours that is good now, in the hands of an API that it was sent to (§2.1).

    `expires_at` is in POSIX seconds. Without `authentication` the subject is a client. `act` says who acts for the
    subject already (§4.1).
    """

    subject: str
    jti: str
    scope: frozenset[str]
    expires_at: float
    authentication: Authentication | None = None
    family_id: UUID | None = None
    act: Mapping[str, Any] | None = None


def issued_token_type(form: Mapping[str, str]) -> str:
    """The type of token to issue; the types that a request names must be ones that we know.

    Raises InvalidRequestError. An `actor_token` is refused rather than ignored: it may name somebody else, while who
    acts here is the client that authenticated.
    """
    if "actor_token" in form or "actor_token_type" in form:
        raise InvalidRequestError("actor_token is not supported: the client itself is the actor.")
    if "subject_token_type" not in form:
        raise InvalidRequestError("The parameter subject_token_type is missing.")
    requested = form.get("requested_token_type", ACCESS_TOKEN)
    if form["subject_token_type"] not in TOKEN_TYPES or requested not in TOKEN_TYPES:
        raise InvalidRequestError("Only access tokens are exchanged here, and only for access tokens.")
    return requested


def exchanged_audience(targets: Sequence[str], client: Client) -> tuple[str, ...]:
    """Whom the new token is for: `targets`, each once, or without any the client's first audience.

    The issuer is not implicitly among a client's audiences here: what a person sends to an API is no leave to open
    that person's record with us. Raises InvalidTargetError (§2.2.2).
    """
    wanted = tuple(dict.fromkeys(targets)) or client.audiences[:1]
    if not wanted or not set(wanted) <= set(client.audiences):
        raise InvalidTargetError("This client may not have tokens for the requested audience or resource.")
    return wanted


def exchanged_scope(requested: str | None, subject: SubjectToken, client: Client) -> tuple[str, ...]:
    """What both the subject token holds and the client is registered for; never the administration of this server.

    Raises InvalidScopeError when more than that is asked for.
    """
    registered = granted_scope(requested, client)
    scope = tuple(value for value in registered if value in subject.scope and value != ADMIN_SCOPE)
    if requested is not None and scope != registered:
        raise InvalidScopeError("The scope is more than what the subject token holds.")
    return scope


def exchanged_act(subject: SubjectToken, client: Client) -> Mapping[str, Any] | None:
    """Who acts for the subject (§4.1): the client, on top of those before it. One that may impersonate is not named,
    but hides nobody else.

    Raises TooManyActorsError.
    """
    if client.may_impersonate:
        return subject.act
    act = {"sub": client.client_id} | ({"act": subject.act} if subject.act else {})
    if _actors(act) > MOST_ACTORS:
        raise TooManyActorsError
    return act


def _actors(act: object) -> int:
    count = 0
    while isinstance(act, Mapping):
        count, act = count + 1, act.get("act")
    return count
