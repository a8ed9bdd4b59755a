"""The pace of tries in SQL is the pace of `Pace`, and no two instances count one try."""

import asyncio
from uuid import uuid4

import pytest

from idp.protocol.identity import parse_email
from idp.protocol.throttle import ACCOUNT, DAY, KNOWN, KNOWN_FOR, SOURCE, Pace
from idp.store import Aggregates, Store
from idp.store.users import NewUser

TRIES = 60


async def pass_time(store: Store, seconds: float) -> None:
    """Moves everything that was counted into the past."""
    await store.executor.execute(
        """update login_tries set next_at = next_at - make_interval(secs => $1),
               last_at = last_at - make_interval(secs => $1)""",
        seconds,
    )
    await store.executor.execute("update known_sources set seen_at = seen_at - make_interval(secs => $1)", seconds)


@pytest.mark.parametrize(
    "pace", [ACCOUNT, SOURCE, KNOWN, Pace(free=1, longest=8), Pace(free=3, longest=1), Pace(free=2, longest=40_000)]
)
async def test_the_statement_keeps_the_pace(pace: Pace, store: Store) -> None:
    for tries in range(1, TRIES):
        assert await store.login_tries.count("x", pace)
        expected = pace.wait_after(tries)
        assert await store.login_tries.wait(["x"]) == pytest.approx(expected, abs=0.5)
        if expected:
            assert not await store.login_tries.count("x", pace)
            await pass_time(store, expected - 0.5)
            assert not await store.login_tries.count("x", pace)
            await pass_time(store, 0.5)
        assert await store.login_tries.wait(["x"]) == 0


async def test_a_day_without_tries_forgets_them(store: Store) -> None:
    for tries in range(1, 20):
        assert await store.login_tries.count("x", ACCOUNT)
        await pass_time(store, ACCOUNT.wait_after(tries))
    await pass_time(store, DAY + 1)
    for _ in range(ACCOUNT.free - 1):
        assert await store.login_tries.count("x", ACCOUNT)
        assert await store.login_tries.wait(["x"]) == 0


@pytest.mark.parametrize("pace", [Pace(free=10, longest=1200), Pace(free=1, longest=60)])
async def test_parallel_tries_are_counted_exactly(pace: Pace, store: Store) -> None:
    admitted = await asyncio.gather(*(store.login_tries.count("x", pace) for _ in range(60)))
    assert admitted.count(True) == pace.free


async def test_a_free_try_is_not_too_early_for_one_that_began_before(store: Store) -> None:
    async def begin_before(aggregates: Aggregates) -> bool:
        for _ in range(2):
            assert await store.login_tries.count("x", ACCOUNT)
        return await aggregates.login_tries.count("x", ACCOUNT)

    assert await store.transact(begin_before)


async def test_parallel_tries_at_the_end_of_a_wait_admit_one(store: Store) -> None:
    pace = Pace(free=1, longest=60)
    for _ in range(5):
        admitted = await asyncio.gather(*(store.login_tries.count("x", pace) for _ in range(20)))
        assert admitted.count(True) == 1
        await pass_time(store, 60)


async def test_the_longest_wait_counts(store: Store) -> None:
    for _ in range(2):
        await store.login_tries.count("a", Pace(free=1, longest=60))
        await pass_time(store, 1)
    await store.login_tries.count("b", Pace(free=1, longest=60))
    assert await store.login_tries.wait(["a", "b", "c"]) == pytest.approx(1, abs=0.5)
    assert await store.login_tries.wait(["c"]) == 0
    assert await store.login_tries.wait([]) == 0


async def test_a_forgiven_try_leaves_neither_count_nor_wait(store: Store) -> None:
    pace = Pace(free=3, longest=1000)
    for _ in range(50):
        assert await store.login_tries.count("x", pace)
        await store.login_tries.forgive("x")
    for tries in range(1, 6):
        assert await store.login_tries.count("x", pace)
        assert await store.login_tries.wait(["x"]) == pytest.approx(pace.wait_after(tries), abs=0.5)
        await pass_time(store, pace.wait_after(tries))
        assert await store.login_tries.count("x", pace)
        await store.login_tries.forgive("x")
        assert await store.login_tries.wait(["x"]) == 0
    await store.login_tries.forgive("nobody")


async def test_a_place_is_known_for_a_while(store: Store) -> None:
    person = NewUser(uuid4(), parse_email("ada@example.com"), None, None)
    await store.users.add(person)
    assert not await store.login_tries.knows(person.id, "192.0.2.1")
    await store.login_tries.learn(person.id, "192.0.2.1")
    await pass_time(store, KNOWN_FOR - 1)
    assert await store.login_tries.knows(person.id, "192.0.2.1")
    assert not await store.login_tries.knows(person.id, "192.0.2.2")
    assert not await store.login_tries.knows(uuid4(), "192.0.2.1")
    await pass_time(store, 2)
    assert not await store.login_tries.knows(person.id, "192.0.2.1")
    await store.login_tries.learn(person.id, "192.0.2.1")
    assert await store.login_tries.knows(person.id, "192.0.2.1")


async def test_what_no_longer_counts_is_removed(store: Store) -> None:
    person = NewUser(uuid4(), parse_email("ada@example.com"), None, None)
    await store.users.add(person)
    await store.login_tries.count("old", ACCOUNT)
    await store.login_tries.learn(person.id, "old")
    await pass_time(store, KNOWN_FOR + 1)
    await store.login_tries.count("new", ACCOUNT)
    await store.login_tries.learn(person.id, "new")
    assert await store.login_tries.purge(limit=100) == 2
    assert await store.login_tries.purge(limit=100) == 0
    assert await store.login_tries.knows(person.id, "new")
