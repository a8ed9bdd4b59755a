"""The people and the clients that the service knows: registering them, changing them, proving a password.

What changes the database writes its audit event in the same transaction.
"""

from dataclasses import dataclass

from idp.protocol.authorization import Origin


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for a change: a user's id, a client_id, or `operator` at the command line."""

    id: str
    origin: Origin


OPERATOR = Actor("operator", Origin(source="local", request_id="-"))
