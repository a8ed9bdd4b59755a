"""What is filled in is what the service would have written; and no request reads a whole table."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
import httpx
import pytest

from bench.filling import Contents, Sizes, client_of, email_of, fill, id_of
from idp.cli.directories import directories
from idp.passwords.hashing import PasswordHasher, Peppers
from idp.protocol.client import secret_digest
from idp.settings import Settings
from idp.signing.server_secrets import RefreshTokenSecret
from keys.opaque import digest
from keys.sealing import Sealer
from tests.builders import PASSWORD
from tests.service import running, settings_for

SIZES = Sizes(users=40, clients=4, families=80)
FAMILY = 42
SECRET = "a secret that all clients have"
GROWING = "users, clients, client_secrets, refresh_families, login_tries, known_sources, revoked_tokens, audit_log"


@dataclass(frozen=True, slots=True)
class Crowd:
    """A database that was filled, and the refresh token of FAMILY."""

    settings: Settings
    refresh_token: str


@pytest.fixture
def crowd(database: str) -> Crowd:
    settings = settings_for(database)
    return Crowd(settings, asyncio.run(_filled(settings)))


async def _filled(settings: Settings) -> str:
    async with directories(settings) as directory:
        secret = RefreshTokenSecret(directory.store, Sealer(settings.key_encryption_keys))
        await secret.start()
        token = secret().new(id_of(FAMILY, SIZES.families))
        await directory.store.executor.execute("alter table clients alter may_introspect set default true")
    hasher = PasswordHasher(Peppers.of(settings.password_peppers), settings.bcrypt_cost)
    known = {FAMILY: digest(token)}
    contents = Contents(
        SIZES,
        hasher.hash(PASSWORD),
        secret_digest(SECRET),
        "read",
        "https://api.example.com",
        known,
        "127.0.0.1",
        datetime.now(UTC),
    )
    await fill(settings.database_url, contents)
    return token


@contextlib.contextmanager
def asking(crowd: Crowd) -> Iterator[Callable[..., Mapping[str, str]]]:
    """A service, which FAMILY's client asks by a path and a form."""
    client = client_of(FAMILY, SIZES), SECRET
    with running(crowd.settings) as service, httpx.Client(base_url=service.url, auth=client, timeout=30) as http:

        def post(path: str, **form: str) -> Mapping[str, str]:
            answer = http.post(path, data=form)
            assert answer.status_code == 200, answer.text
            return answer.json() if answer.content else {}

        yield post


def use_everything(crowd: Crowd) -> None:
    """A token, a login, a refresh, an introspection and a revocation, each of somebody who was filled in."""
    with asking(crowd) as post:
        post("/token", grant_type="client_credentials", scope="read")
        person = post("/token", grant_type="password", username=email_of(7), password=PASSWORD)
        refreshed = post("/token", grant_type="refresh_token", refresh_token=crowd.refresh_token)
        for token in (person["access_token"], refreshed["access_token"], refreshed["refresh_token"]):
            assert post("/introspect", token=token)["active"]
            post("/revoke", token=token)


def test_as_many_are_filled_in_as_were_asked_for(crowd: Crowd) -> None:
    counting = """select (select count(*) from users where email_key like 'person%') as users,
                      (select count(*) from client_secrets) as clients,
                      (select count(*) from known_sources) as places,
                      (select count(*) from refresh_families f join users u on u.id = f.user_id
                          join clients c using (client_id)) as families"""
    [counted] = asyncio.run(_fetch(crowd, counting))
    assert counted["places"] == SIZES.users
    assert Sizes(counted["users"], counted["clients"], counted["families"]) == SIZES


def test_a_family_is_as_large_as_the_service_leaves_it_after_a_refresh(crowd: Crowd) -> None:
    with asking(crowd) as post:
        post("/token", grant_type="refresh_token", refresh_token=crowd.refresh_token)
    sizes = "select id, pg_column_size(f) as bytes from refresh_families f"
    found = {row["id"]: row["bytes"] for row in asyncio.run(_fetch(crowd, sizes))}
    assert len(found) == SIZES.families
    assert set(found.values()) == {found[id_of(FAMILY, SIZES.families)]}


def test_people_log_in_from_where_they_did_before(crowd: Crowd) -> None:
    """Whoever is new somewhere costs a commit more, and all who are new there wait for one counter."""
    with asking(crowd) as post:
        post("/token", grant_type="password", username=email_of(7), password=PASSWORD)
    [places] = asyncio.run(_fetch(crowd, "select count(*) from known_sources"))
    assert places["count"] == SIZES.users


def test_no_request_reads_a_whole_table(crowd: Crowd) -> None:
    """With sequential scans made as dear as can be, PostgreSQL takes one only where no index helps."""
    asyncio.run(_execute(crowd, f"alter database {_name(crowd)} set enable_seqscan = off"))
    before = asyncio.run(_scans(crowd))
    use_everything(crowd)  # sessions that end have told what they did
    assert asyncio.run(_scans(crowd)) == before


def _name(crowd: Crowd) -> str:
    return crowd.settings.database_url.partition("?")[0].rpartition("/")[2]


async def _execute(crowd: Crowd, statement: str) -> None:
    connection = await asyncpg.connect(crowd.settings.database_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _scans(crowd: Crowd) -> Mapping[str, int]:
    """How often each table that grows was read from end to end."""
    counting = "select relname, seq_scan from pg_stat_user_tables where relname = any ($1)"
    return {row["relname"]: row["seq_scan"] for row in await _fetch(crowd, counting, GROWING.split(", "))}


async def _fetch(crowd: Crowd, query: str, *arguments: object) -> Sequence[asyncpg.Record]:
    connection = await asyncpg.connect(crowd.settings.database_url)
    try:
        return await connection.fetch(query, *arguments)
    finally:
        await connection.close()
