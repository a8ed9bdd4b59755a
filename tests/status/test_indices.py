"""Indices: no two tokens ever share one, drawing one waits for nothing, and an outage is borne for a while."""

import asyncio
from itertools import pairwise

import pytest

from idp.issuer import Issuer
from idp.protocol.authorization import Authorization
from idp.protocol.client import Client
from idp.protocol.errors import TemporarilyUnavailableError
from idp.protocol.status import LIST_SIZE, Status
from idp.status.indices import BLOCK_LIFETIME, LEAST, SLOWEST_REQUEST, StatusIndices
from idp.store import Store
from idp.store.database import DatabaseUnavailable
from idp.store.status_lists import StatusLists
from tests.store.observing import observing

TTL, OFFLINE = 900.0, 60.0


class Time:
    """POSIX seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def indices_of(store: Store, time: Time) -> StatusIndices:
    return StatusIndices(store.status_lists, time, ttl=TTL, offline=OFFLINE)


def place(status: Status) -> tuple[int, int]:
    return status.list_id, status.idx


async def test_no_two_instances_draw_the_same(store: Store, time: Time) -> None:
    """Also where a list ends and the next begins, which all of them reach at once."""
    await store.status_lists.take(LIST_SIZE - 6 * LEAST, 60)
    instances = [indices_of(store, time) for _ in range(4)]

    drawn = []
    for _ in range(5):
        await asyncio.gather(*(indices.keep_up() for indices in instances))
        drawn += [place(indices.draw()) for indices in instances for _ in range(LEAST)]
        time.now += 4000  # slowly, so that blocks stay small
    assert len(set(drawn)) == len(drawn) == 4 * 5 * LEAST
    assert {list_id for list_id, _ in drawn} == {0, 1}
    assert all(0 <= idx < LIST_SIZE for _, idx in drawn)


async def test_the_last_room_of_a_list_is_taken_once(store: Store, database: str) -> None:
    """By four who all have seen that there is room, and then wait for each other."""
    await store.status_lists.take(LIST_SIZE - LEAST, 60)
    async with observing(database) as observer, observing(database) as other:
        async with other.session.transaction():
            await other.session.execute("select from status_lists for update")
            taking = [asyncio.create_task(store.status_lists.take(LEAST, 60)) for _ in range(4)]
            async with asyncio.timeout(10):
                while await observer.sessions("wait_event_type = 'Lock'") < len(taking):  # noqa: ASYNC110 - as there
                    await asyncio.sleep(0.005)
        taken = await asyncio.gather(*taking)
    assert sorted(taken) == [(0, LIST_SIZE - LEAST), (1, 0), (1, LEAST), (1, 2 * LEAST)]


async def test_they_come_in_random_order(store: Store, time: Time) -> None:
    indices = indices_of(store, time)
    await indices.keep_up()
    drawn = [indices.draw().idx for _ in range(LEAST)]
    assert sorted(drawn) == list(range(LEAST))
    rising = sum(one < next_one for one, next_one in pairwise(drawn))
    assert LEAST * 0.4 < rising < LEAST * 0.6
    assert LEAST * 0.4 < sum(drawn[: LEAST // 2]) / (LEAST // 2) < LEAST * 0.6


async def test_a_status_is_remembered_for_as_long_as_its_token_lives(store: Store, time: Time) -> None:
    indices = indices_of(store, time)
    await indices.keep_up()
    status = indices.draw()
    assert status.expires_at == time.now + TTL + SLOWEST_REQUEST
    row = await store.executor.fetch_one(
        "select extract(epoch from expires_at - now())::float8 as lifetime from status_lists"
    )
    assert row
    assert row["lifetime"] > BLOCK_LIFETIME + TTL


async def test_no_token_outlives_what_is_known_of_its_status(store: Store, time: Time) -> None:
    """When the process is paused between drawing the one and issuing the other, say."""
    indices = indices_of(store, time)
    await indices.keep_up()
    issuer = Issuer("https://id.example", int(TTL), time, Unsigned())
    client = Client("client", "a client", "none", frozenset())
    granted = Authorization(client, (), ("https://api.example.com",), status=indices.draw())
    time.now += SLOWEST_REQUEST
    assert (await issuer.issue(granted)).expires_in == TTL
    time.now += 1
    with pytest.raises(TemporarilyUnavailableError):
        await issuer.issue(granted)


class Unsigned:
    """A signer that says nothing."""

    async def sign(self, claims: dict[str, object], *, typ: str, now: float) -> tuple[str, str]:
        return "", ""


class Broken(StatusLists):
    """What the database is while it is away; counts how often it was asked."""

    asked = 0

    async def take(self, size: int, lifetime: float) -> tuple[int, int]:
        self.asked += 1
        raise DatabaseUnavailable


async def test_without_the_database_it_goes_on_with_what_it_has(store: Store, time: Time) -> None:
    indices = indices_of(store, time)
    await indices.keep_up()
    indices._lists = Broken(store.executor)
    for _ in range(LEAST):
        indices.draw()
    with pytest.raises(DatabaseUnavailable):
        await indices.keep_up()
    with pytest.raises(TemporarilyUnavailableError):
        indices.draw()
    indices._lists = store.status_lists
    await indices.keep_up()
    indices.draw()


async def test_what_is_left_lasts_for_as_long_as_it_may_go_on_without(store: Store, time: Time) -> None:
    """A hundred tokens a second for some minutes, then an outage at the worst moment: when a block is due."""
    indices, rate = indices_of(store, time), 100
    for _ in range(600):
        await indices.keep_up()
        for _ in range(rate):
            indices.draw()
        time.now += 1
    while not indices._is_low(time.now):
        indices.draw()
    assert sum(len(block.free) for block in indices._blocks) >= rate * OFFLINE


async def test_old_blocks_are_thrown_away(store: Store, time: Time) -> None:
    """Or a list would be needed for ever, for the sake of the last token of an idle instance."""
    indices = indices_of(store, time)
    await indices.keep_up()
    time.now += BLOCK_LIFETIME / 2
    await indices.keep_up()
    time.now += BLOCK_LIFETIME / 2
    assert indices.draw().idx >= LEAST
    time.now += BLOCK_LIFETIME / 2
    with pytest.raises(TemporarilyUnavailableError):
        indices.draw()


async def test_it_keeps_up_by_itself(store: Store, time: Time) -> None:
    indices = indices_of(store, time)
    await indices.start()
    try:
        async with asyncio.timeout(30):
            for drawn in range(3 * LEAST):
                indices.draw()
                if drawn % 100 == 0:
                    while indices._is_low(time.now):  # noqa: ASYNC110 - nobody is told
                        await asyncio.sleep(0.001)
    finally:
        await indices.stop()
