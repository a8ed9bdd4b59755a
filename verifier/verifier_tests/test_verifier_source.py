"""How the issuer's keys are found, and that one fetch serves all: over real HTTP."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from verifier_tests.fetching import fetches, settle

from idp_verifier import KeysUnavailable, Verifier
from idp_verifier.discovery import metadata_urls
from idp_verifier.fake_issuer import Clock
from idp_verifier.testing import JWKS_PATH, METADATA_PATH, Answer, LocalIssuer

AUDIENCE = "https://api.example.com"
OPENID_PATH = "/.well-known/openid-configuration"


# Finding them


async def test_keys_are_found_through_the_metadata(issuer: LocalIssuer, verifier: Verifier) -> None:
    claims = await verifier.verify(issuer.token(scope="read"))
    assert claims.scopes == {"read"}
    assert [path for path, _ in issuer.requests] == [METADATA_PATH, JWKS_PATH]


def test_keys_are_found_without_an_event_loop(issuer: LocalIssuer, verifier: Verifier) -> None:
    assert verifier.verify_sync(issuer.token()).client_id == "web"


async def test_openid_discovery_is_the_second_choice(issuer: LocalIssuer, verifier: Verifier) -> None:
    issuer.answers[OPENID_PATH] = issuer.answers.pop(METADATA_PATH)
    assert await verifier.verify(issuer.token())
    assert [path for path, _ in issuer.requests] == [METADATA_PATH, OPENID_PATH, JWKS_PATH]


async def test_a_given_jwks_uri_needs_no_metadata(issuer: LocalIssuer) -> None:
    async with Verifier(issuer.url, AUDIENCE, jwks_uri=issuer.url + JWKS_PATH, clock=issuer._clock) as verifier:
        assert await verifier.verify(issuer.token())
    assert [path for path, _ in issuer.requests] == [JWKS_PATH]


@pytest.mark.parametrize(
    ("issuer_url", "paths"),
    [
        ("https://id.example.com", ("/.well-known/oauth-authorization-server", OPENID_PATH)),
        ("https://id.example.com/", ("/.well-known/oauth-authorization-server", OPENID_PATH)),
        ("https://id.example.com/a/b", ("/.well-known/oauth-authorization-server/a/b", "/a/b" + OPENID_PATH)),
    ],
)
def test_where_metadata_is_for_an_issuer_with_a_path(issuer_url: str, paths: tuple[str, str]) -> None:
    """RFC 8414 §3.1, OpenID Connect Discovery §4."""
    assert tuple(metadata_urls(issuer_url)) == tuple("https://id.example.com" + path for path in paths)


@pytest.mark.parametrize(
    "metadata",
    [
        b'{"issuer":"https://evil.example.com","jwks_uri":"%s/.well-known/jwks.json"}',
        b'{"issuer":"%s/","jwks_uri":"%s/.well-known/jwks.json"}',
        b'{"jwks_uri":"%s/.well-known/jwks.json"}',
        b'{"issuer":"%s"}',
        b'{"issuer":"%s","jwks_uri":"http://id.example.com/jwks.json"}',
        b'{"issuer":"%s","jwks_uri":"file:///etc/passwd"}',
        b"[]",
        b"<html>",
    ],
)
async def test_metadata_of_another_issuer_or_without_safe_keys_is_refused(
    issuer: LocalIssuer, verifier: Verifier, metadata: bytes
) -> None:
    issuer.answers[METADATA_PATH] = Answer(metadata.replace(b"%s", issuer.url.encode()))
    with pytest.raises(KeysUnavailable):
        await verifier.verify(issuer.token())
    assert fetches(issuer) == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://10.0.0.1",
        "ftp://id.example.com",
        "//id.example.com",
        "id.example.com",
        "https://user@id.example.com",
        "https://id.example.com#x",
        "https://",
        "",
    ],
)
def test_only_https_is_accepted(url: str) -> None:
    with pytest.raises(ValueError, match=r"http"):
        Verifier(url, AUDIENCE)
    with pytest.raises(ValueError, match=r"http"):
        Verifier("https://id.example.com", AUDIENCE, jwks_uri=url)


@pytest.mark.parametrize(
    "url", ["http://localhost:8000", "http://127.0.0.1", "http://[::1]:8000", "https://id.example.com"]
)
def test_http_is_accepted_on_loopback(url: str) -> None:
    Verifier(url, AUDIENCE)
    Verifier("http://id.example.com", AUDIENCE, allow_http=True)


@pytest.mark.parametrize("audience", ["", (), ("https://api.example.com", "")])
def test_an_audience_is_required(audience: str | tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="audience"):
        Verifier("https://id.example.com", audience)


# One fetch for all


async def test_fifty_tokens_at_once_cost_one_fetch(issuer: LocalIssuer, verifier: Verifier) -> None:
    tokens = [issuer.token() for _ in range(50)]
    assert len(await asyncio.gather(*map(verifier.verify, tokens))) == 50
    assert fetches(issuer) == 1


def test_fifty_threads_at_once_cost_one_fetch(issuer: LocalIssuer, verifier: Verifier) -> None:
    with ThreadPoolExecutor(50) as pool:
        assert len(list(pool.map(verifier.verify_sync, [issuer.token() for _ in range(50)]))) == 50
    assert fetches(issuer) == 1


async def test_who_stops_waiting_does_not_cancel_it_for_the_others(issuer: LocalIssuer, verifier: Verifier) -> None:
    impatient = [asyncio.create_task(verifier.verify(issuer.token())) for _ in range(3)]
    patient = asyncio.create_task(verifier.verify(issuer.token()))
    await asyncio.sleep(0)
    for task in impatient:
        task.cancel()
    assert (await patient).client_id == "web"
    assert fetches(issuer) == 1


def test_a_fetch_may_outlive_the_event_loop_that_waited_for_it(
    issuer: LocalIssuer, verifier: Verifier, caplog: pytest.LogCaptureFixture
) -> None:
    async def give_up() -> None:
        await asyncio.wait_for(verifier.verify(issuer.token()), timeout=0.01)

    issuer.answers[METADATA_PATH].ready.clear()
    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    issuer.answers[METADATA_PATH].ready.set()
    settle(verifier)
    assert verifier.verify_sync(issuer.token())
    assert caplog.text == ""  # no complaint about a closed loop
    assert fetches(issuer) == 1


# The end


async def test_a_closed_verifier_fetches_no_more(issuer: LocalIssuer, clock: Clock) -> None:
    async with Verifier(issuer.url, AUDIENCE, clock=clock) as verifier:
        await verifier.verify(issuer.token())
    clock.now += 290
    assert await verifier.verify(issuer.token())
    clock.now += 300
    assert await verifier.verify(issuer.token())
    assert fetches(issuer) == 1
    with Verifier(issuer.url, AUDIENCE) as unused:
        pass
    with pytest.raises(KeysUnavailable):
        unused.verify_sync(issuer.token())
    assert fetches(issuer) == 1
