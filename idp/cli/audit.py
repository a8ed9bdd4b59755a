"""`idp audit`: the security events, as they were recorded."""

from collections.abc import Sequence
from pathlib import Path

import click

from idp.cli.directories import Directories
from idp.cli.installation import data_dir_option
from idp.cli.output import json_option, show
from idp.cli.session import on_directories
from idp.cli.tables import table
from idp.endpoints.admin_audit import audit_record
from idp.endpoints.instants import rfc3339
from idp.protocol.identity import login_key
from idp.store.audit import AuditRecord

_COLUMNS = ("at", "event", "outcome", "actor", "subject", "source", "detail")


@click.command
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 100_000), help="So many at most.")
@click.option("--event", help="Only events of this name, such as login.failed.")
@click.option("--subject", help="Only what this one did or had done to it: an id, a client_id or an e-mail address.")
@data_dir_option
@json_option
def command(limit: int, event: str | None, subject: str | None, data_dir: Path | None, as_json: bool) -> None:
    """Reads the audit log: the latest events, the newest last; with --json the newest first, as GET /admin/audit."""

    async def read(directory: Directories) -> Sequence[AuditRecord]:
        who = await _named(directory, subject) if subject else None
        return await directory.store.audit.page(limit=limit, event=event, subject=who)

    records = on_directories(data_dir, read)
    document = {"events": [audit_record(record) for record in records]}
    text = table(_COLUMNS, map(_row, reversed(records)), none="No such event is recorded.")
    show(document, as_json=as_json, text=text)


async def _named(directory: Directories, subject: str) -> str:
    """The log knows people by id. An address that is nobody's is looked for as it is: it may be a client_id."""
    found = await directory.store.users.by_login_key(login_key(subject)) if "@" in subject else None
    return str(found.user.id) if found else subject


def _row(record: AuditRecord) -> tuple[object, ...]:
    detail = [f"{name}={value}" for name, value in record.detail.items()]
    actor = record.actor or record.client_id
    return (rfc3339(record.at), record.event, record.outcome, actor, record.subject, record.source, detail)
