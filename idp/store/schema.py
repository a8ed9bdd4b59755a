"""The schema's version: read, brought up to date, and checked before serving."""

from dataclasses import dataclass
from pathlib import Path

import asyncpg

VERSION = "select version_num, minimum_revision from alembic_version cross join schema_info"


class SchemaMismatch(Exception):  # noqa: N818 - says what to do, so it is shown as it is
    """The schema of the database is not one that this version can serve."""


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """What the database says of itself: its revision, and the oldest one whose code still runs against it."""

    revision: str | None
    minimum_revision: str | None = None


def migrations_folder() -> Path:
    """Where the migrations are: inside the package when it comes from a wheel, beside it in a source tree."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise FileNotFoundError("The migrations are missing from this installation; install the package `idp` again.")


def code_revision() -> str:
    """The revision that this version of the code is made for: the files of the migrations begin with theirs."""
    return max(file.name.partition("_")[0] for file in (migrations_folder() / "versions").glob("[0-9]*_*.py"))


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
        row = await connection.fetchrow(VERSION)
        return SchemaVersion(*row) if row else SchemaVersion(None)
    finally:
        await connection.close()


async def migrate(dsn: str) -> str | None:
    """Brings the schema up to date, once however many instances ask at once. Gives the new revision, if it is new.

    Raises SchemaMismatch when the schema is newer than the code and not made for it, or when a table was in use for
    too long; OSError and the errors of asyncpg when the database cannot be reached.
    """
    if not await is_behind(dsn):
        return None
    from idp.store import migrations  # Alembic takes as long to import as the service to start, and is needed once

    return await migrations.apply(dsn)


async def is_behind(dsn: str) -> bool:
    """Whether there is something to migrate. Raises SchemaMismatch when the schema is newer and not made for us."""
    version, code = await read(dsn), code_revision()
    if version.revision is None or version.revision < code:
        return True
    check(version, code)
    return False
