"""Several instances change the key table at once: one wins, none fails, and exactly one key signs."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest

from idp.protocol.audit import OPERATOR
from idp.signing.operations import KeyOperations
from idp.store import Store
from idp.store.database import Database
from keys.schedule import KeySettings, Phase, RotationPolicy, line
from keys.sealing import Sealer, SealingKey

SETTINGS = KeySettings(RotationPolicy(rotation_period=3600, publish_ahead=600, retention=940), alg="EdDSA")


@dataclass(frozen=True)
class Instance:
    """One of several that share a database, over connections of its own."""

    store: Store
    keys: KeyOperations

    async def phases(self) -> list[Phase]:
        keys = await self.keys.keep_up()
        now = math.floor(await self.store.now())
        return [key.lifetime.phase(now) for key in keys]


@contextlib.asynccontextmanager
async def instance(dsn: str) -> AsyncIterator[Instance]:
    database = Database(dsn)
    await database.connect()
    try:
        store = Store(database)
        yield Instance(store, KeyOperations(store, Sealer([SealingKey(bytes(range(32)))]), SETTINGS))
    finally:
        await database.disconnect()


@pytest.fixture
async def instances(migrated_without_keys: str) -> AsyncIterator[tuple[Instance, Instance]]:
    async with instance(migrated_without_keys) as one, instance(migrated_without_keys) as other:
        yield one, other


async def test_first_starts_at_once_make_one_pair_of_keys(instances: tuple[Instance, Instance]) -> None:
    await asyncio.gather(*(one.keys.keep_up() for one in instances * 5))
    assert await instances[0].phases() == [Phase.SIGNING, Phase.PUBLISHED]


@pytest.mark.parametrize("immediate", [False, True])
async def test_rotations_asked_for_at_the_same_instant_are_one(
    instances: tuple[Instance, Instance], immediate: bool
) -> None:
    """500 times, each from a fresh table."""
    one, other = instances
    await one.keys.keep_up()
    executor = one.store.executor
    for _ in range(250):
        before = {key.kid for key in await one.keys.keep_up()}
        answers = await asyncio.gather(
            one.keys.rotate(OPERATOR, immediate=immediate), other.keys.rotate(OPERATOR, immediate=immediate)
        )
        assert [answer.new for answer in answers].count(True) == 1
        assert answers[0].key.kid == answers[1].key.kid
        after = await one.keys.keep_up()
        assert len({key.kid for key in after} - before) == (1 if immediate else 0)
        assert [key.lifetime.phase(0) for key in line(after, 0)].count(Phase.SIGNING) <= 1
        await executor.execute("delete from signing_keys")


async def test_one_key_signs_at_a_time_is_held_by_the_database(migrated_without_keys: str) -> None:
    async with instance(migrated_without_keys) as one:
        await one.keys.keep_up()
        with pytest.raises(asyncpg.ExclusionViolationError):
            await one.store.executor.execute(
                "update signing_keys set sign_until = sign_until + interval '1 s' where sign_from <= now()"
            )


async def test_private_halves_are_gone_when_they_can_sign_no_more(migrated_without_keys: str) -> None:
    async with instance(migrated_without_keys) as one:
        await one.keys.keep_up()
        await one.keys.rotate(OPERATOR, immediate=True)
        await one.keys.keep_up()
        rows = await one.store.executor.fetch_all(
            "select sealed is null as gone, sign_until <= now() as spent from signing_keys"
        )
        assert [row["gone"] for row in rows] == [row["spent"] for row in rows]
        assert any(row["gone"] for row in rows)


async def test_a_damaged_row_is_replaced_and_its_public_half_stays(migrated_without_keys: str) -> None:
    async with instance(migrated_without_keys) as one:
        first = (await one.keys.keep_up())[0]
        keys = await one.keys.replace_unusable([first.kid])
        now = math.floor(await one.store.now())
        by_kid = {key.kid: key.lifetime.phase(now) for key in keys}
        assert by_kid[first.kid] is Phase.VERIFYING
        assert list(by_kid.values()).count(Phase.SIGNING) == 1


async def test_recovery_revokes_every_key_and_makes_new_ones(migrated_without_keys: str) -> None:
    async with instance(migrated_without_keys) as one:
        before = {key.kid for key in await one.keys.keep_up()}
        assert {key.kid for key in await one.keys.recover(OPERATOR)} == before
        assert sorted(await one.phases()) == [Phase.PUBLISHED, Phase.REVOKED, Phase.REVOKED, Phase.SIGNING]


async def test_keys_move_to_another_key_encryption_key(migrated_without_keys: str) -> None:
    old, new = SealingKey(bytes(range(32))), SealingKey(bytes(range(1, 33)))
    async with instance(migrated_without_keys) as one:
        await one.keys.keep_up()
        moving = KeyOperations(one.store, Sealer([new, old]), SETTINGS)
        assert await moving.reseal(OPERATOR) == 2
        assert await moving.reseal(OPERATOR) == 0
        keys = await one.store.signing_keys.all()
        assert {key.sealed.sealed_by for key in keys if key.sealed} == {new.fingerprint}
