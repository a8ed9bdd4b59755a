"""What every test may ask for: a real PostgreSQL of the run's own, and databases in it."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import httpx
import pytest

from idp.cli.directories import Directories, directories
from idp.embedded import attach
from idp.parts import Parts
from idp.protocol.audit import OPERATOR
from idp.protocol.client import Client
from idp.settings import Settings
from idp.store import schema
from tests.service import DEFAULT_CLIENT, Service, running, settings_for

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
    async def run() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    in_a_thread(run())


def in_a_thread(work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` in a loop of its own, since an async test's loop may be running in this thread."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


@pytest.fixture(scope="session")
def migrated(create_database: CreateDatabase) -> Iterator[str]:
    """The name of a database with the schema, the signing keys and the default client, to be copied."""
    with create_database(None) as dsn:
        in_a_thread(_prepare(settings_for(dsn)))
        yield urlsplit(dsn).path.removeprefix("/")


@pytest.fixture
def migrated_without_keys(empty_database: str) -> str:
    """The DSN of a database with the schema and nothing else."""
    in_a_thread(_migrate(empty_database))
    return empty_database


@pytest.fixture
def database(create_database: CreateDatabase, migrated: str) -> Iterator[str]:
    """The DSN of a database of the test's own, ready to serve."""
    with create_database(migrated) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def service(create_database: CreateDatabase, migrated: str) -> Iterator[Service]:
    """A running service that tests share; they make people and clients of their own in it."""
    with create_database(migrated) as dsn, running(settings_for(dsn)) as service:
        yield service


@pytest.fixture
async def directory(service: Service) -> AsyncIterator[Directories]:
    """What makes people and clients in the shared service."""
    async with directories(service.settings) as directory:
        # All tests come from one place: what others got wrong there must not slow this one down.
        await directory.store.executor.execute("delete from login_tries where subject like 'source:%'")
        yield directory


@pytest.fixture
async def http(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the shared service."""
    async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
        yield client


async def _migrate(dsn: str) -> None:
    await schema.migrate(dsn)


async def _prepare(settings: Settings) -> None:
    await schema.migrate(settings.database_url)
    async with Parts.of(settings).running():
        pass  # the signing keys are made
    async with directories(settings) as directory:
        default = Client(DEFAULT_CLIENT, "default", "none", frozenset({"password"}))
        await directory.clients.add(default, None, OPERATOR)
