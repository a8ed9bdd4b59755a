"""`idp migrate`: brings the schema up to date; safe when many instances call it at once."""

from pathlib import Path

import click

from idp.cli.installation import data_dir_option, opened
from idp.cli.output import json_option, run, show


@click.command
@data_dir_option
@json_option
def command(data_dir: Path | None, as_json: bool) -> None:
    """Brings the schema up to date. Many instances may call it at once: it is applied once."""
    from idp.store import schema

    with opened(data_dir) as settings:
        applied = run(schema.migrate(settings.database_url))
        revision = applied or run(schema.read(settings.database_url)).revision
        text = (
            f"The schema is now at revision {revision}."
            if applied
            else f"The schema is at revision {revision} already."
        )
        show({"revision": revision, "applied": applied is not None}, as_json=as_json, text=text)
