"""How keys are found and kept: over real HTTP, with the clock in hand. G8 in small."""

import asyncio
import json
import logging
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from idp_verifier import InvalidSignature, KeysUnavailable, UnknownKey, Verifier
from idp_verifier.discovery import metadata_urls
from idp_verifier.fake_issuer import Clock
from idp_verifier.fetch import MAX_BODY_OCTETS
from idp_verifier.testing import JWKS_PATH, METADATA_PATH, Answer, LocalIssuer, Signer, access_token_claims, base64url

AUDIENCE = "https://api.example.com"
OPENID_PATH = "/.well-known/openid-configuration"


def fetches(issuer: LocalIssuer) -> int:
    return [path for path, _ in issuer.requests].count(JWKS_PATH)


def settle(verifier: Verifier) -> None:
    """Waits for the fetch that goes on in the background, if there is one."""
    fetch = verifier._source._in_flight
    if fetch is not None:
        fetch.result(timeout=10)


def fail(issuer: LocalIssuer, status: int = 503) -> None:
    issuer.answers[JWKS_PATH] = Answer(b"{}", status)


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


# Outages


async def test_known_keys_outlive_an_outage_of_a_day(
    issuer: LocalIssuer, verifier: Verifier, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "idp_verifier")
    await verifier.verify(issuer.token())
    fail(issuer)
    for _ in range(24):
        clock.now += 3599
        assert await verifier.verify(issuer.token())
        settle(verifier)
    assert "status 503" in caplog.text
    clock.now += 86_400 - 24 * 3599
    with pytest.raises(KeysUnavailable, match="503"):
        await verifier.verify(issuer.token())
    settle(verifier)
    issuer.publish(issuer.signer)
    clock.now += 30
    assert await verifier.verify(issuer.token())


async def test_in_an_outage_nobody_waits_twice(issuer: LocalIssuer, verifier: Verifier, clock: Clock) -> None:
    await verifier.verify(issuer.token())
    fail(issuer)
    clock.now += 301
    await verifier.verify(issuer.token())  # waits, and learns of the outage
    clock.now += 60
    with pytest.raises(StopIteration):  # it ended without waiting for the fetch that it began
        verifier.verify(issuer.token()).send(None)
    settle(verifier)
    assert fetches(issuer) == 3


async def test_pauses_grow_while_the_issuer_fails(issuer: LocalIssuer, verifier: Verifier, clock: Clock) -> None:
    fail(issuer)
    attempts = []
    for second in range(120):
        before = fetches(issuer)
        with pytest.raises(KeysUnavailable):
            await verifier.verify(issuer.token())
        settle(verifier)
        if fetches(issuer) > before:
            attempts.append(second)
        clock.now += 1
    assert attempts == [0, 1, 3, 7, 15, 31, 61, 91]


async def test_a_bad_key_set_does_not_replace_a_good_one(issuer: LocalIssuer, verifier: Verifier, clock: Clock) -> None:
    await verifier.verify(issuer.token())
    for body in (b"", b"<html>", b'{"keys":[]}', b'{"keys":[{"kty":"oct","kid":"x","k":"AA"}]}'):
        issuer.answers[JWKS_PATH] = Answer(body)
        clock.now += 400
        assert await verifier.verify(issuer.token())
        settle(verifier)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(issuer: LocalIssuer, verifier: Verifier, status: int) -> None:
    issuer.answers["/elsewhere"] = issuer.answers[JWKS_PATH]
    issuer.answers[JWKS_PATH] = Answer(status=status, headers={"Location": issuer.url + "/elsewhere"})
    with pytest.raises(KeysUnavailable, match=str(status)):
        await verifier.verify(issuer.token())
    assert "/elsewhere" not in [path for path, _ in issuer.requests]


async def test_an_oversized_answer_is_refused(issuer: LocalIssuer, verifier: Verifier) -> None:
    answer = issuer.answers[JWKS_PATH]
    good = answer.body
    answer.body = good.ljust(MAX_BODY_OCTETS + 1)
    with pytest.raises(KeysUnavailable, match="large"):
        await verifier.verify(issuer.token())


async def test_a_compressed_answer_is_refused(issuer: LocalIssuer, verifier: Verifier) -> None:
    issuer.answers[JWKS_PATH].headers["Content-Encoding"] = "gzip"
    with pytest.raises(KeysUnavailable, match="compressed"):
        await verifier.verify(issuer.token())


async def test_nobody_listening_is_an_outage() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    async with Verifier(url, AUDIENCE) as verifier:
        with pytest.raises(KeysUnavailable):
            await verifier.verify(Signer.generate("ES256").sign({}))


@pytest.mark.parametrize("trickle", [False, True], ids=["silent", "trickling"])
async def test_a_slow_issuer_is_cut_off(trickle: bool) -> None:
    """Also one that sends an octet now and then, which a socket's timeout would never notice."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not ended.wait(0.02):
                    try:
                        connection.send(b"x" if trickle else b"")
                    except OSError:
                        return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        async with Verifier(url, AUDIENCE, jwks_uri=url, timeout=0.2) as verifier:
            with pytest.raises(KeysUnavailable):
                await verifier.verify(Signer.generate("ES256").sign({}))
            settle(verifier)
            assert verifier._source._outage is not None
        ended.set()
        thread.join()


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
