"""An issuer whose tokens have a status, a resource service that verifies them, and a clock that both go by."""

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import httpx
import pytest

from idp import parts
from idp.cli.directories import Directories, directories
from idp.clock import DatabaseClock
from idp.protocol.status import LIST_TTL
from idp.store import Store
from idp_verifier import RevokedToken, Verifier
from tests.conftest import CreateDatabase
from tests.service import Service, running, settings_for
from tests.store.observing import opened

AUDIENCE = "https://api.example.com"
STATED = LIST_TTL + 5
"""Seconds within which a verifier sees what was revoked: `idp_verifier` asks for nothing more often than each 5 s."""


class Clock(DatabaseClock):
    """The database's time, and ahead of it by as much as tests have let pass."""

    ahead = 0.0

    def __call__(self) -> float:
        return super().__call__() + Clock.ahead


def now() -> float:
    """What the resource service's clock shows."""
    return time.time() + Clock.ahead


def pass_time(seconds: float) -> None:
    Clock.ahead += seconds


@pytest.fixture(scope="session")
def issuer(create_database: CreateDatabase, migrated: str) -> Iterator[Service]:
    """It goes on without having read the key table: the clock leaps, and the table is read once a second."""
    with create_database(migrated) as dsn, pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "DatabaseClock", Clock)
        with running(settings_for(dsn, status_list=True, offline_signing=3600)) as service:
            patch.undo()
            yield service


@pytest.fixture
async def at_issuer(issuer: Service) -> AsyncIterator[Directories]:
    async with directories(issuer.settings) as directory:
        await directory.store.executor.execute("delete from login_tries")
        yield directory


@pytest.fixture
async def client(issuer: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=issuer.url, timeout=30) as http:
        yield http


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource service, as far as it judges tokens."""

    verifier: Verifier

    async def accepts(self, *tokens: str) -> bool:
        """Whether it accepts all of them; False when it takes all of them for revoked. Others are an error."""
        outcomes = {await self._accepts(token) for token in tokens}
        (accepted,) = outcomes
        return accepted

    async def _accepts(self, token: str) -> bool:
        try:
            await self.verifier.verify(token)
        except RevokedToken:
            return False
        return True


@pytest.fixture
async def resource(issuer: Service) -> AsyncIterator[Resource]:
    async with Verifier(issuer.url, AUDIENCE, clock=now) as verifier:
        yield Resource(verifier)


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    """All aggregates, on a database of the test's own."""
    async with opened(database, connections=8, acquire=10) as connected:
        yield Store(connected)
