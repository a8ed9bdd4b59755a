"""Changes of the key table that are cut short: by kill -9, by a COMMIT without an answer, by each other."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from idp.protocol.audit import OPERATOR
from idp.signing.operations import KeyOperations
from idp.store import Aggregates, Store
from idp.store.database import Database, DatabaseUnavailable
from keys.jwk import NotAPublicKeyError, generate
from keys.keyring import StoredKey
from keys.planning import NoSuchKeyError
from keys.schedule import PUBLIC_PHASES, Phase, line
from tests.signing.mortal import SEALER, SETTINGS

T = TypeVar("T")
ROOT = Path(__file__).parents[2]


@pytest.fixture
async def store(migrated_without_keys: str) -> AsyncIterator[Store]:
    database = Database(migrated_without_keys)
    await database.connect()
    yield Store(database)
    await database.disconnect()


@pytest.fixture
async def keys(store: Store) -> KeyOperations:
    operations = KeyOperations(store, SEALER, SETTINGS)
    await operations.keep_up()
    return operations


async def is_sound(store: Store) -> Mapping[str, Phase]:
    """The phases, once it is sure that one key signs until the next one does, and that private halves are gone."""
    stored, now = await store.signing_keys.all(), await store.now()
    signing, following = line(stored, now)
    assert signing.lifetime.phase(now) is Phase.SIGNING
    assert signing.lifetime.sign_until == following.lifetime.sign_from
    usable = {signing.kid, following.kid}
    assert {key.kid for key in stored if key.sealed} == usable
    return {key.kid: key.lifetime.phase(now) for key in stored}


class TestKill9:
    """kill -9 at every step of a rotation: exactly one active key; resumes by itself."""

    @pytest.fixture
    def mortal(self, migrated_without_keys: str) -> Iterator[Callable[[str, int], str]]:
        command = [sys.executable, "-m", "tests.signing.mortal", migrated_without_keys]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None

            def change(deed: str, steps: int) -> str:
                process.stdin.write(f"{deed} {steps}\n")  # type: ignore[union-attr]
                process.stdin.flush()  # type: ignore[union-attr]
                return process.stdout.readline().strip()  # type: ignore[union-attr]

            yield change
            process.stdin.close()

    @pytest.mark.parametrize("deed", ["rotate", "revoke"])
    async def test_between_any_two_statements(
        self, deed: str, keys: KeyOperations, store: Store, mortal: Callable[[str, int], str]
    ) -> None:
        outcomes = []
        for steps in range(100):
            before = await is_sound(store)
            signing = line(await store.signing_keys.all(), await store.now())[0]
            outcomes.append(await asyncio.to_thread(mortal, "rotate" if deed == "rotate" else signing.kid, steps))
            await keys.keep_up()  # the next look, of any instance
            after = await is_sound(store)
            assert before.keys() <= after.keys()
            assert outcomes[-1] == "killed" or after[signing.kid] is not Phase.SIGNING
            if outcomes[-1] != "killed":
                break
            await store.executor.execute("delete from signing_keys")
            await keys.keep_up()
        assert outcomes[-1] == "lived"
        assert outcomes.count("killed") == len(outcomes) - 1 > 8

    async def test_at_the_first_start(
        self, keys: KeyOperations, store: Store, mortal: Callable[[str, int], str]
    ) -> None:
        for steps in range(100):
            await store.executor.execute("delete from signing_keys")
            outcome = await asyncio.to_thread(mortal, "keep_up", steps)
            await keys.keep_up()
            assert len(await is_sound(store)) == 2
            if outcome != "killed":
                break
        assert outcome == "lived"
        assert steps > 6


class LosesAnswers(Store):
    """The first COMMIT happens, and nobody hears of it."""

    lost = False

    async def transact(self, work: Callable[[Aggregates], Awaitable[T]]) -> T:
        outcome = await super().transact(work)
        if not self.lost:
            self.lost = True
            raise DatabaseUnavailable("The connection was lost.")
        return outcome


async def test_after_a_commit_without_an_answer_the_next_change_goes_on(
    migrated_without_keys: str, store: Store
) -> None:
    database = Database(migrated_without_keys)
    await database.connect()
    operations = KeyOperations(LosesAnswers(database), SEALER, SETTINGS)
    with pytest.raises(DatabaseUnavailable):
        await operations.keep_up()
    assert len(await is_sound(store)) == 2
    await operations.rotate(OPERATOR, immediate=True)
    await operations.revoke(line(await store.signing_keys.all(), await store.now())[0].kid, OPERATOR)
    assert len(await is_sound(store)) == 4
    await database.disconnect()


async def test_changes_that_one_process_makes_at_once_use_no_pair_twice(keys: KeyOperations, store: Store) -> None:
    for _ in range(10):
        stored = await store.signing_keys.all()
        public = [key.kid for key in stored if key.lifetime.phase(await store.now()) in PUBLIC_PHASES]
        await asyncio.gather(
            keys.rotate(OPERATOR, immediate=True), keys.keep_up(), *(keys.revoke(kid, OPERATOR) for kid in public)
        )
        await is_sound(store)


class TestASetBackClock:
    """A failover to a server whose clock is a little behind."""

    class Behind(Store):
        async def transact(self, work: Callable[[Aggregates], Awaitable[T]]) -> T:
            async def behind(tables: Aggregates) -> T:
                now = await tables.now() - 20
                tables.now = lambda: asyncio.sleep(0, now)  # type: ignore[method-assign]
                return await work(tables)

            return await super().transact(behind)

    async def test_no_key_signs_before_it_was_published(
        self, keys: KeyOperations, store: Store, migrated_without_keys: str
    ) -> None:
        database = Database(migrated_without_keys)
        await database.connect()
        operations = KeyOperations(self.Behind(database), SEALER, SETTINGS)
        await operations.keep_up()
        await operations.rotate(OPERATOR, immediate=True)
        signing = line(await store.signing_keys.all(), await store.now())[0]
        await operations.revoke(signing.kid, OPERATOR)
        assert (await is_sound(store))[signing.kid] is Phase.REVOKED
        await database.disconnect()


class TestRevocation:
    async def test_it_ends_the_key_and_its_private_half_and_tells_who_signs(
        self, keys: KeyOperations, store: Store
    ) -> None:
        first, second = line(await store.signing_keys.all(), await store.now())
        answer = await keys.revoke(first.kid, OPERATOR)
        assert answer.revoked.lifetime.phase(0) is Phase.REVOKED
        assert answer.signing.kid == second.kid
        assert answer.unseen.kid not in (first.kid, second.kid)
        assert (await is_sound(store))[second.kid] is Phase.SIGNING

    async def test_of_the_same_key_by_two_at_once_is_one(self, keys: KeyOperations, store: Store) -> None:
        other = KeyOperations(store, SEALER, SETTINGS)
        first = line(await store.signing_keys.all(), await store.now())[0]
        answers = await asyncio.gather(
            keys.revoke(first.kid, OPERATOR), other.revoke(first.kid, OPERATOR), return_exceptions=True
        )
        assert sorted(type(answer).__name__ for answer in answers) == ["NoSuchKeyError", "RevocationAnswer"]
        assert len(await is_sound(store)) == 3

    async def test_of_an_unknown_key_changes_nothing(self, keys: KeyOperations, store: Store) -> None:
        before = await store.signing_keys.all()
        with pytest.raises(NoSuchKeyError):
            await keys.revoke("nobody", OPERATOR)
        assert await store.signing_keys.all() == before


class TestImport:
    async def test_a_predecessors_keys_verify_until_then_and_never_sign(
        self, keys: KeyOperations, store: Store
    ) -> None:
        until = float(int(await store.now()) + 3600)
        pairs = [generate("EdDSA", 0), generate("ES256", 0)]
        kids = await keys.import_public([pair.public_jwk for pair in pairs], until, OPERATOR)
        assert kids == [pair.kid for pair in pairs]
        assert await keys.import_public([pair.public_jwk for pair in pairs], until, OPERATOR) == []
        phases = await is_sound(store)
        assert [phases[kid] for kid in kids] == [Phase.VERIFYING, Phase.VERIFYING]
        imported = by_kid(await store.signing_keys.all(), kids)
        assert {key.lifetime.verify_until for key in imported} == {until}

    async def test_of_one_that_is_no_key_imports_none(self, keys: KeyOperations, store: Store) -> None:
        before = await store.signing_keys.all()
        good = generate("EdDSA", 0).public_jwk
        with pytest.raises(NotAPublicKeyError):
            await keys.import_public([good, {**good, "kty": "oct"}], await store.now() + 60, OPERATOR)
        assert await store.signing_keys.all() == before


def by_kid(stored: Sequence[StoredKey], kids: Sequence[str]) -> list[StoredKey]:
    return [key for key in stored if key.kid in kids]
