"""The schema's version: brought up to date by Alembic, and checked before serving."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_LOCK = 0x1D9_0001
_WAIT = 0.1
_LOCK_TIMEOUT = "3s"


class SchemaMismatch(Exception):  # noqa: N818 - says what to do, so it is shown as it is
    """The schema of the database is not one that this version can serve."""


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """What the database says of itself: its revision, and the oldest one whose code still runs against it."""

    revision: str | None
    minimum_revision: str | None = None


def _folder() -> Path:
    """Where the migrations are: inside the package when it comes from a wheel, beside it in a source tree."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise FileNotFoundError("The migrations are missing from this installation; install the package `idp` again.")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_folder()).replace("%", "%%"))
    return config


def code_revision() -> str:
    """The revision that this version of the code is made for."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def check(version: SchemaVersion, code: str) -> None:
    """Decides whether code made for the revision `code` may serve.

    Revisions are numbers in ascending order. An older schema never will do. A newer one does as long as its
    `minimum_revision` reaches back to us, which every migration that keeps old code running leaves as it is.
    Raises SchemaMismatch.
    """
    if version.revision is None:
        raise SchemaMismatch("The database has no schema yet. Run `idp migrate`, or start with `--migrate`.")
    if version.revision < code:
        raise SchemaMismatch(
            f"The schema is at revision {version.revision}, this version needs {code}. Run `idp migrate` first."
        )
    needed = version.minimum_revision or version.revision
    if needed > code:
        raise SchemaMismatch(
            f"The schema is at revision {version.revision} and needs code of revision {needed} or later; this version "
            f"is made for {code}. Start a newer version of idp."
        )


async def read(dsn: str) -> SchemaVersion:
    """The schema's version. Raises the errors of asyncpg and OSError when the database cannot be reached."""
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        if await connection.fetchval("select to_regclass('schema_info') is null"):
            return SchemaVersion(None)
        row = await connection.fetchrow(
            "select version_num, minimum_revision from alembic_version cross join schema_info"
        )
        return SchemaVersion(*row) if row else SchemaVersion(None)
    finally:
        await connection.close()


async def migrate(dsn: str) -> str | None:
    """Brings the schema up to date, once however many instances ask at once. Gives the new revision, if it is new.

    Raises SchemaMismatch when the schema is newer than the code and not made for it, or when a table was in use for
    too long; OSError and the errors of asyncpg when the database cannot be reached.
    """
    if not await _is_behind(dsn):
        return None
    engine = _engine(dsn)
    try:
        async with _locked(engine), engine.connect() as connection:
            if not await _is_behind(dsn):  # another instance was first, perhaps one of a newer version
                return None
            await connection.run_sync(_upgrade)
            return code_revision()
    except sa.exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == asyncpg.LockNotAvailableError.sqlstate:
            raise SchemaMismatch(
                f"The schema was not changed: something kept a table in use for {_LOCK_TIMEOUT}. Try again."
            ) from error
        raise
    finally:
        await engine.dispose()


async def _is_behind(dsn: str) -> bool:
    version, code = await read(dsn), code_revision()
    if version.revision is None or version.revision < code:
        return True
    check(version, code)
    return False


def _engine(dsn: str) -> AsyncEngine:
    """An engine over the DSN as asyncpg reads it, so that one DSN means one thing everywhere, `sslmode` included.

    A migration that waits for a table holds up every query that comes after it, so it does not wait for long.
    """

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        connection = await asyncpg.connect(dsn)
        await connection.execute(f"set lock_timeout = '{_LOCK_TIMEOUT}'")
        return connection

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=sa.NullPool)


@contextlib.asynccontextmanager
async def _locked(engine: AsyncEngine) -> AsyncIterator[None]:
    """Holds a session lock on a connection of its own, which goes with the process.

    It is polled for in autocommit: waiting inside a transaction would stop `create index concurrently`.
    """
    async with engine.connect() as plain:
        connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
        while not await connection.scalar(sa.text("select pg_try_advisory_lock(:lock)"), {"lock": _LOCK}):  # noqa: ASYNC110
            await asyncio.sleep(_WAIT)
        try:
            yield
        finally:
            await connection.execute(sa.text("select pg_advisory_unlock(:lock)"), {"lock": _LOCK})


def _upgrade(connection: sa.Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
