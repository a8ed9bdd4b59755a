"""Registering people, and changing what is known of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from idp.directory.passwords import Passwords
from idp.protocol.audit import Actor, AuditEvent
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
    password: str = field(repr=False)
    username: str | None = None
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to become of a person; None leaves it as it is."""

    password: str | None = field(default=None, repr=False)
    roles: tuple[str, ...] | None = None
    is_active: bool | None = None


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

    async def change(self, user_id: UUID, changes: Changes, by: Actor) -> User:
        """Makes all the changes; when one cannot be made, none.

        Raises InvalidRole, WeakPassword, NoSuchUser or Overloaded.
        """
        roles = None if changes.roles is None else checked_roles(changes.roles)
        password_hash = None if changes.password is None else await self._new_hash(user_id, changes.password)

        async def apply(store: Aggregates) -> User:
            events = []
            if password_hash is not None:
                await store.users.set_password_hash(user_id, password_hash)
                await store.refresh_families.revoke_all_of_user(user_id)
                events.append(_event("user.password_changed", user_id, by))
            if roles is not None:
                await store.users.set_roles(user_id, roles)
                events.append(_event("user.roles_changed", user_id, by, roles=" ".join(roles)))
            if changes.is_active is not None:
                await store.users.set_active(user_id, changes.is_active)
                if not changes.is_active:
                    await store.refresh_families.revoke_all_of_user(user_id)
                events.append(_event("user.enabled" if changes.is_active else "user.disabled", user_id, by))
            user = await _existing(store, user_id)
            for event in events:
                await store.audit.add(event)
            return user

        return await self.store.transact(apply)

    async def set_password(self, user: User, password: str, by: Actor) -> None:
        """Replaces the password. Raises WeakPassword, NoSuchUser or Overloaded."""
        await self.change(user.id, Changes(password=password), by)

    async def set_active(self, user_id: UUID, active: bool, by: Actor) -> User:
        """Enables or disables a person. Raises NoSuchUser."""
        return await self.change(user_id, Changes(is_active=active), by)

    async def set_roles(self, user_id: UUID, roles: Sequence[str], by: Actor) -> User:
        """Replaces the roles. Raises InvalidRole or NoSuchUser."""
        return await self.change(user_id, Changes(roles=tuple(roles)), by)

    async def _new_hash(self, user_id: UUID, password: str) -> str:
        user = await _existing(self.store, user_id)
        username = parse_username(user.username) if user.username else None
        return await self._hashed(password, parse_email(user.email), username)

    async def _hashed(self, password: str, email: Email, username: Username | None) -> str:
        return await self.passwords.chosen(password, [email.display, *([username.display] if username else [])])


def checked_roles(roles: Sequence[str]) -> tuple[str, ...]:
    """The roles, each once. Raises InvalidRole."""
    for role in roles:
        if not role.isascii() or not 1 <= len(role) <= 64 or not role.replace("-", "").replace("_", "").isalnum():
            raise InvalidRole("A role must be 1 to 64 letters, digits, '-' or '_'.")
    return tuple(dict.fromkeys(roles))


async def _existing(store: Aggregates, user_id: UUID) -> User:
    user = await store.users.by_id(user_id)
    if user is None:
        raise NoSuchUser(f"There is no user {user_id}.")
    return user


def _event(event: str, user_id: UUID, by: Actor, **detail: str) -> AuditEvent:
    return AuditEvent(event, "success", by.origin, actor=by.id, subject=str(user_id), detail=detail)
