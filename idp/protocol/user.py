"""A person, as the rest of the service sees one."""

from uuid import UUID

from idp.protocol.record import record

ADMIN_ROLE = "admin"
"""The role of an administrator."""


@record
class User:
    """A registered person. `email` and `username` are as they were typed; their normal forms are the store's keys."""

    id: UUID
    email: str
    username: str | None
    roles: tuple[str, ...] = ()
    is_active: bool = True
    created_at: float = 0.0
    credentials_epoch: int = 0
    """Rises when the password changes or the person is disabled: what was begun before is not good any more."""

    @property
    def is_administrator(self) -> bool:
        return self.is_active and ADMIN_ROLE in self.roles
