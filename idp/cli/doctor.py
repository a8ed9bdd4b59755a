"""`idp doctor`: looks the installation over and says what to do."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import asyncpg
import click
from rich.table import Table
from rich.text import Text

from idp import settings
from idp.cli import failures
from idp.cli.checks import (
    Check,
    Status,
    judge_clock,
    judge_database,
    judge_keys,
    judge_schema,
    read_database,
)
from idp.cli.directories import directories
from idp.cli.installation import data_dir_option, names_database, opened
from idp.cli.issuer_check import check_issuer
from idp.cli.output import json_option, run, show
from idp.cli.tables import rendered, safe
from idp.settings import Settings, SettingsError
from idp.store import schema
from keys.keyring import StoredKey
from keys.schedule import Phase
from keys.sealing import Sealer

_STYLES = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "bold red"}


@click.command
@click.option("--issuer", metavar="URL", help="Look for the service here, not where its settings say.")
@data_dir_option
@json_option
def command(issuer: str | None, data_dir: Path | None, as_json: bool) -> None:
    """Checks settings, database, clock, schema, keys and whether the issuer answers, and says what to do.

    The exit code is 1 if any check fails.
    """
    try:
        with _configured(data_dir) as (configured, checks):
            checks = [*checks, *run(_examined(configured, issuer, production=_is_production(data_dir)))]
    except SettingsError as error:
        checks = [Check("settings", Status.FAIL, *_split(problem)) for problem in error.problems]
    failed = any(check.status is Status.FAIL for check in checks)
    show({"ok": not failed, "checks": [*map(asdict, checks)]}, as_json=as_json, text=_drawn(checks))
    if failed:
        raise click.exceptions.Exit(1)


def _is_production(data_dir: Path | None) -> bool:
    """Whether the environment names the installation, as `opened` decides it."""
    return data_dir is None and names_database(os.environ)


@contextmanager
def _configured(data_dir: Path | None) -> Iterator[tuple[Settings, list[Check]]]:
    """The settings and what is to be said of them; in production exactly those that `idp serve` would run with."""
    if not _is_production(data_dir):
        with opened(data_dir) as configured:
            yield configured, [Check("settings", Status.OK, "complete, by `idp dev`")]
        return
    configured, unknown = settings.from_environment(os.environ)
    strange = [f"{name} is not a setting of this version. Remove it, or correct its name." for name in unknown]
    warnings = [Check("settings", Status.WARN, *_split(warning)) for warning in (*configured.warnings, *strange)]
    yield configured, warnings or [Check("settings", Status.OK, "complete")]


async def _examined(configured: Settings, issuer: str | None, *, production: bool) -> list[Check]:
    """The checks from the database on; what rests on something that failed is left out."""
    try:
        facts = await read_database(configured.database_url)
        version = await schema.read(configured.database_url)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        unnamed = f"the database refuses: {error}", "Check IDP_DATABASE_URL."
        return [Check("database", Status.FAIL, *(failures.of_database(error) or unnamed))]
    checks = [
        judge_database(facts),
        judge_clock(facts.ahead, configured.clock_skew),
        judge_schema(version, schema.code_revision()),
    ]
    if checks[-1].status is Status.FAIL:
        return checks
    keys, now = await _read_keys(configured)
    checks += judge_keys(keys, now, Sealer(configured.key_encryption_keys))
    signing = next((key.kid for key in keys if key.lifetime.phase(now) is Phase.SIGNING), None)
    return [*checks, _issuer_check(issuer or configured.issuer, signing, production=production)]


async def _read_keys(configured: Settings) -> tuple[Sequence[StoredKey], float]:
    async with directories(configured) as directory:
        return await directory.store.signing_keys.all(), await directory.store.now()


def _issuer_check(issuer: str, signing_kid: str | None, *, production: bool) -> Check:
    if production:
        advice = "Start `idp serve`, and see that DNS, certificate and proxy lead from IDP_ISSUER to it."
        return check_issuer(issuer, signing_kid, unreachable=Status.FAIL, advice=advice)
    advice = "Start `idp dev`; if it runs elsewhere, name it with --issuer http://localhost:PORT."
    return check_issuer(issuer, signing_kid, unreachable=Status.WARN, advice=advice)


def _split(sentences: str) -> tuple[str, str]:
    """What is so, and what to do about it: the first sentence and the rest."""
    found, _, advice = sentences.partition(". ")
    return found.rstrip("."), advice


def _drawn(checks: Sequence[Check]) -> str:
    drawn = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for check in checks:
        drawn.add_row(Text(check.status.value, _STYLES[check.status]), check.name, Text(safe(check.message)))
        if check.advice:
            drawn.add_row("", "", Text(f"-> {safe(check.advice)}", "bold"))
    return rendered(drawn)
