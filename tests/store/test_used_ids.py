"""Ids that are good for one use: among any number of racers, until they expire."""

import asyncio

from idp.store import Store


async def test_of_racers_one_uses_it(store: Store) -> None:
    until = await store.now() + 60
    answers = await asyncio.gather(*(store.used_ids.use("issuer", "jti", until) for _ in range(16)))
    assert sorted(answers) == [False] * 15 + [True]


async def test_issuers_do_not_share_ids_wherever_one_text_ends(store: Store) -> None:
    until = await store.now() + 60
    assert await store.used_ids.use("a", "bc", until)
    assert await store.used_ids.use("ab", "c", until)
    assert not await store.used_ids.use("ab", "c", until)


async def test_they_are_forgotten_when_they_have_expired(store: Store) -> None:
    now = await store.now()
    await store.used_ids.use("issuer", "past", now - 1)
    await store.used_ids.use("issuer", "living", now + 60)
    assert await store.used_ids.purge(limit=10) == 1
    assert not await store.used_ids.use("issuer", "living", now + 60)
