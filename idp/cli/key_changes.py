"""`idp keys rotate`, `revoke`, `reseal`, `import`, and `idp recover`: what changes the key table."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from idp.cli.directories import Directories
from idp.cli.installation import data_dir_option
from idp.cli.key_plan import drawn
from idp.cli.output import json_option, show
from idp.cli.session import on_directories
from idp.endpoints.admin_keys import key_record, revocation_record, rotation_record
from idp.endpoints.instants import rfc3339
from idp.protocol.audit import OPERATOR
from idp.signing import server_secrets

DAY = 86400


@click.command
@click.option("--now", "immediate", is_flag=True, help="Sign with the next key at once; verifiers may notice.")
@data_dir_option
@json_option
def rotate(data_dir: Path | None, immediate: bool, as_json: bool) -> None:
    """Lets the next key sign, as soon as no verifier can notice."""

    async def work(directory: Directories) -> dict[str, Any]:
        answer = await directory.keys.rotate(OPERATOR, immediate=immediate)
        return {**rotation_record(answer, directory.cached_for), "new": answer.new}

    record = on_directories(data_dir, work)
    begun = "" if record["new"] else "This rotation was asked for already. "
    show(record, as_json=as_json, text=f"{begun}{record['kid']} signs from {record['sign_from']}.\n{record['notice']}")


@click.command
@click.argument("kid")
@data_dir_option
@json_option
def revoke(data_dir: Path | None, kid: str, as_json: bool) -> None:
    """Ends a key at once: for one that somebody else may hold."""

    async def work(directory: Directories) -> dict[str, Any]:
        return revocation_record(await directory.keys.revoke(kid, OPERATOR), directory.cached_for)

    record = on_directories(data_dir, work)
    alive = [f"  {client}: {count}" for client, count in record["tokens_alive"].items()] or ["  none"]
    accepted = [f"  {who}: {until}" for who, until in record["may_still_be_accepted"].items()]
    lines = [
        f"{kid} is revoked; {record['signing']} signs.",
        "Tokens of the key that had not expired, by client:",
        *alive,
        "Until when they may still be accepted:",
        *accepted,
    ]
    show(record, as_json=as_json, text="\n".join(lines))


@click.command
@data_dir_option
@json_option
def plan(data_dir: Path | None, as_json: bool) -> None:
    """Draws the timeline of every key."""

    async def work(directory: Directories) -> tuple[Any, str]:
        keys, now = await directory.store.signing_keys.all(), await directory.store.now()
        document = {"now": rfc3339(now), "keys": [key_record(key, now) for key in keys]}
        return document, drawn(keys, now, shutil.get_terminal_size((100, 24)).columns)

    document, text = on_directories(data_dir, work)
    show(document, as_json=as_json, text=text)


@click.command
@data_dir_option
@json_option
def reseal(data_dir: Path | None, as_json: bool) -> None:
    """Seals every private key and secret with the first of the keys in IDP_KEY_ENCRYPTION_KEY; the others may then
    go."""

    async def work(directory: Directories) -> int:
        private_keys = await directory.keys.reseal(OPERATOR)
        return private_keys + await server_secrets.reseal(directory.store, directory.keys.sealer, OPERATOR)

    count = on_directories(data_dir, work)
    text = f"Sealed anew: {count}." if count else "Every private key and secret is sealed with the first key already."
    show({"resealed": count}, as_json=as_json, text=text)


@click.command("import")
@click.option(
    "--public", "file", required=True, type=click.Path(path_type=Path, dir_okay=False), help="A JWK Set or JWK."
)
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 3660), help="How long they verify.")
@data_dir_option
@json_option
def import_(data_dir: Path | None, file: Path, days: int, as_json: bool) -> None:
    """Publishes a predecessor's public keys, so that tokens which it issued stay good."""
    jwks = _read_jwks(file)

    async def work(directory: Directories) -> Sequence[str]:
        until = await directory.store.now() + days * DAY
        return await directory.keys.import_public(jwks, float(int(until)), OPERATOR)

    kids = on_directories(data_dir, work)
    show({"imported": kids}, as_json=as_json, text=f"Imported: {', '.join(kids) or 'none that was not there already'}.")


def _read_jwks(file: Path) -> Sequence[Mapping[str, Any]]:
    try:
        document = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{file} is not a JWK Set that can be read: {error}.") from None
    jwks = document.get("keys", [document]) if isinstance(document, dict) else None
    if not isinstance(jwks, list) or not all(isinstance(jwk, dict) for jwk in jwks):
        raise click.ClickException(f"{file} is neither a JWK Set nor a JWK.")
    return jwks


COMMANDS = (rotate, revoke, plan, reseal, import_)
