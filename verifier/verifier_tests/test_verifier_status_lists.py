"""Token Status Lists, kept current: revocation that is seen offline, within a stated time."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from verifier_tests.fetching import fetches, settle, settle_one
from verifier_tests.listed import publish, token_of

from idp_verifier import RevokedToken, StatusUnavailable, Verifier
from idp_verifier.asgi import ASGI
from idp_verifier.bearer import Bearer
from idp_verifier.fake_issuer import Clock
from idp_verifier.testing import STATUS_PATH, Answer, LocalIssuer, Signer

PATH = STATUS_PATH


@pytest.fixture
def issuer(clock: Clock) -> Iterator[LocalIssuer]:
    with LocalIssuer("ES256", clock=clock) as issuer:
        publish(issuer, b"\0\0")
        yield issuer


def at_once(verifier: Verifier, token: str) -> None:
    """Verifies without waiting for anything."""
    with pytest.raises(StopIteration):
        verifier.verify(token).send(None)


# When it is fetched


async def test_one_fetch_serves_all_tokens_and_only_the_first_wait(issuer: LocalIssuer, verifier: Verifier) -> None:
    tokens = [token_of(issuer, idx) for idx in range(16)]
    await asyncio.gather(*map(verifier.verify, tokens))
    for token in (*tokens, token_of(issuer, 3)):
        at_once(verifier, token)
    assert fetches(issuer, PATH) == 1
    (_, headers), *_ = [request for request in issuer.requests if request[0] == PATH]
    assert headers["Accept"] == "application/statuslist+jwt"


async def test_a_revocation_is_seen_within_the_ttl_by_known_tokens_too(
    issuer: LocalIssuer, verifier: Verifier, clock: Clock
) -> None:
    token = token_of(issuer, 3)
    await verifier.verify(token)
    publish(issuer, b"\x08\0")
    clock.now += 79
    at_once(verifier, token)
    settle(verifier)
    assert fetches(issuer, PATH) == 1
    clock.now += 2  # 80 % of the ttl have passed: fetched behind the request
    at_once(verifier, token)
    settle(verifier)
    assert fetches(issuer, PATH) == 2
    with pytest.raises(RevokedToken):
        await verifier.verify(token)
    await verifier.verify(token_of(issuer, 4))


async def test_a_service_that_was_idle_asks_before_it_answers(
    issuer: LocalIssuer, verifier: Verifier, clock: Clock
) -> None:
    token = token_of(issuer, exp=int(clock.now) + 9_000)
    await verifier.verify(token)
    publish(issuer, b"\1\0")
    clock.now += 101
    with pytest.raises(RevokedToken):
        await verifier.verify(token)


@pytest.mark.parametrize(
    ("ttl", "cache_control", "seconds"),
    [(100, "", 100), (100, "max-age=40", 40), (40, "max-age=9000", 40), (..., "max-age=40", 40), (..., "", 300)],
)
async def test_the_shorter_of_ttl_and_max_age_counts(
    issuer: LocalIssuer, verifier: Verifier, clock: Clock, ttl: Any, cache_control: str, seconds: int
) -> None:
    publish(issuer, b"\0", ttl=ttl)
    issuer.answers[PATH].headers["Cache-Control"] = cache_control
    await verifier.verify(token_of(issuer))
    clock.now += seconds * 0.79
    await verifier.verify(token_of(issuer))
    settle(verifier)
    assert fetches(issuer, PATH) == 1
    clock.now += seconds * 0.02
    await verifier.verify(token_of(issuer))
    settle(verifier)
    assert fetches(issuer, PATH) == 2


async def test_no_ttl_delays_a_revocation_by_more_than_an_hour(
    issuer: LocalIssuer, verifier: Verifier, clock: Clock
) -> None:
    publish(issuer, b"\0", ttl=10**9, exp=...)
    token = token_of(issuer, exp=int(clock.now) + 9_000)
    await verifier.verify(token)
    clock.now += 3_600
    publish(issuer, b"\1")
    with pytest.raises(RevokedToken):
        await verifier.verify(token)


async def test_a_304_confirms_the_list(issuer: LocalIssuer, verifier: Verifier, clock: Clock) -> None:
    await verifier.verify(token_of(issuer))
    clock.now += 101
    await verifier.verify(token_of(issuer))
    assert issuer.requests[-1][1]["If-None-Match"] == issuer.answers[PATH].headers["ETag"]
    clock.now += 79
    at_once(verifier, token_of(issuer))
    settle(verifier)
    assert fetches(issuer, PATH) == 2


# Outages


async def test_through_an_outage_a_list_goes_on_until_its_exp(
    issuer: LocalIssuer, verifier: Verifier, clock: Clock
) -> None:
    revoked = token_of(issuer, 9)
    publish(issuer, b"\0\2")
    await verifier.verify(token_of(issuer))
    issuer.answers[PATH] = Answer(status=503)
    for _ in range(5):
        clock.now += 119
        await verifier.verify(token_of(issuer))
        with pytest.raises(RevokedToken):
            await verifier.verify(revoked)
        settle(verifier)
    clock.now += 5
    with pytest.raises(StatusUnavailable, match="503"):
        await verifier.verify(token_of(issuer))
    settle(verifier)
    publish(issuer, b"\0\2")
    clock.now += 30
    await verifier.verify(token_of(issuer))


async def test_no_304_revives_an_expired_list(issuer: LocalIssuer, verifier: Verifier, clock: Clock) -> None:
    await verifier.verify(token_of(issuer))
    clock.now += 600
    with pytest.raises(StatusUnavailable, match="expired"):
        await verifier.verify(token_of(issuer))
    assert "If-None-Match" not in issuer.requests[-1][1]


async def test_a_list_that_cannot_be_had_refuses_without_a_flood_of_fetches(
    issuer: LocalIssuer, verifier: Verifier, clock: Clock
) -> None:
    issuer.answers[PATH] = Answer(status=404)
    for _ in range(50):
        with pytest.raises(StatusUnavailable, match="404"):
            await verifier.verify(token_of(issuer))
    assert fetches(issuer, PATH) == 1
    await verifier.verify(issuer.token())  # what has no status is not concerned
    clock.now += 1
    publish(issuer, b"\0")
    await verifier.verify(token_of(issuer))


def test_a_missing_list_is_not_the_fault_of_the_token() -> None:
    assert Bearer(ASGI).refusal_of(StatusUnavailable("there is none")).status == 503
    assert Bearer(ASGI).refusal_of(RevokedToken("it is revoked")).status == 401


# Keys


async def test_a_list_signed_with_a_new_key_is_verified_with_it(
    issuer: LocalIssuer, verifier: Verifier, clock: Clock
) -> None:
    token = token_of(issuer)
    await verifier.verify(token)
    before, issuer.signer = issuer.signer, Signer.generate("ES256")
    issuer.publish(before, issuer.signer)
    publish(issuer, b"\1")
    clock.now += 101
    with pytest.raises(RevokedToken):
        await verifier.verify(token)


@pytest.fixture
def other_key(issuer: LocalIssuer) -> Signer:
    """The key of the tokens from now on; the list was signed with another one."""
    publish(issuer, b"\0", ttl=60)
    other = Signer.generate("ES256")
    issuer.publish(issuer.signer, other, max_age=50)
    issuer.signer = other
    return other


async def test_a_list_goes_with_the_key_that_signed_it(
    issuer: LocalIssuer, verifier: Verifier, clock: Clock, other_key: Signer
) -> None:
    token = token_of(issuer)
    await verifier.verify(token)
    issuer.publish(other_key, max_age=50)  # the key of the list is taken back, while the list is fresh
    clock.now += 51
    with pytest.raises(StatusUnavailable):
        await verifier.verify(token)
    publish(issuer, b"\0")
    clock.now += 30
    await verifier.verify(token)


async def test_a_list_goes_with_its_key_also_behind_the_requests(
    issuer: LocalIssuer, verifier: Verifier, clock: Clock, other_key: Signer
) -> None:
    token = token_of(issuer)
    await verifier.verify(token)
    issuer.publish(other_key, max_age=50)
    clock.now += 41
    at_once(verifier, token)  # begins to fetch the keys anew
    settle(verifier)
    with pytest.raises(StatusUnavailable):
        await verifier.verify(token)


def test_no_304_revives_a_list_whose_key_is_gone(
    issuer: LocalIssuer, verifier: Verifier, clock: Clock, other_key: Signer
) -> None:
    token = token_of(issuer)
    verifier.verify_sync(token)
    issuer.answers[PATH].ready.clear()
    clock.now += 49
    at_once(verifier, token)  # begins to fetch the list and the keys anew
    settle_one(verifier._source)
    issuer.publish(other_key, max_age=50)
    clock.now += 51
    steps = verifier._steps(token, None)
    next(steps).result(timeout=10)  # the keys
    fetch = next(steps)  # the list, still from before
    issuer.answers[PATH].ready.set()
    fetch.result(timeout=10)
    with pytest.raises(StatusUnavailable, match="no more"):
        next(steps)
