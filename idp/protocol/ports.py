"""What grants and the issuer need of the world, as they would put it; `app.py` says who provides it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from idp.protocol.audit import AuditEvent
from idp.protocol.authorization import Authentication, Authorization, Origin, TokenRequest
from idp.protocol.errors import OAuth2Error
from idp.protocol.status import Status
from idp.protocol.token_exchange import SubjectToken

Clock = Callable[[], float]
"""Reads the time: POSIX seconds of the database, the same for every instance."""


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """An e-mail address or username as it was typed, and the password typed with it."""

    identifier: str
    password: str = field(repr=False)
    origin: Origin
    client_id: str


class PasswordLogin(Protocol):
    """The one way in which a password is ever tried, so that one counter sees every try (P5)."""

    async def __call__(self, attempt: LoginAttempt) -> Authentication | OAuth2Error:
        """Who it is, or the refusal: throttled (429), overloaded (503) or plainly wrong (invalid_grant)."""


class RefreshFamilies(Protocol):
    """Refresh tokens, family by family."""

    async def begin(self, request: TokenRequest, authorization: Authorization) -> Authorization:
        """The same authorization with the first refresh token of a new family, if the client may refresh. Raises
        InvalidGrantError when the person was disabled, or changed the password, since they proved who they are."""

    async def present(self, request: TokenRequest, token: str) -> Authorization | OAuth2Error:
        """What the client may have for this refresh token, its successor included."""

    async def join(self, family_id: UUID) -> Status | None:
        """A status for one more access token that ends with the family; None where tokens have none. Raises
        InvalidGrantError when the family has ended."""


class SubjectTokens(Protocol):
    """Access tokens of ours, in the hands of those whom they were sent to."""

    async def read(self, request: TokenRequest) -> SubjectToken:
        """The `subject_token` of a request. Raises InvalidRequestError when it is not good, or not for this client."""


class Workloads(Protocol):
    """Tokens of trusted outside issuers, each of which stands for the credentials of a client."""

    async def accept(self, assertion: str, client_id: str, origin: Origin) -> None:
        """Accepts the token for this client. Raises InvalidGrantError."""


Record = Callable[[AuditEvent], None]
"""Queues an event for which there is room."""


class Audit(Protocol):
    """Where security events go when they are not part of a transaction."""

    def record(self, event: AuditEvent) -> None:
        """Queues the event. Raises TemporarilyUnavailableError when so many wait that one could be lost."""

    def room(self) -> AbstractContextManager[Record]:
        """Keeps a place for one event, and gives what queues it: for what changes something before it is recorded.
        Raises as `record` does."""


class Signer(Protocol):
    """Signs with the key that the time asks for."""

    async def sign(self, claims: dict[str, object], *, typ: str, now: float) -> tuple[str, str]:
        """The compact JWS, and the kid that signed it. Raises NoSigningKeyError when no key may sign at `now`."""


@dataclass(frozen=True, slots=True)
class Ports:
    """All that a grant may reach."""

    issuer: str
    clock: Clock
    login: PasswordLogin
    families: RefreshFamilies
    subject_tokens: SubjectTokens
    workloads: Workloads
