"""`idp clients`: the applications that may ask for tokens."""

from pathlib import Path
from typing import Any

import click

from idp.cli.client_options import LISTS, cleared, described, metadata_options
from idp.cli.directories import Directories
from idp.cli.installation import data_dir_option
from idp.cli.output import json_option, show
from idp.cli.secret_input import on_terminal, piped
from idp.cli.session import on_directories
from idp.cli.tables import fields, safe, table
from idp.directory.clients import (
    SECRET_OVERLAP,
    NoSuchClient,
    checked_secret,
    default_grant_types,
    new_secret,
)
from idp.endpoints.admin_clients import client_record
from idp.endpoints.instants import rfc3339
from idp.grants import GRANTS
from idp.protocol.audit import OPERATOR
from idp.protocol.client import PRIVATE_KEY_JWT, Client

_PAGE = 1_000
_ONCE = "\nThe secret is shown this once."

_secret_stdin = click.option("--secret-stdin", is_flag=True, help="Read the secret from standard input.")


@click.group
def command() -> None:
    """Registers and changes clients, the applications that may ask for tokens."""


@command.command("add")
@click.argument("client_id")
@metadata_options
@click.option("--public", is_flag=True, help="A client that cannot keep a secret, in a browser or on a device.")
@_secret_stdin
@data_dir_option
@json_option
def add(
    client_id: str, public: bool, secret_stdin: bool, data_dir: Path | None, as_json: bool, **metadata: Any
) -> None:
    """Registers a client; options for lists may be given several times.

    Makes a secret and prints it, this once, unless the client is public or uses private_key_jwt. Without --grant it
    may use client_credentials, a public one authorization_code and refresh_token.
    """
    client = _new_client(client_id, public, metadata)
    if secret_stdin and not client.uses_secret:
        raise click.UsageError("Such a client has no secret: leave out --secret-stdin, or the option that says so.")
    made = new_secret() if client.uses_secret and not secret_stdin else None
    secret = checked_secret(piped("secret")) if secret_stdin else made
    on_directories(data_dir, lambda directory: directory.clients.add(client, secret, OPERATOR))
    record = client_record(client) | ({"client_secret": made} if made else {})
    text = f"Registered the client {safe(client_id)}.\n{fields(record)}" + (_ONCE if made else "")
    show(record, as_json=as_json, text=text + _not_answered_yet(client) + _unused_keys(client))


def _not_answered_yet(client: Client) -> str:
    """Clients can be prepared for grants that this version does not answer to; whoever does it should know."""
    coming = client.grant_types - {grant.grant_type for grant in GRANTS}
    return f"\nThis version does not answer to {', '.join(sorted(coming))} yet." if coming else ""


def _unused_keys(client: Client) -> str:
    """Keys alone change nothing, and a secret that was made beside them would be the one credential."""
    has_keys = client.jwks is not None or client.jwks_uri is not None
    unused = has_keys and client.token_endpoint_auth_method != PRIVATE_KEY_JWT
    return f"\nIts keys are not used: that takes --auth-method {PRIVATE_KEY_JWT}." if unused else ""


def _new_client(client_id: str, public: bool, metadata: dict[str, Any]) -> Client:
    method = metadata["token_endpoint_auth_method"] or ("none" if public else "client_secret_basic")
    if public and method != "none":
        raise click.UsageError(f"A public client cannot authenticate by {method}: leave out one of the two options.")
    grants = frozenset(default_grant_types(public=method == "none"))
    return described(Client(client_id, client_id, method, grants), metadata)


@command.command("list")
@data_dir_option
@json_option
def list_(data_dir: Path | None, as_json: bool) -> None:
    """Lists the clients, in the order of their ids."""

    async def read(directory: Directories) -> list[Client]:
        clients: list[Client] = []
        while page := await directory.store.clients.page(after=clients[-1].client_id if clients else None, limit=_PAGE):
            clients += page
        return clients

    clients = on_directories(data_dir, read)
    columns = ("client_id", "name", "auth_method", "grants", "scope", "audiences")
    rows = (
        (
            client.client_id,
            client.name,
            client.token_endpoint_auth_method,
            sorted(client.grant_types),
            client.scopes,
            client.audiences,
        )
        for client in clients
    )
    none = "There are no clients yet. Register one with `idp clients add CLIENT_ID`."
    show({"clients": [*map(client_record, clients)]}, as_json=as_json, text=table(columns, rows, none=none))


@command.command("show")
@click.argument("client_id")
@data_dir_option
@json_option
def show_(client_id: str, data_dir: Path | None, as_json: bool) -> None:
    """Shows what a client is registered with; a secret cannot be shown again."""
    record = client_record(on_directories(data_dir, lambda directory: _found(directory, client_id)))
    show(record, as_json=as_json, text=fields(record))


@command.command("update")
@click.argument("client_id")
@metadata_options
@click.option("--clear", "lists", multiple=True, type=click.Choice(list(LISTS)), help="Empty this list first.")
@data_dir_option
@json_option
def update(client_id: str, lists: tuple[str, ...], data_dir: Path | None, as_json: bool, **metadata: Any) -> None:
    """Changes what the options name and leaves the rest; a list is replaced by the values given."""

    async def change(directory: Directories) -> Client:
        before = await _found(directory, client_id)
        after = described(cleared(before, lists), metadata)
        if before.is_public != after.is_public:
            raise click.UsageError(
                "A client stays public or confidential for life: remove it and add it again to change that."
            )
        await directory.clients.update(after, OPERATOR)
        return after

    if not lists and all(value in (None, ()) for value in metadata.values()):
        raise click.UsageError("Say what to change; `idp clients update --help` lists the options.")
    client = on_directories(data_dir, change)
    record = client_record(client)
    text = f"Changed the client {safe(client_id)}.\n{fields(record)}"
    show(record, as_json=as_json, text=text + _no_secret_yet(client) + _unused_keys(client))


def _no_secret_yet(client: Client) -> str:
    """One that turned away from keys cannot prove itself until it is given a secret."""
    missing = client.uses_secret and not client.secrets
    return f"\nIt has no secret yet: `idp clients rotate-secret {safe(client.client_id)}` makes one." if missing else ""


@command.command("rotate-secret")
@click.argument("client_id")
@_secret_stdin
@click.option(
    "--overlap",
    default=SECRET_OVERLAP,
    show_default=True,
    type=click.IntRange(0, 366 * 86400),
    metavar="SECONDS",
    help="For so long the old secret works beside the new one; 0 for one that leaked.",
)
@data_dir_option
@json_option
def rotate_secret(client_id: str, secret_stdin: bool, overlap: int, data_dir: Path | None, as_json: bool) -> None:
    """Gives a client a new secret and prints it, this once; the old one works on for a while."""
    made = None if secret_stdin else new_secret()
    secret = made or checked_secret(piped("secret"))
    ends = on_directories(
        data_dir,
        lambda directory: directory.clients.rotate_secret(client_id, secret, OPERATOR, overlap=overlap),
    )
    record = {"client_id": client_id} | ({"client_secret": made} if made else {})
    record["old_secret_until"] = rfc3339(ends) or ""
    text = f"{safe(client_id)} has a new secret.\n{fields(record)}" + (_ONCE if made else "")
    show(record, as_json=as_json, text=text)


@command.command("remove")
@click.argument("client_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_dir_option
@json_option
def remove(client_id: str, yes: bool, data_dir: Path | None, as_json: bool) -> None:
    """Removes a client. Asks first, if on a terminal."""
    if on_terminal() and not yes:
        on_directories(data_dir, lambda directory: _found(directory, client_id))
        click.confirm(f"Remove the client {safe(client_id)}? It will get no more tokens.", abort=True, err=True)
    on_directories(data_dir, lambda directory: directory.clients.remove(client_id, OPERATOR))
    show({"client_id": client_id, "removed": True}, as_json=as_json, text=f"Removed the client {safe(client_id)}.")


async def _found(directory: Directories, client_id: str) -> Client:
    """Raises NoSuchClient."""
    client = await directory.store.clients.find(client_id)
    if client is None:
        raise NoSuchClient(f"There is no client {safe(client_id)}. `idp clients list` shows those there are.")
    return client
