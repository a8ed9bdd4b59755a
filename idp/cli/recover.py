"""`idp recover`: after a restore of a backup, nothing that the backup holds may sign or be used any more."""

from pathlib import Path

import click

from idp.cli.directories import Directories
from idp.cli.installation import data_dir_option
from idp.cli.output import json_option, show
from idp.cli.session import on_directories
from idp.protocol.audit import OPERATOR
from idp.signing.recovery import Recovery, recover


@click.command
@data_dir_option
@json_option
def command(data_dir: Path | None, as_json: bool) -> None:
    """Revokes every signing key and refresh token of a restored backup, and makes new keys. Run it before the service
    starts."""

    async def work(directory: Directories) -> Recovery:
        return await recover(directory.store, directory.keys, OPERATOR)

    recovered = on_directories(data_dir, work)
    kids = [key.kid for key in recovered.keys]
    text = (
        f"Signing keys of the backup revoked: {len(kids)}; new ones are made. Families of refresh tokens ended: "
        f"{recovered.families}; the secret that made them is forgotten, and everybody logs in again. The service may "
        "start now."
    )
    show({"revoked_keys": kids, "ended_families": recovered.families}, as_json=as_json, text=text)
