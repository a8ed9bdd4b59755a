"""`idp keys`: the signing keys and where each is in its life."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from idp.cli.directories import Directories
from idp.cli.installation import data_dir_option
from idp.cli.key_changes import COMMANDS
from idp.cli.output import json_option, show
from idp.cli.session import on_directories
from idp.cli.tables import table
from idp.endpoints.admin_keys import key_record
from keys.keyring import StoredKey

_COLUMNS = ("kid", "alg", "phase", "sign_from", "sign_until", "verify_until")


@click.group
def command() -> None:
    """Shows and changes the signing keys."""


for change in COMMANDS:
    command.add_command(change)


@command.command("list")
@data_dir_option
@json_option
def list_(data_dir: Path | None, as_json: bool) -> None:
    """Lists the keys in the order in which they sign. Phases and times go by the database's clock, in UTC."""
    keys, now = on_directories(data_dir, _read)
    document = {"keys": [key_record(key, now) for key in keys]}
    show(document, as_json=as_json, text=_drawn(keys, now))


async def _read(directory: Directories) -> tuple[Sequence[StoredKey], float]:
    return await directory.store.signing_keys.all(), await directory.store.now()


def _drawn(keys: Sequence[StoredKey], now: float) -> str:
    rows = [
        (
            key.kid,
            key.alg,
            key.lifetime.phase(now).value,
            *map(_moment, (key.lifetime.sign_from, key.lifetime.sign_until, key.lifetime.verify_until)),
        )
        for key in keys
    ]
    return table(_COLUMNS, rows, none="There are no keys yet: the first start of the service makes them.")


def _moment(instant: float) -> str:
    """To the second, because test installations rotate within minutes."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M:%S")
