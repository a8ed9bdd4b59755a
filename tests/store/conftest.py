"""The aggregates on a database of the test's own."""

from collections.abc import AsyncIterator

import pytest

from idp.store import Store
from tests.store.observing import opened


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    """All aggregates."""
    async with opened(database, connections=8, acquire=10) as connected:
        yield Store(connected)
