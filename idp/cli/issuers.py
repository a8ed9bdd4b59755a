"""`idp issuers`: outside issuers whose tokens stand for the credentials of our clients (workload identity)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from idp.cli.installation import data_dir_option
from idp.cli.jwks_option import jwks_option
from idp.cli.output import json_option, show
from idp.cli.session import on_directories
from idp.cli.tables import fields, safe, table
from idp.protocol.audit import OPERATOR
from idp.protocol.trusted_issuer import TrustedIssuer


@click.group
def command() -> None:
    """Says which outside issuers are trusted: of a Kubernetes cluster, or of a CI system."""


@command.command("add")
@click.argument("issuer")
@click.option("--client", "client_id", required=True, metavar="CLIENT_ID", help="Whose credentials its tokens replace.")
@click.option("--subject", required=True, metavar="S", help="Their sub; with a * at its end, how it begins.")
@click.option("--claim", "claims", multiple=True, metavar="NAME=VALUE", help="A claim that must have this value.")
@click.option("--audience", metavar="A", help="Their only aud; our own issuer if not given.")
@jwks_option("The issuer's public keys, as a JWK Set.")
@click.option("--jwks-uri", metavar="U", help="Where its public keys are.")
@click.option("--single-use", is_flag=True, help="Accept each token once; not for those of Kubernetes.")
@data_dir_option
@json_option
def add(data_dir: Path | None, as_json: bool, claims: tuple[str, ...], **rule: Any) -> None:
    """Lets tokens of an ISSUER stand for a client; --claim may be given several times."""
    added = TrustedIssuer(claims=_pairs(claims), **rule)
    on_directories(data_dir, lambda directory: directory.issuers.add(added, OPERATOR))
    record = rule_record(added)
    show(record, as_json=as_json, text=f"Tokens of {safe(added.issuer)} are accepted.\n{fields(record)}")


def _pairs(claims: Sequence[str]) -> Mapping[str, str]:
    pairs = {name: value for name, _, value in (claim.partition("=") for claim in claims)}
    if not all("=" in claim for claim in claims) or len(pairs) != len(claims):
        raise click.UsageError("A --claim is NAME=VALUE, each name once.")
    return pairs


@command.command("list")
@data_dir_option
@json_option
def list_(data_dir: Path | None, as_json: bool) -> None:
    """Lists the rules, by issuer."""
    records = [*map(rule_record, on_directories(data_dir, lambda directory: directory.store.trusted_issuers.all()))]
    columns = ("issuer", "client_id", "subject", "claims", "audience", "single_use", "jwks_uri")
    rows = ([record[name] for name in columns] for record in records)
    none = "No outside issuer is trusted. Add one with `idp issuers add ISSUER`."
    show({"issuers": records}, as_json=as_json, text=table(columns, rows, none=none))


@command.command("remove")
@click.argument("issuer")
@click.option("--client", "client_id", metavar="CLIENT_ID", help="Only the rules for this client.")
@click.option("--subject", metavar="S", help="Only the rules with exactly this subject.")
@data_dir_option
@json_option
def remove(issuer: str, client_id: str | None, subject: str | None, data_dir: Path | None, as_json: bool) -> None:
    """Trusts an ISSUER no more, or not for this client and subject. Tokens that clients have are good until they
    expire."""
    count = on_directories(data_dir, lambda directory: directory.issuers.remove(issuer, client_id, subject, OPERATOR))
    show({"issuer": issuer, "removed": count}, as_json=as_json, text=f"Removed rules of {safe(issuer)}: {count}.")


def rule_record(rule: TrustedIssuer) -> dict[str, Any]:
    """A rule as it is shown."""
    return {
        "issuer": rule.issuer,
        "client_id": rule.client_id,
        "subject": rule.subject,
        "claims": dict(rule.claims),
        "audience": rule.audience,
        "single_use": rule.single_use,
        "jwks": rule.jwks,
        "jwks_uri": rule.jwks_uri,
    }
