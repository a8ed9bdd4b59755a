"""The lists in memory: made once however many ask, gone on with through an outage, and never beyond their `exp`."""

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from idp.parts import Parts
from idp.protocol.status import LIST_SIZE, LIST_TTL, Status, list_uri, status_list, status_of
from idp.status.lists import PAUSE, SignedLists
from idp.store.database import DatabaseUnavailable
from idp.store.status_lists import StatusLists
from idp_verifier import InvalidStatus, RevokedToken, parse_key
from idp_verifier.encoding import decode_base64url
from idp_verifier.status import StatusList, status_reference
from idp_verifier.testing import Signer
from keys.keyring import NoSigningKeyError
from tests.contract.asking import claims
from tests.service import settings_for

ISSUER = "https://id.example"
LIFETIME = 1020
FAR = 2_000_000_000


class Counted(StatusLists):
    """The lists in the database, which can be away; how often they were read."""

    reads = 0
    away = False

    async def revoked(self, list_id: int) -> Sequence[int] | None:
        self.reads += 1
        if self.away:
            raise DatabaseUnavailable
        return await super().revoked(list_id)


class World:
    """Signed lists over a real keyring, on a clock that is ahead by as much as a test says."""

    def __init__(self, service: Any) -> None:
        self.ahead = 0.0
        self.clock = lambda: time.time() + self.ahead
        self.keyring = service.keyring
        self.stored = Counted(service.store.executor)
        self.lists = SignedLists(ISSUER, self.stored, self.keyring, self.clock, lifetime=LIFETIME)

    async def get(self) -> str:
        made = await self.lists.get(0)
        assert made
        return made.token.decode()


@pytest.fixture
async def world(database: str) -> AsyncIterator[World]:
    service = Parts.of(settings_for(database, offline_signing=3600))
    async with service.running():
        await service.store.status_lists.take(10, 86400)
        yield World(service)


async def test_it_is_read_once_however_many_ask(world: World) -> None:
    first, *others = await asyncio.gather(*(world.get() for _ in range(50)))
    assert set(others) == {first}
    assert world.stored.reads == 1


async def test_who_stops_waiting_does_not_stop_it_for_others(world: World) -> None:
    impatient, patient = asyncio.create_task(world.get()), asyncio.create_task(world.get())
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient
    assert world.stored.reads == 1


async def test_through_an_outage_it_goes_on_until_its_exp(world: World) -> None:
    made = await world.get()
    world.stored.away = True
    world.ahead = LIST_TTL + 1
    assert await world.get() == made
    reads = world.stored.reads
    assert await world.get() == made
    assert world.stored.reads == reads  # at once, as a slow database would want it
    world.ahead += PAUSE
    assert await world.get() == made
    assert world.stored.reads == reads + 1
    world.ahead = LIFETIME + 1
    with pytest.raises(DatabaseUnavailable):
        await world.get()
    world.stored.away = False
    assert await world.get() != made


async def test_when_no_key_signs_it_goes_on_until_its_exp(world: World) -> None:
    made = await world.get()
    world.keyring._signers, world.keyring._turn = {}, None
    world.ahead = LIST_TTL + 1
    assert await world.get() == made
    world.ahead = LIFETIME + 1
    with pytest.raises(NoSigningKeyError):
        await world.get()


async def test_a_clock_that_was_set_back_makes_it_anew(world: World) -> None:
    world.ahead = 100
    made = await world.get()
    world.ahead = 0
    assert await world.get() != made


async def test_it_is_forgotten_when_nobody_can_use_it_any_more(world: World) -> None:
    await world.get()
    world.ahead = LIFETIME + 1
    assert await world.lists.get(7) is None
    assert world.lists._made == {}


class TestContent:
    """What is written is what `idp_verifier` reads."""

    def test_bits(self) -> None:
        revoked = {0, 1, 7, 8, 13, 1000, LIST_SIZE - 1}
        read = self.read(status_list(revoked))
        for idx in revoked:
            with pytest.raises(RevokedToken):
                read.demand_valid(idx)
        for idx in {idx + step for idx in revoked for step in (-1, 1)} - revoked & set(range(LIST_SIZE)):
            if 0 <= idx < LIST_SIZE:
                read.demand_valid(idx)
        with pytest.raises(InvalidStatus):
            read.demand_valid(LIST_SIZE)

    def test_the_example_of_the_draft(self) -> None:
        """§4.1: one bit for each token."""
        example = [idx for idx, bit in enumerate("1001110111000101") if bit == "1"]
        octets = zlib.decompress(decode_base64url(status_list(example)["lst"].encode()))
        assert octets[:2] == zlib.decompress(decode_base64url(b"eNrbuRgAAhcBXQ"))
        assert not any(octets[2:])

    def test_a_list_in_which_little_is_revoked_is_small(self) -> None:
        assert len(status_list(())["lst"]) < 300
        assert len(status_list(range(0, LIST_SIZE, LIST_SIZE // 1000))["lst"]) < 10_000

    def read(self, written: dict[str, Any]) -> StatusList:
        assert written["bits"] == 1
        octets = zlib.decompress(decode_base64url(written["lst"].encode()))
        return StatusList(parse_key(Signer.generate("ES256").jwk), 1, octets, None, None)


class TestClaim:
    STATUS = Status(5, 77, FAR)

    def test_what_a_token_says_is_what_we_read(self) -> None:
        found = {"status": self.STATUS.claim(ISSUER), "exp": FAR}
        assert status_of(found, ISSUER) == self.STATUS
        reference = status_reference(found, ISSUER)
        assert reference
        assert (reference.uri, reference.idx) == (list_uri(ISSUER, 5), 77)

    @pytest.mark.parametrize(
        "status",
        [
            None,
            "x",
            {},
            {"status_list": []},
            {"status_list": {"idx": 77}},
            {"status_list": {"idx": "77", "uri": f"{ISSUER}/status/5"}},
            {"status_list": {"idx": -1, "uri": f"{ISSUER}/status/5"}},
            {"status_list": {"idx": LIST_SIZE, "uri": f"{ISSUER}/status/5"}},
            {"status_list": {"idx": 77, "uri": "https://elsewhere.example/status/5"}},
            {"status_list": {"idx": 77, "uri": f"{ISSUER}/status/05"}},
            {"status_list": {"idx": 77, "uri": f"{ISSUER}/status/\u0665"}},
            {"status_list": {"idx": 77, "uri": f"{ISSUER}/status/{'9' * 19}"}},
            {"status_list": {"idx": 77, "uri": f"{ISSUER}/status/"}},
        ],
    )
    def test_a_predecessors_status_is_none_of_ours(self, status: Any) -> None:
        assert status_of({"status": status, "exp": FAR}, ISSUER) is None


async def test_a_list_says_which_it_is(world: World) -> None:
    found = claims(await world.get())
    assert found["sub"] == list_uri(ISSUER, 0)
    assert found["exp"] == found["iat"] + LIFETIME
