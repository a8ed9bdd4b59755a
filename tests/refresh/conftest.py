"""Two instances of `idp serve` on one database, shared by the tests of what clients do to both at once."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from idp.cli.directories import Directories, directories
from idp.directory.clients import ClientDirectory
from idp.directory.families import Families
from idp.directory.people import People
from idp.settings import Settings
from idp.store import Store
from tests import builders
from tests.builders import ConfidentialClient
from tests.conftest import CreateDatabase
from tests.operation.serving import environment, serving, settings_of
from tests.refresh.beginning import REFRESHING, begun, families_on, person
from tests.refresh.callers import Caller
from tests.store.observing import opened


@dataclass(frozen=True, slots=True)
class Instances:
    """Two running instances, by their URLs."""

    settings: Settings
    urls: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Pair:
    """The two instances as one client and one operator know them. The operator has several connections."""

    directory: Directories
    families: Families
    client: ConfidentialClient
    calling: Callable[[ConfidentialClient], tuple[Caller, Caller]]

    @property
    def store(self) -> Store:
        return self.directory.store

    @property
    def callers(self) -> tuple[Caller, Caller]:
        """The client at the one instance, and at the other."""
        return self.calling(self.client)

    async def begun(self) -> str:
        """The first token of a new family, of somebody new."""
        return await begun(self.families, self.client.client, await person(self.store))


@pytest.fixture(scope="session")
def instances(
    create_database: CreateDatabase, migrated: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Instances]:
    def folder() -> Path:
        return tmp_path_factory.mktemp("instance")

    with create_database(migrated) as dsn, ExitStack() as stack:
        one, other = (stack.enter_context(serving(folder(), environment(dsn))) for _ in range(2))
        yield Instances(settings_of(dsn), (one.url, other.url))


@pytest.fixture
async def pair(instances: Instances) -> AsyncIterator[Pair]:
    async with (
        directories(instances.settings) as narrow,
        opened(instances.settings.database_url, connections=8, acquire=10) as db,
    ):
        store = Store(db)
        directory = replace(
            narrow, store=store, people=People(store, narrow.people.passwords), clients=ClientDirectory(store)
        )
        with contextlib.ExitStack() as stack:
            known: dict[str, tuple[Caller, Caller]] = {}

            def calling(client: ConfidentialClient) -> tuple[Caller, Caller]:
                client_id = client.client.client_id
                if client_id not in known:
                    one, other = (stack.enter_context(closing(Caller(url, client))) for url in instances.urls)
                    known[client_id] = (one, other)
                return known[client_id]

            client = await builders.client(directory, **REFRESHING)
            yield Pair(directory, await families_on(store), client, calling)


@pytest.fixture(scope="session")
def shared_database(create_database: CreateDatabase, migrated: str) -> Iterator[str]:
    """A database for tests that look at people of their own alone."""
    with create_database(migrated) as dsn:
        yield dsn


@pytest.fixture
async def store(shared_database: str) -> AsyncIterator[Store]:
    async with opened(shared_database, connections=8, acquire=10) as connected:
        yield Store(connected)
