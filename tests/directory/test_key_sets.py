"""Keys that are elsewhere: fetched without holding anybody up, kept for a while, followed when they change."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.directory import key_sets
from idp.directory.key_sets import MAX_STALE, KeySets, keys_problem
from idp.directory.remote_keys import complete, key_set_fetcher
from idp.protocol.errors import TemporarilyUnavailableError
from idp.protocol.signed_jwt import RefusedJwt, SignedJwt, read_jwt
from idp_verifier import KeySet
from idp_verifier.testing import JWKS_PATH, Answer, LocalIssuer, Signer

LOOPBACK = ["127.0.0.0/8"]


class Ticker:
    """Seconds that pass only when told to."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticker() -> Ticker:
    return Ticker()


@pytest.fixture
def place() -> Iterator[LocalIssuer]:
    with LocalIssuer("ES256") as place:
        yield place


@pytest.fixture
def keys(ticker: Ticker) -> KeySets:
    return KeySets(key_set_fetcher(LOOPBACK), ticker)


def signed(signer: Signer) -> SignedJwt:
    return read_jwt(signer.sign({"sub": "a"}))


async def test_many_at_once_cost_one_fetch_and_hold_nobody_up(keys: KeySets, place: LocalIssuer) -> None:
    answer = place.answers[JWKS_PATH]
    answer.ready.clear()
    asking = [asyncio.create_task(keys.verify(signed(place.signer), None, place.url + JWKS_PATH)) for _ in range(8)]
    await keys.verify(signed(place.signer), {"keys": [dict(place.signer.jwk)]}, None)  # the loop goes on meanwhile
    assert not any(task.done() for task in asking)
    answer.ready.set()
    await asyncio.gather(*asking)
    assert len(place.requests) == 1


async def test_the_last_good_keys_serve_through_an_outage_for_a_while(
    keys: KeySets, place: LocalIssuer, ticker: Ticker
) -> None:
    uri, jwt = place.url + JWKS_PATH, signed(place.signer)
    await keys.verify(jwt, None, uri)
    for broken in (Answer(status=500), Answer(b"<html>"), Answer(b'{"keys":[]}')):
        place.answers[JWKS_PATH] = broken
        ticker.now += MAX_STALE / 4
        await keys.verify(jwt, None, uri)
    ticker.now += MAX_STALE / 4 + 1
    with pytest.raises(TemporarilyUnavailableError):
        await keys.verify(jwt, None, uri)


async def test_strangers_cost_one_look_in_half_a_minute(keys: KeySets, place: LocalIssuer, ticker: Ticker) -> None:
    uri, stranger = place.url + JWKS_PATH, signed(Signer.generate("ES256"))
    for _ in range(2):
        for _ in range(5):
            with pytest.raises(RefusedJwt):
                await keys.verify(stranger, None, uri)
        ticker.now += 31
    assert len(place.requests) == 3  # the keys themselves, and a look for each half a minute


async def test_a_private_place_is_an_outage_like_any_other(place: LocalIssuer, ticker: Ticker) -> None:
    """What is not allowed, what is closed and what is silent are told alike: nobody scans our network through us."""
    keys = KeySets(key_set_fetcher(()), ticker)
    with pytest.raises(TemporarilyUnavailableError) as forbidden:
        await keys.verify(signed(place.signer), None, place.url + JWKS_PATH)
    with pytest.raises(TemporarilyUnavailableError) as closed:
        await KeySets(key_set_fetcher(LOOPBACK), ticker).verify(signed(place.signer), None, "http://127.0.0.1:9/")
    assert str(forbidden.value) == str(closed.value)
    assert place.requests == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda children: st.lists(children, max_size=2) | st.dictionaries(st.text(max_size=3), children, max_size=2),
    max_leaves=4,
)
MEMBERS = ("kty", "crv", "x", "y", "n", "e", "alg", "kid", "use", "key_ops", "x5c", "d")
kinds = st.sampled_from([dict(Signer.generate(alg).jwk) for alg in ("RS256", "ES256", "EdDSA")])


@given(kinds, st.dictionaries(st.sampled_from(MEMBERS), json_values, min_size=1), st.sets(st.sampled_from(MEMBERS)))
def test_no_key_is_too_strange_to_be_judged(jwk: dict[str, Any], changes: dict[str, Any], without: set[str]) -> None:
    """What passes can be used, what does not gets a sentence, and nothing else ever comes out."""
    changed = {name: value for name, value in (jwk | changes).items() if name not in without}
    if keys_problem({"keys": [changed]}, None) is None:
        assert len(KeySet.parse({"keys": [complete(changed)]})) == 1


async def test_only_so_many_places_are_remembered(
    keys: KeySets, place: LocalIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_sets, "BOUND", 2)
    for path in ("/a", "/b", "/c", "/b", "/a"):
        place.answers[path] = place.answers[JWKS_PATH]
        await keys.verify(signed(place.signer), None, place.url + path)
    assert [path for path, _ in place.requests] == ["/a", "/b", "/c", "/a"]
