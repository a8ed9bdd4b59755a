"""How long keys are used, and what an unknown one costs: over real HTTP, with the clock in hand. G8 in small."""

import asyncio
import json
import sys

import pytest
from verifier_tests.fetching import fetches, settle

from idp_verifier import InvalidSignature, UnknownKey, Verifier
from idp_verifier.fake_issuer import Clock
from idp_verifier.testing import JWKS_PATH, LocalIssuer, Signer, access_token_claims, base64url

# Freshness


async def test_fresh_keys_are_not_fetched_again(issuer: LocalIssuer, verifier: Verifier, clock: Clock) -> None:
    issuer.publish(issuer.signer, max_age=100)
    await verifier.verify(issuer.token())
    clock.now += 79
    await verifier.verify(issuer.token())
    settle(verifier)
    assert fetches(issuer) == 1


async def test_keys_are_refreshed_behind_the_request_before_they_expire(
    issuer: LocalIssuer, verifier: Verifier, clock: Clock
) -> None:
    issuer.publish(issuer.signer, max_age=100)
    await verifier.verify(issuer.token())
    clock.now += 81
    token = issuer.token()
    step = verifier.verify(token).send
    with pytest.raises(StopIteration):  # it ended without waiting for anything
        step(None)
    settle(verifier)
    assert fetches(issuer) == 2
    clock.now += 79
    await verifier.verify(issuer.token())
    assert fetches(issuer) == 2


async def test_a_304_confirms_the_keys(issuer: LocalIssuer, verifier: Verifier, clock: Clock) -> None:
    await verifier.verify(issuer.token())
    clock.now += 301
    await verifier.verify(issuer.token())
    (_, first), (_, second) = [request for request in issuer.requests if request[0] == JWKS_PATH]
    assert "If-None-Match" not in first
    assert second["If-None-Match"] == issuer.answers[JWKS_PATH].headers["ETag"]
    clock.now += 200
    await verifier.verify(issuer.token())
    assert fetches(issuer) == 2


async def test_expired_keys_are_not_used_while_the_issuer_can_be_asked(
    issuer: LocalIssuer, verifier: Verifier, clock: Clock
) -> None:
    """A revoked key is refused by a service that had been idle, from its first request on."""
    await verifier.verify(issuer.token())
    clock.now += 301
    token = issuer.token()
    issuer.publish(Signer.generate("ES256"))
    with pytest.raises(UnknownKey):
        await verifier.verify(token)


@pytest.mark.parametrize(
    ("cache_control", "age", "seconds"),
    [
        ("public, max-age=300, must-revalidate", "0", 300),
        ('MAX-AGE="300"', "", 300),
        ("max-age=300", "100", 200),
        ("s-maxage=9000, max-age=300", "nonsense", 300),
        ("", "", 300),
        ("no-store", "", 5),
        ("no-cache, max-age=300", "", 5),
        ("max-age=0", "", 5),
        ("max-age=300", "400", 5),
        ("max-age=9999999999", "", 86_400),
    ],
)
async def test_max_age_is_honoured(
    issuer: LocalIssuer, verifier: Verifier, clock: Clock, cache_control: str, age: str, seconds: int
) -> None:
    issuer.answers[JWKS_PATH].headers = {"Cache-Control": cache_control, "Age": age}
    await verifier.verify(issuer.token())
    token = issuer.token(exp=int(clock.now) + 1_000_000)
    headers = issuer.answers[JWKS_PATH].headers
    issuer.publish(Signer.generate("ES256"))  # the token's key is revoked
    issuer.answers[JWKS_PATH].headers = headers
    clock.now += seconds * 0.79
    assert await verifier.verify(token)
    settle(verifier)
    assert fetches(issuer) == 1
    clock.now += seconds * 0.22
    with pytest.raises(UnknownKey):
        await verifier.verify(token)


async def test_a_clock_set_back_does_not_keep_keys_alive(issuer: LocalIssuer, verifier: Verifier, clock: Clock) -> None:
    await verifier.verify(issuer.token())
    clock.now -= 3600
    await verifier.verify(issuer.token())
    assert fetches(issuer) == 2


# Unknown keys


async def test_a_key_made_in_haste_is_found_at_once(issuer: LocalIssuer, verifier: Verifier) -> None:
    await verifier.verify(issuer.token())
    before = issuer.signer
    issuer.signer = Signer.generate("ES256")
    issuer.publish(before, issuer.signer)
    assert len(await asyncio.gather(*(verifier.verify(issuer.token()) for _ in range(50)))) == 50
    assert fetches(issuer) == 2


async def test_a_key_that_another_thread_finds_at_the_same_moment_is_not_missed(
    issuer: LocalIssuer, verifier: Verifier, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await verifier.verify(issuer.token())
    issuer.signer = Signer.generate("ES256")
    issuer.publish(issuer.signer)
    token = issuer.token()

    def other_thread_first() -> float:
        monkeypatch.setattr(verifier, "_clock", clock)
        verifier.verify_sync(token)
        return clock.now

    monkeypatch.setattr(verifier, "_clock", other_thread_first)  # read once the keys have been chosen
    assert await verifier.verify(token)
    assert fetches(issuer) == 2


async def test_forged_kids_cost_one_fetch_in_30_seconds(issuer: LocalIssuer, verifier: Verifier, clock: Clock) -> None:
    await verifier.verify(issuer.token())
    good = issuer.token()

    async def forge(count: int) -> None:
        claims = access_token_claims(issuer.url, clock.now)
        for number in range(count):
            with pytest.raises(UnknownKey):
                await verifier.verify(issuer.signer.sign(claims, kid=f"forged-{number}"))
            assert await verifier.verify(good)

    await forge(200)
    assert fetches(issuer) == 2
    clock.now += 29.9
    await forge(5)
    assert fetches(issuer) == 2
    clock.now += 0.2
    await forge(5)
    assert fetches(issuer) == 3


async def test_g8_ten_thousand_forged_kids_leave_memory_flat_and_good_tokens_unharmed(
    issuer: LocalIssuer, verifier: Verifier, clock: Clock
) -> None:
    good = issuer.token()
    await verifier.verify(good)
    rest = issuer.token().partition(".")[2]
    for number in range(10_000):  # within a second
        header = {"typ": "at+jwt", "alg": "ES256", "kid": f"forged-{number}"}
        with pytest.raises(UnknownKey):
            await verifier.verify(f"{base64url(json.dumps(header).encode())}.{rest}")
        if number == 1_000:
            settled = sys.getallocatedblocks()
        if number % 1_000 == 0:
            assert await verifier.verify(good)
            assert await verifier.verify(issuer.token())
        clock.now += 0.0001
    assert fetches(issuer) == 2
    assert sys.getallocatedblocks() - settled < 3_000  # not even one for every third token


async def test_a_forged_signature_costs_no_fetch(issuer: LocalIssuer, verifier: Verifier) -> None:
    await verifier.verify(issuer.token())
    forger = Signer.generate("ES256", kid=issuer.signer.kid)
    with pytest.raises(InvalidSignature):
        await verifier.verify(forger.sign(access_token_claims(issuer.url, 0)))
    assert fetches(issuer) == 1
