"""`idp users`: people, as an operator registers and changes them. USER is an id, an e-mail address or a username."""

import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import click

from idp.cli.directories import Directories
from idp.cli.installation import data_dir_option
from idp.cli.output import json_option, show
from idp.cli.secret_input import on_terminal, piped, prompted_password
from idp.cli.session import on_directories
from idp.cli.tables import fields, safe, table
from idp.cli.users_import import import_
from idp.directory.people import NoSuchUser, Registration, checked_roles
from idp.endpoints.users import admin_record
from idp.protocol.audit import OPERATOR
from idp.protocol.identity import login_key, parse_email, parse_username
from idp.protocol.user import User

F = TypeVar("F", bound=Callable[..., Any])

_PAGE = 1_000


@click.group
def command() -> None:
    """Registers and changes people. USER is an id, an e-mail address or a username."""


command.add_command(import_)


def _common(function: F) -> F:
    return data_dir_option(json_option(function))


_password_stdin = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


@command.command("add")
@click.argument("email")
@click.option("--username", metavar="U", help="A second name to log in by.")
@click.option("--role", "roles", multiple=True, metavar="R", help="May be given several times.")
@_password_stdin
@_common
def add(
    email: str, username: str | None, roles: tuple[str, ...], password_stdin: bool, data_dir: Path | None, as_json: bool
) -> None:
    """Registers a person. Asks for the password; without a terminal makes one and prints it, this once."""
    _check_before_asking(email, username, roles)
    chosen = _chosen_password(password_stdin)
    password = chosen or secrets.token_urlsafe(18)
    registration = Registration(email, password, username, roles)
    user = on_directories(data_dir, lambda directory: directory.people.register(registration, OPERATOR))
    made = {} if chosen else {"password": password}
    record = admin_record(user) | made
    text = f"Registered {_name(user)}.\n{fields(record)}"
    show(record, as_json=as_json, text=text + ("\nThe password is shown this once." if made else ""))


def _check_before_asking(email: str, username: str | None, roles: tuple[str, ...]) -> None:
    """Nobody should think of a password, twice, for an address that will not do."""
    parse_email(email)
    if username:
        parse_username(username)
    checked_roles(roles)


def _chosen_password(from_stdin: bool) -> str | None:
    if from_stdin:
        return piped("password")
    return prompted_password() if on_terminal() else None


@command.command("list")
@click.option("--limit", type=click.IntRange(1), help="So many at most; without it all.")
@_common
def list_(limit: int | None, data_dir: Path | None, as_json: bool) -> None:
    """Lists people, in the order of their ids."""

    async def read(directory: Directories) -> list[User]:
        people: list[User] = []
        wanted = limit or sys.maxsize
        while page := await directory.store.users.page(
            after=people[-1].id if people else None,
            limit=min(_PAGE, wanted - len(people)),
        ):
            people += page
        return people

    people = on_directories(data_dir, read)
    columns = ("id", "email", "username", "roles", "active")
    rows = ((user.id, user.email, user.username, user.roles, user.is_active) for user in people)
    none = "There is nobody yet. Register somebody with `idp users add EMAIL`."
    document = {"users": [*map(admin_record, people)]}
    show(document, as_json=as_json, text="" if as_json else table(columns, rows, none=none))


@command.command("show")
@click.argument("user")
@_common
def show_(user: str, data_dir: Path | None, as_json: bool) -> None:
    """Shows a person's record."""
    _print(on_directories(data_dir, lambda directory: _found(directory, user)), as_json=as_json)


@command.command("disable")
@click.argument("user")
@_common
def disable(user: str, data_dir: Path | None, as_json: bool) -> None:
    """Shuts a person out: no login and no new token, until enabled again."""
    changed = _set_active(user, data_dir, active=False)
    _print(changed, as_json=as_json, done=f"Disabled {_name(changed)}.")


@command.command("enable")
@click.argument("user")
@_common
def enable(user: str, data_dir: Path | None, as_json: bool) -> None:
    """Lets a disabled person in again."""
    changed = _set_active(user, data_dir, active=True)
    _print(changed, as_json=as_json, done=f"Enabled {_name(changed)}.")


def _set_active(user: str, data_dir: Path | None, *, active: bool) -> User:
    async def change(directory: Directories) -> User:
        found = await _found(directory, user)
        return await directory.people.set_active(found.id, active, OPERATOR)

    return on_directories(data_dir, change)


@command.command("set-password")
@click.argument("user")
@_password_stdin
@_common
def set_password(user: str, password_stdin: bool, data_dir: Path | None, as_json: bool) -> None:
    """Replaces a person's password."""
    found = on_directories(data_dir, lambda directory: _found(directory, user))
    password = _chosen_password(password_stdin)
    if password is None:
        raise click.UsageError("There is no terminal to ask for the password on: give it with --password-stdin.")
    on_directories(data_dir, lambda directory: directory.people.set_password(found, password, OPERATOR))
    _print(found, as_json=as_json, done=f"The password of {_name(found)} is replaced.")


@command.command("set-roles")
@click.argument("user")
@click.argument("roles", nargs=-1, metavar="[ROLE]...")
@_common
def set_roles(user: str, roles: tuple[str, ...], data_dir: Path | None, as_json: bool) -> None:
    """Replaces a person's roles: by those given, or by none."""

    async def change(directory: Directories) -> User:
        found = await _found(directory, user)
        return await directory.people.set_roles(found.id, roles, OPERATOR)

    changed = on_directories(data_dir, change)
    _print(changed, as_json=as_json, done=f"The roles of {_name(changed)} are set.")


async def _found(directory: Directories, text: str) -> User:
    """Raises NoSuchUser."""
    users = directory.store.users
    try:
        user = await users.by_id(UUID(text))
    except ValueError:
        user = None
    if user is None:
        named = await users.by_login_key(login_key(text))
        user = named.user if named else None
    if user is None:
        raise NoSuchUser(f"There is no user {safe(text)}. `idp users list` shows those there are.")
    return user


def _name(user: User) -> str:
    return safe(user.email)


def _print(user: User, *, as_json: bool, done: str | None = None) -> None:
    show(admin_record(user), as_json=as_json, text=done or fields(admin_record(user)))
