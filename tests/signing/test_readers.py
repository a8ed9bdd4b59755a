"""Who fetched the JWK Set is remembered within bounds, however many names strangers invent."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count

import pytest

from idp.signing import readers
from idp.signing.readers import JwksReaders
from idp.store import Store
from idp.store.database import DatabaseUnavailable
from tests.store.observing import observing, opened

BOUND = 10


@pytest.fixture(autouse=True)
def small_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "BOUND", BOUND)


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    async with opened(database) as connected:
        yield Store(connected)


@pytest.fixture
def seen(store: Store) -> JwksReaders:
    times = count(1)
    return JwksReaders(store, lambda: float(next(times)))


def see(seen: JwksReaders, names: range) -> None:
    for name in names:
        seen.saw(str(name), "kid", confirmed=False)


async def names(store: Store) -> set[int]:
    return {int(reader.name) for reader in await store.jwks_readers.all()}


async def test_those_seen_last_are_remembered(store: Store, seen: JwksReaders) -> None:
    see(seen, range(BOUND + 5))
    await seen.write()
    assert await names(store) == {*range(5, BOUND + 5)}


async def test_the_table_is_bounded_too(store: Store, seen: JwksReaders) -> None:
    see(seen, range(BOUND))
    await seen.write()
    see(seen, range(100, 105))
    await seen.write()
    assert await names(store) == {*range(5, BOUND), *range(100, 105)}


async def test_what_could_not_be_written_waits_within_the_bound(store: Store, seen: JwksReaders, database: str) -> None:
    see(seen, range(BOUND))
    async with observing(database) as observer, observer.session.transaction():
        await observer.session.execute("lock table jwks_readers")
        writing = asyncio.create_task(seen.write())
        await observer.until("wait_event_type = 'Lock'")
        see(seen, range(100, 105))  # they come to those that are not written
        with pytest.raises(DatabaseUnavailable):
            await writing
    see(seen, range(200, 201))
    assert len(seen) == BOUND
    await seen.write()
    assert await names(store) == {*range(6, BOUND), *range(100, 105), 200}
