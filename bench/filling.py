"""Fills a database with people, clients and families of refresh tokens, as fast as COPY goes.

Everybody has a number, from which all else follows. Ids are numbers spread over all UUIDs, so that rows come in the
order of their keys, and no index is filled at random.
"""

import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from idp.cli.progress import progress_bar

CLIENT_GRANTS = ("client_credentials", "password", "refresh_token")
_CHUNK = 2000
"""Rows in each piece of COPY: some hundred kilobytes."""
_UUIDS = 1 << 128
_SEALED_BYTES = 12 + 86 + 16
"""Of the successor of a refresh token, as it is stored: nonce, token, tag."""
_LIVING = timedelta(days=1)
_MEBIBYTE = 2**20
TABLES = ("users", "known_sources", "clients", "client_secrets", "refresh_families")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many there are of each."""

    users: int
    clients: int
    families: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What the tables are to hold, as it is stored.

    All people have one password, all clients one secret. `known` has the digests of the refresh tokens that are to be
    used, by the number of their family; the others are nobody's. People have logged in from `source` before. Families
    are as one refresh at `now` leaves them, and live for a day.
    """

    sizes: Sizes
    password_hash: str
    secret_digest: bytes
    scope: str
    audience: str
    known: Mapping[int, bytes]
    source: str
    now: datetime


@dataclass(frozen=True, slots=True)
class _Table:
    """A table to fill: `row` gives the columns of a row by its number."""

    name: str
    columns: Sequence[str]
    count: int
    row: Callable[[int], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Space:
    """What a table takes on disk, in mebibytes."""

    table: float
    indexes: float


def id_of(number: int, count: int) -> UUID:
    """The id of one of `count` people or families."""
    return UUID(int=number * (_UUIDS // count))


def email_of(number: int) -> str:
    return f"person{number:08}@example.com"


def client_of(number: int, sizes: Sizes) -> str:
    """The client of a family, or of whatever else has a number."""
    return f"client{number % sizes.clients:08}"


async def fill(dsn: str, contents: Contents) -> None:
    """Fills the tables, shows a bar on a terminal, and leaves them as autovacuum would."""
    connection = await asyncpg.connect(
        dsn,
        server_settings={
            "session_replication_role": "replica",  # foreign keys hold anyway, and are not looked up 20,000,000 times
            "synchronous_commit": "off",
        },
    )
    try:
        for table in (each(contents) for each in (_users, _known_sources, _clients, _client_secrets, _families)):
            await _copy(connection, table)
        await connection.execute(f"vacuum (freeze, analyze) {', '.join(TABLES)}")
        await connection.execute("checkpoint")
    finally:
        await connection.close()


async def space(dsn: str) -> Mapping[str, Space]:
    """What each of TABLES takes."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "select name, pg_table_size(name::regclass) as bytes, pg_indexes_size(name::regclass) as of_indexes"
            " from unnest($1::text[]) as name",
            TABLES,
        )
    finally:
        await connection.close()
    return {row["name"]: Space(row["bytes"] / _MEBIBYTE, row["of_indexes"] / _MEBIBYTE) for row in rows}


async def _copy(connection: "asyncpg.Connection[asyncpg.Record]", table: _Table) -> None:
    done = 0
    with progress_bar(f"{table.name:<16}", table.count, lambda: done) as moved:

        async def source() -> AsyncIterator[bytes]:
            nonlocal done
            for start in range(0, table.count, _CHUNK):
                numbers = range(start, min(start + _CHUNK, table.count))
                yield "".join("\t".join(table.row(number)) + "\n" for number in numbers).encode()
                done = numbers.stop
                moved()

        await connection.copy_to_table(table.name, source=source(), columns=table.columns)


def _users(contents: Contents) -> _Table:
    count, password_hash = contents.sizes.users, contents.password_hash

    def row(number: int) -> Sequence[str]:
        return str(id_of(number, count)), email_of(number), email_of(number), password_hash

    return _Table("users", ("id", "email", "email_key", "password_hash"), count, row)


def _known_sources(contents: Contents) -> _Table:
    count, source = contents.sizes.users, contents.source

    def row(number: int) -> Sequence[str]:
        return str(id_of(number, count)), source

    return _Table("known_sources", ("user_id", "source"), count, row)


def _clients(contents: Contents) -> _Table:
    grants, scopes, audiences = map(_array, (CLIENT_GRANTS, (contents.scope,), (contents.audience,)))

    def row(number: int) -> Sequence[str]:
        client_id = client_of(number, contents.sizes)
        return client_id, client_id, "client_secret_basic", grants, scopes, audiences

    columns = ("client_id", "name", "token_endpoint_auth_method", "grant_types", "scopes", "audiences")
    return _Table("clients", columns, contents.sizes.clients, row)


def _client_secrets(contents: Contents) -> _Table:
    digest = _bytea(contents.secret_digest)

    def row(number: int) -> Sequence[str]:
        return client_of(number, contents.sizes), digest

    return _Table("client_secrets", ("client_id", "digest"), contents.sizes.clients, row)


def _families(contents: Contents) -> _Table:
    sizes, known = contents.sizes, contents.known
    scopes, audiences, amr = map(_array, ((contents.scope,), (contents.audience,), ("pwd",)))
    now = str(contents.now)

    def row(number: int) -> Sequence[str]:
        current = known.get(number) or secrets.token_bytes(32)
        secret = current, secrets.token_bytes(32), secrets.token_bytes(_SEALED_BYTES)
        user_id = id_of(number % sizes.users, sizes.users)
        owner = str(id_of(number, sizes.families)), client_of(number, sizes), str(user_id)
        # No two end at the same instant: the index would keep such ones together, in less room than in life.
        end = str(contents.now + _LIVING + timedelta(microseconds=number))
        return *owner, scopes, audiences, amr, *map(_bytea, secret), now, now, end, end

    columns = (
        *("id", "client_id", "user_id", "scopes", "audiences", "amr"),
        *("current_digest", "previous_digest", "sealed_successor"),
        *("auth_time", "rotated_at", "idle_until", "expires_at"),
    )
    return _Table("refresh_families", columns, sizes.families, row)


def _array(values: Sequence[str]) -> str:
    return f"{{{','.join(values)}}}"


def _bytea(octets: bytes) -> str:
    return f"\\\\x{octets.hex()}"  # COPY takes a backslash for an escape
