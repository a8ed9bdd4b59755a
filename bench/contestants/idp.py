"""Our service as operators run it: `idp serve --workers 2` on PostgreSQL, with everything that it does by default."""

import asyncio
import base64
import contextlib
import json
import os
import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.benchmark import OURS
from bench.contestants import AUDIENCE, CLIENT, SCOPE, Contestant
from bench.ground import Ground
from bench.load import LoadFailed, Request, form
from bench.servers import Asked, Server, free_port, started
from idp.cli.directories import Directories, directories
from idp.directory.people import Registration
from idp.protocol.audit import OPERATOR
from idp.protocol.client import Client
from idp.settings import Settings, from_environment
from idp.store import schema

WORKERS = 2
PEOPLE = 16
PASSWORD = "correct horse battery staple"  # noqa: S105 - of nobody

_ASKED = Asked(
    token=form("/token", CLIENT, grant_type="client_credentials", scope=SCOPE),
    keys=Request("GET", "/.well-known/jwks.json"),
    cheap=Request("GET", "/healthz"),
)


@dataclass(frozen=True, slots=True)
class Installation:
    """A database that has been prepared, and what `idp serve` is told of it."""

    port: int
    environment: dict[str, str]

    @property
    def settings(self) -> Settings:
        return from_environment(self.environment)[0]


@contextlib.contextmanager
def serving(ground: Ground, name: str, *, people: int = 0, **changes: str) -> Iterator[Server]:
    """Runs it on a database of its own with one client, and people who may log in through it."""
    with serving_on(ground, name, prepared(ground, name, people=people, **changes)) as server:
        yield server


def prepared(ground: Ground, name: str, *, people: int = 0, **changes: str) -> Installation:
    """Makes the database, the client and the people. `changes` are settings."""
    port = free_port()
    installation = Installation(port, _environment(ground.database(name), port) | changes)
    asyncio.run(_prepare(installation.settings, people))
    return installation


def serving_on(ground: Ground, name: str, installation: Installation) -> contextlib.AbstractContextManager[Server]:
    """Runs it on a database that has been prepared."""
    idp = str(Path(sys.executable).with_name("idp"))
    return started(
        name,
        [idp, "serve", "--port", str(installation.port), "--workers", str(WORKERS)],
        _ASKED,
        port=installation.port,
        folder=ground.folder,
        processes=WORKERS,
        environment=installation.environment,
        ready=Request("GET", "/readyz"),
    )


def _environment(dsn: str, port: int) -> dict[str, str]:
    """What `idp serve` demands, and nothing that makes it faster."""
    return {
        "IDP_ISSUER": f"http://localhost:{port}",
        "IDP_DATABASE_URL": dsn,
        "IDP_KEY_ENCRYPTION_KEY": base64.b64encode(os.urandom(32)).decode(),
        "IDP_PASSWORD_PEPPER": secrets.token_urlsafe(32),
    }


async def _prepare(configured: Settings, people: int) -> None:
    await schema.migrate(configured.database_url)
    async with directories(configured) as directory:
        await _register(directory, people)


async def _register(directory: Directories, people: int) -> None:
    client = Client(
        client_id=CLIENT[0],
        name="benchmarks",
        token_endpoint_auth_method="client_secret_basic",  # noqa: S106 - its registered name
        grant_types=frozenset({"client_credentials", "password", "refresh_token"}),
        scopes=(SCOPE,),
        audiences=(AUDIENCE,),
        may_introspect=True,
    )
    await directory.clients.add(client, CLIENT[1], OPERATOR)
    for number in range(people):
        await directory.people.register(Registration(_email_of(number), PASSWORD), OPERATOR)


def _email_of(number: int) -> str:
    return f"person{number}@example.com"


def logins_of_people(count: int) -> Sequence[Request]:
    """As many logins, by turns of all the people."""
    return [
        form("/token", CLIENT, grant_type="password", username=_email_of(number % PEOPLE), password=PASSWORD)
        for number in range(count)
    ]


def answered(server: Server, request: Request) -> dict[str, str]:
    """Asks once. Gives the answer's strings. Raises LoadFailed."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{request.path}", request.body.encode(), dict(request.headers)
    )
    try:
        with urllib.request.urlopen(asked) as answer:  # noqa: S310 - loopback
            found: dict[str, str] = json.load(answer)
            return found
    except urllib.error.HTTPError as refusal:
        raise LoadFailed(f"{request.path} answers {refusal.code}: {refusal.read()!r}") from None


def refreshing(refresh_token: str) -> Request:
    """Spends a refresh token. It comes last, where the client that measures looks for it."""
    return form("/token", CLIENT, grant_type="refresh_token", refresh_token=refresh_token)


IDP = Contestant(OURS, partial(serving, name=OURS))
IDP_ES256 = Contestant("idp ES256", partial(serving, name="idp ES256", IDP_SIGNING_ALGORITHM="ES256"))
