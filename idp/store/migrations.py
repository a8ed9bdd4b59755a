"""Carrying out migrations, by Alembic."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from idp.store.schema import SchemaMismatch, code_revision, is_behind, migrations_folder

_LOCK = 0x1D9_0001
_WAIT = 0.1
_LOCK_TIMEOUT = "3s"


async def apply(dsn: str) -> str | None:
    """Applies what is missing, when no other instance is at it. Gives the new revision, if it is new.

    Raises SchemaMismatch when a table was in use for too long, or another instance was first and made the schema one
    that is not for us; OSError and the errors of asyncpg when the database cannot be reached.
    """
    engine = _engine(dsn)
    try:
        async with _locked(engine), engine.connect() as connection:
            if not await is_behind(dsn):  # another instance was first, perhaps one of a newer version
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
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
