"""Tokens that come again: nearly free, and refused exactly when they would be refused the first time."""

import random
import ssl
import sys
from typing import Any

import pytest

from idp_verifier import (
    ExpiredToken,
    InvalidSignature,
    MalformedToken,
    NotYetValid,
    UnknownKey,
    VerificationError,
    Verifier,
    WrongAudience,
)
from idp_verifier.fake_issuer import Clock
from idp_verifier.jwk import VerificationKey
from idp_verifier.testing import LocalIssuer, Signer, access_token_claims

AUDIENCE = "https://api.example.com"
TLS = ssl.create_default_context()  # dear to make, and the same for all


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The signing inputs of all signatures that are checked from now on."""
    seen: list[bytes] = []
    made = VerificationKey.__init__

    def counting(key: VerificationKey, kid: str, alg: str, public_key: Any, check: Any) -> None:
        def counted(signature: bytes, octets: bytes) -> None:
            seen.append(octets)
            check(signature, octets)

        made(key, kid, alg, public_key, counted)

    monkeypatch.setattr(VerificationKey, "__init__", counting)
    return seen


async def test_a_signature_is_checked_once(issuer: LocalIssuer, checks: list[bytes], verifier: Verifier) -> None:
    token = issuer.token()
    first = await verifier.verify(token)
    assert await verifier.verify(token.encode()) is first
    assert verifier.verify_sync(token) is first
    assert len(checks) == 1


def test_a_size_of_0_turns_it_off(issuer: LocalIssuer, checks: list[bytes], clock: Clock) -> None:
    token = issuer.token()
    with Verifier(issuer.url, AUDIENCE, clock=clock, tls=TLS, cache_size=0) as verifier:
        for _ in range(3):
            verifier.verify_sync(token)
    assert len(checks) == 3


@pytest.mark.parametrize("size", [-1, 1])
def test_a_size_that_makes_no_sense_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="cache_size"):
        Verifier("https://id.example.com", AUDIENCE, cache_size=size)


# Time


async def test_a_known_token_expires_to_the_second(issuer: LocalIssuer, verifier: Verifier, clock: Clock) -> None:
    token = issuer.token(exp=int(clock.now) + 60)
    await verifier.verify(token)
    clock.now += 89.9  # the leeway is 30 s
    await verifier.verify(token)
    clock.now += 0.1
    with pytest.raises(ExpiredToken):
        await verifier.verify(token)
    assert len(verifier._results) == 0


@pytest.mark.parametrize("name", ["nbf", "iat"])
async def test_a_clock_set_back_makes_a_known_token_one_of_the_future(
    issuer: LocalIssuer, verifier: Verifier, clock: Clock, name: str
) -> None:
    token = issuer.token(**{name: int(clock.now)})
    await verifier.verify(token)
    clock.now -= 31
    with pytest.raises(NotYetValid):
        await verifier.verify(token)


async def test_what_is_known_to_one_audience_is_not_to_another(issuer: LocalIssuer, clock: Clock) -> None:
    token = issuer.token()
    async with Verifier(issuer.url, AUDIENCE, clock=clock) as one, Verifier(issuer.url, "other", clock=clock) as other:
        await one.verify(token)
        for _ in range(2):
            with pytest.raises(WrongAudience):
                await other.verify(token)


def test_a_verifier_that_remembers_and_one_that_does_not_never_disagree(issuer: LocalIssuer, clock: Clock) -> None:
    dice = random.Random(7)
    start = int(clock.now)

    def instant() -> int:
        return start + dice.randrange(-200, 200)

    tokens = [issuer.token(iat=instant(), nbf=instant(), exp=instant() + 100) for _ in range(40)]
    issuer.publish(issuer.signer, max_age=9_000)
    clock.now -= 250
    with (
        Verifier(issuer.url, AUDIENCE, clock=clock, tls=TLS, cache_size=16) as one,
        Verifier(issuer.url, AUDIENCE, clock=clock, tls=TLS, cache_size=0) as other,
    ):
        outcomes = set()
        for _ in range(1_500):
            clock.now += 0.4
            token = dice.choice(tokens)
            outcome = outcome_of(one, token)
            assert outcome == outcome_of(other, token)
            outcomes.add(outcome)
    assert {"expired_token", "not_yet_valid"} < outcomes


def outcome_of(verifier: Verifier, token: str) -> str:
    try:
        return verifier.verify_sync(token).jti
    except VerificationError as error:
        return error.code


# Keys


async def test_a_key_that_is_taken_back_takes_its_tokens_with_it(
    issuer: LocalIssuer, verifier: Verifier, clock: Clock
) -> None:
    token = issuer.token()
    await verifier.verify(token)
    issuer.publish(Signer.generate("ES256"))
    clock.now += 301
    with pytest.raises(UnknownKey):
        await verifier.verify(token)
    assert len(verifier._results) == 0


async def test_another_key_of_the_same_name_knows_no_tokens(
    issuer: LocalIssuer, verifier: Verifier, clock: Clock
) -> None:
    token = issuer.token()
    await verifier.verify(token)
    issuer.publish(Signer.generate("ES256", kid=issuer.signer.kid))
    issuer.answers["/.well-known/jwks.json"].headers["ETag"] = '"another"'
    clock.now += 301
    with pytest.raises(InvalidSignature):
        await verifier.verify(token)


@pytest.mark.parametrize("etag", [True, False], ids=["304", "200"])
async def test_tokens_of_a_key_that_stays_stay_known(
    issuer: LocalIssuer, checks: list[bytes], verifier: Verifier, clock: Clock, etag: bool
) -> None:
    token = issuer.token()
    await verifier.verify(token)
    if not etag:
        issuer.publish(Signer.generate("ES256"), issuer.signer)
    clock.now += 301
    await verifier.verify(token)
    assert len(checks) == 1


# Bounds


async def test_only_good_tokens_are_remembered(issuer: LocalIssuer, verifier: Verifier, clock: Clock) -> None:
    claims = access_token_claims(issuer.url, clock.now)
    forger = Signer.generate("ES256", kid=issuer.signer.kid)
    bad = [
        forger.sign(claims),
        issuer.signer.sign(claims, kid="unknown"),
        issuer.token(exp=1),
        issuer.token(aud="other"),
        issuer.token(iat=int(clock.now) + 31),
        issuer.token(cnf={}),
        issuer.token(status={}),
        "a.b.c",
    ]
    for token in bad * 2:
        with pytest.raises(VerificationError):
            await verifier.verify(token)
    assert len(verifier._results) == 0


async def test_a_token_that_is_too_large_is_not_even_hashed(verifier: Verifier, issuer: LocalIssuer) -> None:
    await verifier.verify(issuer.token())
    for token in ("A" * 10_000_000, "\ud800", None, 7):
        with pytest.raises(MalformedToken):
            await verifier.verify(token)  # type: ignore[arg-type]


async def test_a_flood_of_good_tokens_leaves_memory_flat(issuer: LocalIssuer, clock: Clock) -> None:
    async with Verifier(issuer.url, AUDIENCE, clock=clock, tls=TLS, cache_size=50) as verifier:
        for _ in range(100):
            await verifier.verify(issuer.token())
        settled = sys.getallocatedblocks()
        for _ in range(2_000):
            await verifier.verify(issuer.token())
            assert len(verifier._results) <= 50
    assert sys.getallocatedblocks() - settled < 2_000  # not even one for each token


async def test_a_token_in_use_outlives_a_flood(issuer: LocalIssuer, checks: list[bytes], clock: Clock) -> None:
    async with Verifier(issuer.url, AUDIENCE, clock=clock, tls=TLS, cache_size=10) as verifier:
        used = issuer.token()
        for _ in range(100):
            await verifier.verify(used)
            await verifier.verify(issuer.token())
    assert len(checks) == 101
