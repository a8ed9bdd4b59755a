"""`GET /users/me`, `POST /users`, `GET /admin/dashboard`, and `/admin/users`: people as they see themselves, and as
administrators see them.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from idp.directory.people import Changes, InvalidRole, NoSuchUser, People, Registration
from idp.endpoints.answers import Problem, json_answer, unavailable
from idp.endpoints.bearer import ADMINISTRATORS_ONLY, Bearer
from idp.endpoints.envelope import origin_of
from idp.endpoints.instants import rfc3339
from idp.endpoints.json_body import Members, flag, read_members, text, texts
from idp.endpoints.paging import page_of
from idp.passwords.pool import Overloaded
from idp.passwords.rules import WeakPassword
from idp.protocol.audit import Actor
from idp.protocol.client import ADMIN_SCOPE
from idp.protocol.identity import InvalidEmail, InvalidUsername
from idp.protocol.user import User
from idp.store.users import NameTaken, Users


def user_record(user: User) -> dict[str, Any]:
    """A person's own record."""
    return {
        "id": str(user.id),
        "email": user.email,
        "username": user.username,
        "roles": list(user.roles),
        "is_active": user.is_active,
    }


def admin_record(user: User) -> dict[str, Any]:
    """The same, and what administrators see besides."""
    return {**user_record(user), "created_at": rfc3339(user.created_at)}


@dataclass(frozen=True, slots=True)
class UsersEndpoint:
    """People: their own record, and their administration."""

    bearer: Bearer
    people: People
    users: Users

    async def me(self, request: Request) -> Response:
        return json_answer(user_record(await self.bearer.user(request)))

    async def dashboard(self, request: Request) -> Response:
        """For people with the role `admin`, whatever token they hold."""
        user = _demand_administrator(await self.bearer.user(request, persons_only=ADMINISTRATORS_ONLY))
        return json_answer({"message": f"Welcome, {user.username or user.email}.", "user": user_record(user)})

    async def register(self, request: Request) -> Response:
        """`POST /users`, by an administrator. Only the admin API gives roles: a person's everyday token cannot make
        another administrator."""
        actor, may_give_roles = await self._registrar(request)
        members = await read_members(request)
        registration = _registration(members, with_roles=may_give_roles)
        return await self._created(registration, actor)

    async def _registrar(self, request: Request) -> tuple[Actor, bool]:
        claims = await self.bearer.claims(request)
        if ADMIN_SCOPE in claims.scopes:
            return await self.bearer.administrator_by(request, claims), True
        user = _demand_administrator(await self.bearer.user_by(claims, persons_only=ADMINISTRATORS_ONLY))
        return Actor(str(user.id), origin_of(request.scope)), False

    async def list(self, request: Request) -> Response:
        await self.bearer.administrator(request)
        page = page_of(request, UUID)
        users = await self.users.page(after=page.after, limit=page.limit + 1)
        return json_answer(page.body("users", users, admin_record, lambda user: str(user.id)))

    async def add(self, request: Request) -> Response:
        actor = await self.bearer.administrator(request)
        members = await read_members(request)
        return await self._created(_registration(members, with_roles=True), actor)

    async def _created(self, registration: Registration, actor: Actor) -> Response:
        async with _refusals_explained():
            user = await self.people.register(registration, actor)
        return json_answer(admin_record(user), 201)

    async def show(self, request: Request) -> Response:
        await self.bearer.administrator(request)
        return json_answer(admin_record(await self._named(request)))

    async def change(self, request: Request) -> Response:
        """`PATCH`: any of `is_active`, `roles` and `password`, all of them or none."""
        actor = await self.bearer.administrator(request)
        members = await read_members(request)
        changes = Changes(
            password=members.take("password", text, None),
            roles=members.take("roles", texts, None),
            is_active=members.take("is_active", flag, None),
        )
        members.finish()
        user = await self._named(request)
        async with _refusals_explained():
            user = await self.people.change(user.id, changes, actor)
        return json_answer(admin_record(user))

    async def _named(self, request: Request) -> User:
        try:
            user = await self.users.by_id(UUID(request.path_params["user_id"]))
        except ValueError:
            user = None
        if user is None:
            raise Problem(404, "There is no such user.")
        return user


def _demand_administrator(user: User) -> User:
    if not user.is_administrator:
        raise Problem(403, ADMINISTRATORS_ONLY)
    return user


def _registration(members: Members, *, with_roles: bool) -> Registration:
    email, password = members.demand("email", text), members.demand("password", text)
    username = members.take("username", text, None)
    roles: tuple[str, ...] = members.take("roles", texts, ()) if with_roles else ()
    members.finish()
    return Registration(email, password, username, roles)


_FAULTY: Mapping[type[Exception], str] = {
    InvalidEmail: "email",
    InvalidUsername: "username",
    InvalidRole: "roles",
    WeakPassword: "password",
}
"""Which member is wrong, by the refusal of the directory."""


@asynccontextmanager
async def _refusals_explained() -> AsyncIterator[None]:
    """Turns the refusals of the directory into problem details."""
    try:
        yield
    except tuple(_FAULTY) as error:
        raise Problem(422, str(error), errors={_FAULTY[type(error)]: str(error)}) from None
    except NameTaken as error:
        raise Problem(409, str(error), errors={error.field: "is taken"}) from None
    except NoSuchUser:
        raise Problem(404, "There is no such user.") from None
    except Overloaded as error:
        raise unavailable("Too many passwords are being hashed; try again.", error.retry_after) from None
