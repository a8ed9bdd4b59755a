"""People, by id and by the normal forms of their e-mail address and username."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from idp.protocol.identity import Email, Username
from idp.protocol.user import User
from idp.store.database import Executor, Row

_COLUMNS = """id, email, username, roles, is_active, extract(epoch from created_at)::float8 as created_at,
    credentials_epoch"""


class NameTaken(Exception):  # noqa: N818 - an answer rather than an error
    """The e-mail address or the username belongs to somebody else already; `field` says which."""

    def __init__(self, field: str) -> None:
        super().__init__(f"The {field} is taken.")
        self.field = field


@dataclass(frozen=True, slots=True)
class UserWithPassword:
    """A person and what is stored of the password."""

    user: User
    password_hash: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewUser:
    """A person to be stored."""

    id: UUID
    email: Email
    username: Username | None
    password_hash: str | None = field(repr=False)
    roles: Sequence[str] = ()
    is_active: bool = True
    foreign_cost: int | None = None


class Users:
    """The table `users`."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def add(self, new: NewUser) -> User:
        """Stores a person. Raises NameTaken."""
        try:
            row = await self._executor.fetch_one(
                f"""insert into users (id, email, email_key, username, username_key, password_hash, roles, is_active,
                        foreign_cost)
                    values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning {_COLUMNS}""",
                *_values(new),
            )
        except asyncpg.UniqueViolationError as error:
            raise _name_taken(error) from None
        assert row is not None
        return _user(row)

    async def add_all(self, people: Collection[NewUser]) -> None:
        """Stores people, one at least, with one statement. Raises NameTaken, and then stores none."""
        try:
            await self._executor.execute(
                """insert into users (id, email, email_key, username, username_key, password_hash, roles, is_active,
                       foreign_cost)
                   select id, email, email_key, username, username_key, password_hash, string_to_array(roles, ' '),
                       is_active, foreign_cost
                   from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                               $8::bool[], $9::smallint[])
                       as new (id, email, email_key, username, username_key, password_hash, roles, is_active,
                               foreign_cost)""",
                *_value_arrays(people),
            )
        except asyncpg.UniqueViolationError as error:
            raise _name_taken(error) from None

    async def taken(self, people: Collection[NewUser]) -> frozenset[str]:
        """Those keys of these people that belong to somebody already."""
        rows = await self._executor.fetch_all(
            """select email_key as key from users where email_key = any ($1)
               union all select username_key from users where username_key = any ($2)""",
            [person.email.key for person in people],
            [person.username.key for person in people if person.username],
        )
        return frozenset(row["key"] for row in rows)

    async def by_id(self, user_id: UUID) -> User | None:
        row = await self._executor.fetch_one(f"select {_COLUMNS} from users where id = $1", user_id)
        return _user(row) if row else None

    async def by_login_key(self, key: str) -> UserWithPassword | None:
        """Finds the person whose e-mail address or username has this normal form."""
        column = "email_key" if "@" in key else "username_key"
        row = await self._executor.fetch_one(f"select {_COLUMNS}, password_hash from users where {column} = $1", key)
        return UserWithPassword(_user(row), row["password_hash"]) if row else None

    async def with_password_hash(self, user_id: UUID, password_hash: str | None) -> User | None:
        """The active person, if the password is still the one with this hash; keeps the row until the commit."""
        row = await self._executor.fetch_one(
            f"select {_COLUMNS} from users where id = $1 and password_hash is not distinct from $2 and is_active "
            "for no key update",
            user_id,
            password_hash,
        )
        return _user(row) if row else None

    async def set_password_hash(self, user_id: UUID, password_hash: str) -> bool:
        """A new password: what was begun with the old one ends. False when there is no such person."""
        return (
            await self._executor.execute(
                """update users set password_hash = $2, foreign_cost = null, updated_at = now(),
                       credentials_epoch = credentials_epoch + 1
                   where id = $1""",
                user_id,
                password_hash,
            )
            == 1
        )

    async def upgrade_password_hash(self, user_id: UUID, password_hash: str) -> None:
        """Another hash of the same password."""
        await self._executor.execute(
            "update users set password_hash = $2, foreign_cost = null where id = $1", user_id, password_hash
        )

    async def set_active(self, user_id: UUID, active: bool) -> User | None:
        row = await self._executor.fetch_one(
            f"""update users set is_active = $2, updated_at = now(),
                    credentials_epoch = credentials_epoch + case when $2 then 0 else 1 end
                where id = $1 returning {_COLUMNS}""",
            user_id,
            active,
        )
        return _user(row) if row else None

    async def set_roles(self, user_id: UUID, roles: Sequence[str]) -> User | None:
        row = await self._executor.fetch_one(
            f"update users set roles = $2, updated_at = now() where id = $1 returning {_COLUMNS}",
            user_id,
            list(roles),
        )
        return _user(row) if row else None

    async def page(self, *, after: UUID | None, limit: int) -> Sequence[User]:
        """People in the order of their ids, those after `after`."""
        rows = await self._executor.fetch_all(
            f"select {_COLUMNS} from users where $1::uuid is null or id > $1 order by id limit $2",
            after,
            limit,
        )
        return [_user(row) for row in rows]

    async def highest_foreign_cost(self) -> int:
        """The highest bcrypt cost of a hash that was imported and not yet replaced, 0 when there is none."""
        row = await self._executor.fetch_one(
            "select coalesce(max(foreign_cost), 0) as cost from users where foreign_cost is not null"
        )
        return int(row["cost"]) if row else 0

    async def administrator_exists(self) -> bool:
        row = await self._executor.fetch_one("select exists (select from users where 'admin' = any (roles)) as found")
        return row is not None and bool(row["found"])


def _values(new: NewUser) -> tuple[Any, ...]:
    username = new.username
    return (
        new.id,
        new.email.display,
        new.email.key,
        username.display if username else None,
        username.key if username else None,
        new.password_hash,
        list(new.roles),
        new.is_active,
        new.foreign_cost,
    )


def _value_arrays(people: Collection[NewUser]) -> Iterable[list[Any]]:
    """A column after the other. Roles go as one text, since `unnest` takes arrays of arrays apart altogether."""
    *names, roles, active, cost = (list(column) for column in zip(*map(_values, people), strict=True))
    return [*names, [" ".join(of_one) for of_one in roles], active, cost]


def _name_taken(error: asyncpg.UniqueViolationError) -> NameTaken:
    return NameTaken("username" if error.constraint_name == "users_username_key_key" else "email")


def _user(row: Row) -> User:
    return User(
        id=row["id"],
        email=row["email"],
        username=row["username"],
        roles=tuple(row["roles"]),
        is_active=row["is_active"],
        created_at=row["created_at"],
        credentials_epoch=row["credentials_epoch"],
    )
