"""`idp dev`: the real service on an embedded real PostgreSQL, ready to be tried in one command."""

import secrets
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click

from idp.cli.directories import Directories, directories
from idp.cli.installation import DATA_DIR, DEV_CLIENT_ID, create, dev_settings, remember_port
from idp.cli.output import run
from idp.cli.server import listen, run_in_process
from idp.directory.people import Registration
from idp.protocol.audit import OPERATOR
from idp.protocol.client import Client
from idp.settings import Settings

ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class FirstAdministrator:
    """Made when there is none; the password is shown once."""

    username: str
    password: str | None


@click.command
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@click.option("--data-dir", default=DATA_DIR, show_default=True, type=click.Path(path_type=Path, file_okay=False))
def command(host: str, port: int, data_dir: Path) -> None:
    """Runs the real service on a PostgreSQL of its own, for development.

    Everything it needs is in the data directory: remove it to begin anew.
    """
    started = time.monotonic()
    sockets = listen(host, port)
    port = sockets[0].getsockname()[1]
    create(data_dir)
    remember_port(data_dir, port)
    with dev_settings(data_dir, port=port) as settings:
        from idp import app, log  # imported while PostgreSQL is at work already
        from idp.parts import Parts
        from idp.store import schema

        log.configure(settings.log_format, settings.log_level)
        run(schema.migrate(settings.database_url))
        administrator = run(_first_administrator(settings))
        application = app.build(settings, Parts.of(settings))
        code = run_in_process(
            application,
            sockets,
            announce=lambda: _announce(settings.issuer, data_dir, administrator, time.monotonic() - started),
        )
    sys.exit(code)


async def _first_administrator(settings: Settings) -> FirstAdministrator:
    """Makes what a first start needs: the default client, and an administrator if there is none."""
    async with directories(settings) as directory:
        await _ensure_default_client(directory)
        if await directory.store.users.administrator_exists():
            return FirstAdministrator(ADMIN, None)
        password = secrets.token_urlsafe(18)
        await directory.people.register(Registration("admin@example.com", password, ADMIN, roles=("admin",)), OPERATOR)
        return FirstAdministrator(ADMIN, password)


async def _ensure_default_client(directory: Directories) -> None:
    if await directory.store.clients.find(DEV_CLIENT_ID) is None:
        client = Client(DEV_CLIENT_ID, "idp dev", "none", frozenset({"password"}))
        await directory.clients.add(client, None, OPERATOR)


def _announce(issuer: str, data_dir: Path, administrator: FirstAdministrator, seconds: float) -> None:
    style = click.style
    lines = [
        "",
        f"  {style('idp', bold=True)} is ready at {style(issuer, fg='cyan', underline=True)}  ({seconds:.1f} s)",
        "",
        f"  API and Swagger UI   {issuer}/docs",
        f"  keys for verifiers   {issuer}/.well-known/jwks.json",
        f"  metadata             {issuer}/.well-known/openid-configuration",
        f"  data                 {data_dir.resolve()}",
        "",
    ]
    if administrator.password:
        lines += [
            f"  administrator        {administrator.username}",
            f"  password             {style(administrator.password, bold=True)}  (shown this once)",
            "",
        ]
    lines += [
        "  Get a token, then use it:",
        "",
        *curl_lines(issuer, administrator),
        "",
        "  Ctrl-C stops it.",
        "",
    ]
    click.echo("\n".join(lines))


def curl_lines(issuer: str, administrator: FirstAdministrator) -> list[str]:
    """Two lines for any POSIX shell. Without the password at hand the first one asks for it, unseen."""
    extract = r"""sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p'"""
    if administrator.password:
        ask, password = "", shlex.quote(f"password={administrator.password}")
    else:
        ask = "printf 'Password: ' >&2; stty -echo; read -r PASSWORD; stty echo; echo >&2; "
        password = '"password=$PASSWORD"'  # noqa: S105 - the name of a shell variable
    data = f"-d username={administrator.username} --data-urlencode {password}"
    return [
        f"{ask}TOKEN=$(curl -sS {issuer}/token {data} | {extract})",
        f'curl -sS {issuer}/users/me -H "Authorization: Bearer $TOKEN"',
    ]
