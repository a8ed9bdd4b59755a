"""Security events (SECURITY.md L2): who did what, from where, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from idp.protocol.authorization import Origin
from idp.protocol.record import record

Outcome = Literal["success", "refused", "failure"]


@record
class AuditEvent:
    """One line of the audit log.

    `actor` acted (a user's id, a client_id, or `operator` for the command line), `subject` is what was acted upon.
    `detail` holds names and reasons, never a secret, a password or a token.
    """

    event: str
    outcome: Outcome
    origin: Origin
    actor: str | None = None
    subject: str | None = None
    client_id: str | None = None
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for a change: a user's id, a client_id, or `operator` at the command line."""

    id: str
    origin: Origin


OPERATOR = Actor("operator", Origin(source="local", request_id="-"))
