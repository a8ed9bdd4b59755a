"""Nonces (RFC 9449 §8): which are good, for how long, and when the next is handed out. The clock is passed in."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from idp.audit import AuditQueue
from idp.endpoints.proofs import UNPROVED, Possession, Proofs
from idp.protocol.authorization import Origin
from idp.protocol.dpop import NONCE_LIFETIME, Nonces, is_old
from idp.protocol.errors import InvalidDPoPProofError, UseDPoPNonceError
from idp.store import Store
from idp.store.database import DatabaseUnavailable
from tests.dpop.proving import Prover
from tests.store.observing import opened

ISSUER = "https://id.example.com/tenant"
START = 1_800_000_000.0
INSTANTS = st.floats(0, 2**33)
ONE, OTHER = Nonces(bytes(32)), Nonces(bytes(31) + b"1")


class TestNonces:
    @given(INSTANTS)
    def test_one_is_good_from_its_second_on(self, now: float) -> None:
        nonce = ONE.at(now)
        assert ONE.good_until(nonce) == int(now) + NONCE_LIFETIME
        assert ONE.at(int(now)) == nonce
        assert nonce.isascii()
        assert '"' not in nonce

    @given(INSTANTS, INSTANTS)
    def test_others_have_others(self, now: float, later: float) -> None:
        assert OTHER.good_until(ONE.at(now)) is None
        assert (ONE.at(now) == ONE.at(later)) == (int(now) == int(later))

    @settings(max_examples=50, deadline=None)
    @given(st.one_of(st.text(), st.text("AB-_+/=", min_size=30, max_size=34), st.binary().map(bytes.hex)))
    def test_nobody_else_can_make_one(self, text: str) -> None:
        assert ONE.good_until(text) is None

    @given(INSTANTS, st.integers(0, 31), st.sampled_from("AQgw_-"))
    def test_no_character_of_it_can_be_changed(self, now: float, place: int, character: str) -> None:
        nonce = ONE.at(now)
        changed = nonce[:place] + character + nonce[place + 1 :]
        assert changed == nonce or ONE.good_until(changed) is None

    def test_the_next_comes_long_before_the_end(self) -> None:
        good_until = START + NONCE_LIFETIME
        assert not is_old(good_until, START)
        assert not is_old(good_until, START + 119)
        assert is_old(good_until, START + 120)


@dataclass
class Now:
    """A clock that a test moves."""

    seconds: float = START

    def __call__(self) -> float:
        return self.seconds


@dataclass
class World:
    """What accepts proofs, its clock, and a client whose own clock is right."""

    proofs: Proofs
    now: Now
    prover: Prover

    async def accept(self, *, path: str = "/token", nonce: str | None = None) -> Possession:
        proof = self.prover.proof(path, nonce=nonce or ..., iat=int(self.now()))
        return await self.proofs.accept(request(path, proof), "somebody")


def request(path: str, *proofs: str) -> Request:
    """As the server hands it on. Its Host is none of ours."""
    headers = [(b"host", b"evil.example.com"), *((b"dpop", proof.encode()) for proof in proofs)]
    full = f"/tenant{path}"
    return Request(
        {"type": "http", "method": "POST", "path": full, "raw_path": full.encode(), "headers": headers}
        | {"scheme": "http", "idp.origin": Origin("192.0.2.1", "test")}
    )


@pytest.fixture
async def world(database: str) -> AsyncIterator[World]:
    now = Now()
    async with opened(database) as connected, httpx.AsyncClient() as http:
        store = Store(connected)
        proofs = Proofs(ISSUER, lambda: ONE, store.used_ids, now, AuditQueue(store.audit, now))
        yield World(proofs, now, Prover(http, ISSUER))


async def test_8_the_life_of_a_nonce(world: World) -> None:
    with pytest.raises(UseDPoPNonceError) as wanted:
        await world.accept()
    nonce = wanted.value.nonce
    assert nonce == ONE.at(START)
    for age, fresh in ((0, False), (119, False), (120, True), (NONCE_LIFETIME - 1, True)):
        world.now.seconds = START + age
        accepted = await world.accept(nonce=nonce)
        assert accepted.jkt == world.prover.jkt
        assert accepted.headers == ({"DPoP-Nonce": ONE.at(START + age)} if fresh else {})
    world.now.seconds = START + NONCE_LIFETIME
    with pytest.raises(UseDPoPNonceError) as wanted:
        await world.accept(nonce=nonce)
    assert (await world.accept(nonce=wanted.value.nonce)).jkt


async def test_a_client_that_goes_on_asking_is_never_refused(world: World) -> None:
    """Each hour of this has one request a minute, and only the first had to be made twice."""
    nonce = ONE.at(START)
    for minute in range(60):
        world.now.seconds = START + 60 * minute
        accepted = await world.accept(nonce=nonce)
        nonce = accepted.headers.get("DPoP-Nonce", nonce)


async def test_11_1_an_id_is_remembered_for_as_long_as_its_proof_could_be_used(world: World) -> None:
    nonce = ONE.at(START)
    proof = world.prover.proof(nonce=nonce, iat=int(START) + 290)
    assert (await world.proofs.accept(request("/token", proof), "somebody")).jkt
    rows = await world.proofs.used._executor.fetch_all(
        "select extract(epoch from expires_at)::float8 as at from used_ids"
    )
    assert [row["at"] >= START + NONCE_LIFETIME for row in rows] == [True]
    world.now.seconds = START + NONCE_LIFETIME - 1
    with pytest.raises(InvalidDPoPProofError, match="used before"):
        await world.proofs.accept(request("/token", proof), "somebody")
    world.now.seconds = START + NONCE_LIFETIME
    with pytest.raises(UseDPoPNonceError):
        await world.proofs.accept(request("/token", proof), "somebody")


async def test_r20_an_issuer_with_a_path(world: World) -> None:
    assert (await world.accept(path="/users/me", nonce=ONE.at(START))).jkt
    proof = world.prover.proof("/users/me", nonce=ONE.at(START), iat=int(START), htu="https://id.example.com/users/me")
    with pytest.raises(InvalidDPoPProofError):
        await world.proofs.accept(request("/users/me", proof), "somebody")


async def test_without_the_database_no_proof_is_accepted(world: World) -> None:
    """Nobody could say whether it was used before."""
    async with opened("postgresql://nobody@127.0.0.1:1/nothing") as unreachable:
        proofs = replace(world.proofs, used=Store(unreachable).used_ids)
        proof = world.prover.proof(nonce=ONE.at(START), iat=int(START))
        with pytest.raises(DatabaseUnavailable):
            await proofs.accept(request("/token", proof), "somebody")


async def test_a_request_without_a_proof_costs_nothing(world: World) -> None:
    """Not even a look at the clock."""

    def unread() -> float:
        raise AssertionError

    async with opened("postgresql://nobody@127.0.0.1:1/nothing") as unreachable:
        store = Store(unreachable)
        proofs = Proofs(ISSUER, lambda: ONE, store.used_ids, unread, AuditQueue(store.audit, unread))
        assert await proofs.accept(request("/token"), "somebody") is UNPROVED
