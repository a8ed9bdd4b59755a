"""`idp recover`: after a restore of a backup, nothing that the backup holds may sign or be used any more."""

from pathlib import Path

import click

from idp.cli.directories import Directories
from idp.cli.installation import data_dir_option
from idp.cli.output import json_option, show
from idp.cli.session import on_directories
from idp.protocol.audit import OPERATOR


@click.command
@data_dir_option
@json_option
def command(data_dir: Path | None, as_json: bool) -> None:
    """Revokes every signing key of a restored backup, and makes new ones. Run it before the service starts."""

    async def work(directory: Directories) -> list[str]:
        return [key.kid for key in await directory.keys.recover(OPERATOR)]

    kids = on_directories(data_dir, work)
    text = f"{len(kids)} signing keys of the backup are revoked, new ones are made. The service may start now."
    show({"revoked_keys": kids}, as_json=as_json, text=text)
