"""What passes between the token endpoint, a grant and the issuer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from idp.protocol.client import Client
from idp.protocol.errors import InvalidRequestError
from idp.protocol.record import record
from idp.protocol.status import Status
from idp.protocol.user import User


@record
class Origin:
    """Where a request comes from: the peer's address (behind trusted proxies, the one they report) and its id."""

    source: str
    request_id: str


@record
class TokenRequest:
    """A token request of an authenticated client (RFC 6749 §3.2). Empty parameters count as absent.

    `resources` and `audiences` are the two that may come more than once (RFC 8707 §2, RFC 8693 §2.1). `dpop_jkt` is
    the thumbprint of the key that it proved to hold (RFC 9449 §5), if it did.
    """

    client: Client
    form: Mapping[str, str] = field(repr=False)
    resources: tuple[str, ...]
    origin: Origin
    audiences: tuple[str, ...] = ()
    dpop_jkt: str | None = None

    def required(self, name: str) -> str:
        """The parameter's value; raises InvalidRequestError when it is missing."""
        try:
            return self.form[name]
        except KeyError:
            raise InvalidRequestError(f"The parameter {name} is missing.") from None

    @property
    def scope(self) -> str | None:
        return self.form.get("scope")


@record
class Authentication:
    """How and when a person proved who they are: `methods` are values of RFC 8176."""

    user: User
    time: float
    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a token inherits from the subject token that it is exchanged for (RFC 8693 §2.1).

    It never outlives it: `expires_at`, in POSIX seconds. `act` says who acts for the subject (§4.1), if anybody does
    openly.
    """

    subject: str
    subject_jti: str
    expires_at: float
    act: Mapping[str, Any] | None
    issued_token_type: str


@record
class Authorization:
    """What a grant allows: the issuer turns it into tokens. Without a person, the client acts for itself.

    `status` is the token's place in a status list, where it ends with a family and the family knows it; the issuer
    gives one to every other. `dpop_jkt` is not for a grant to say: the endpoint adds it, so that none can forget it
    (RFC 9449 §5).
    """

    client: Client
    scope: tuple[str, ...]
    audience: tuple[str, ...]
    authentication: Authentication | None = None
    family_id: UUID | None = None
    refresh_token: str | None = field(default=None, repr=False)
    exchange: Exchange | None = None
    status: Status | None = None
    dpop_jkt: str | None = None

    @property
    def subject(self) -> str:
        if self.exchange:
            return self.exchange.subject
        return str(self.authentication.user.id) if self.authentication else self.client.client_id
