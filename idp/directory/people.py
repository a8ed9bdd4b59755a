"""Registering people, and changing what is known of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from idp.directory import Actor
from idp.directory.passwords import Passwords
from idp.protocol.audit import AuditEvent
from idp.protocol.identity import Email, Username, parse_email, parse_username
from idp.protocol.user import User
from idp.store import Aggregates, Store
from idp.store.users import NewUser


class NoSuchUser(Exception):  # noqa: N818 - an answer rather than an error
    """There is no such person."""


class InvalidRole(ValueError):  # noqa: N818 - likewise
    """A role has a name that cannot be told apart from others in a token or a log."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A person to be registered, as typed."""

    email: str
    password: str
    username: str | None = None
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class People:
    """The registered people. A password is judged and hashed before any transaction, in the pool."""

    store: Store
    passwords: Passwords

    async def register(self, registration: Registration, by: Actor) -> User:
        """Registers a person.

        Raises InvalidIdentity, InvalidRole, WeakPassword, NameTaken, or Overloaded when too many hashes wait.
        """
        email = parse_email(registration.email)
        username = parse_username(registration.username) if registration.username else None
        roles = checked_roles(registration.roles)
        password_hash = await self._hashed(registration.password, email, username)
        new = NewUser(uuid4(), email, username, password_hash, roles)

        async def insert(store: Aggregates) -> User:
            user = await store.users.add(new)
            await store.audit.add(_event("user.created", user.id, by, roles=" ".join(roles)))
            return user

        return await self.store.transact(insert)

    async def set_password(self, user: User, password: str, by: Actor) -> None:
        """Replaces the password. Raises WeakPassword, NoSuchUser or Overloaded."""
        username = parse_username(user.username) if user.username else None
        password_hash = await self._hashed(password, parse_email(user.email), username)

        async def change(store: Aggregates) -> None:
            if not await store.users.set_password_hash(user.id, password_hash):
                raise _unknown(user.id)
            await store.audit.add(_event("user.password_changed", user.id, by))

        await self.store.transact(change)

    async def set_active(self, user_id: UUID, active: bool, by: Actor) -> User:
        """Enables or disables a person. Raises NoSuchUser."""

        async def change(store: Aggregates) -> User:
            user = await store.users.set_active(user_id, active)
            if user is None:
                raise _unknown(user_id)
            await store.audit.add(_event("user.enabled" if active else "user.disabled", user_id, by))
            return user

        return await self.store.transact(change)

    async def set_roles(self, user_id: UUID, roles: Sequence[str], by: Actor) -> User:
        """Replaces the roles. Raises InvalidRole or NoSuchUser."""
        roles = checked_roles(roles)

        async def change(store: Aggregates) -> User:
            user = await store.users.set_roles(user_id, roles)
            if user is None:
                raise _unknown(user_id)
            await store.audit.add(_event("user.roles_changed", user_id, by, roles=" ".join(roles)))
            return user

        return await self.store.transact(change)

    async def _hashed(self, password: str, email: Email, username: Username | None) -> str:
        return await self.passwords.chosen(password, [email.display, *([username.display] if username else [])])


def checked_roles(roles: Sequence[str]) -> tuple[str, ...]:
    """The roles, each once. Raises InvalidRole."""
    for role in roles:
        if not role.isascii() or not 1 <= len(role) <= 64 or not role.replace("-", "").replace("_", "").isalnum():
            raise InvalidRole(f"The role {json.dumps(role)} must be 1 to 64 letters, digits, '-' or '_'.")
    return tuple(dict.fromkeys(roles))


def _unknown(user_id: UUID) -> NoSuchUser:
    return NoSuchUser(f"There is no user {user_id}.")


def _event(event: str, user_id: UUID, by: Actor, **detail: str) -> AuditEvent:
    return AuditEvent(event, "success", by.origin, actor=by.id, subject=str(user_id), detail=detail)
