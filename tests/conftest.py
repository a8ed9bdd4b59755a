"""What every test may ask for: a real PostgreSQL of the run's own, and databases in it."""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from idp.embedded import attach

CreateDatabase = Callable[[str | None], AbstractContextManager[str]]


@pytest.fixture(scope="session")
def cluster_dsn() -> Iterator[str]:
    """A PostgreSQL that only this run uses; the DSN names its maintenance database."""
    with tempfile.TemporaryDirectory(prefix="idp-tests-") as folder:
        Path(folder).chmod(0o711)  # root's server runs as another account, which must get through
        with attach(Path(folder) / "postgres") as dsn:
            yield dsn


@pytest.fixture(scope="session")
def create_database(cluster_dsn: str) -> CreateDatabase:
    """`with create_database(template) as dsn`: a new database, dropped at the end whoever is still in it.

    It is empty, or a copy of the database named `template`, to which nobody may be connected meanwhile.
    """
    return partial(_database, cluster_dsn)


@pytest.fixture
def empty_database(create_database: CreateDatabase) -> Iterator[str]:
    """The DSN of a database with nothing in it."""
    with create_database(None) as dsn:
        yield dsn


@contextmanager
def _database(cluster_dsn: str, template: str | None) -> Iterator[str]:
    name = f"test_{uuid4().hex}"
    # template0 has nothing in it, and unlike template1 never anybody either.
    _execute(cluster_dsn, f'CREATE DATABASE {name} TEMPLATE "{template or "template0"}"')
    try:
        yield urlsplit(cluster_dsn)._replace(path=f"/{name}").geturl()
    finally:
        _execute(cluster_dsn, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(dsn: str, statement: str) -> None:
    """Runs a statement on a loop in another thread, since an async test's loop may be running in ours."""

    async def run() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, run()).result()
