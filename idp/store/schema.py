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
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_LOCK = 0x1D9_0001
_WAIT = 0.1


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
    if version.revision > code and (version.minimum_revision or version.revision) > code:
        raise SchemaMismatch(
            f"The schema is at revision {version.revision} and needs code of revision {version.minimum_revision} or "
            f"later; this version is made for {code}. Start a newer version of idp."
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

    Raises SchemaMismatch when the schema is newer than the code and not made for it.
    """
    code = code_revision()
    version = await read(dsn)
    if version.revision is not None and version.revision >= code:
        check(version, code)
        return None
    engine = _engine(dsn)
    try:
        async with _locked(engine), engine.connect() as connection:
            return code if await connection.run_sync(_upgrade) else None
    finally:
        await engine.dispose()


def _engine(dsn: str) -> AsyncEngine:
    """An engine over the DSN as asyncpg reads it, so that one DSN means one thing everywhere, `sslmode` included."""
    return create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn), poolclass=sa.NullPool
    )


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


def _upgrade(connection: sa.Connection) -> bool:
    config = _config()
    current = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()
    if current == ScriptDirectory.from_config(config).get_current_head():
        return False
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return True
