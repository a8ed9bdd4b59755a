"""What holds while an issuer is out of reach, slow or wrong: over real HTTP, with the clock in hand."""

import logging
import socket
import threading

import pytest
from verifier_tests.fetching import fetches, settle

from idp_verifier import KeysUnavailable, Verifier
from idp_verifier.fake_issuer import Clock
from idp_verifier.fetch import MAX_BODY_OCTETS
from idp_verifier.testing import JWKS_PATH, Answer, LocalIssuer, Signer

AUDIENCE = "https://api.example.com"


def fail(issuer: LocalIssuer, status: int = 503) -> None:
    issuer.answers[JWKS_PATH] = Answer(b"{}", status)


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
