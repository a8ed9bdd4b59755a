"""What is answered at once, without a coroutine, and what must not be: the way of nearly all requests."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from idp_verifier import (
    DpopProof,
    ExpiredToken,
    InvalidSignature,
    NotYetValid,
    ProofRequired,
    ReplayedProof,
    RevokedToken,
    UnknownKey,
    Verifier,
)
from idp_verifier.asgi import BearerMiddleware
from idp_verifier.fake_issuer import FakeIssuer
from idp_verifier.guard import CLAIMS
from idp_verifier.starlette import BearerAuth
from idp_verifier.testing import Signer

URI = "https://api.example.com/"


@pytest.fixture
def fake_issuer() -> Iterator[FakeIssuer]:
    with FakeIssuer(Signer.generate("ES256")) as issuer:
        yield issuer


@pytest.fixture
async def verifier(fake_issuer: FakeIssuer, tls: ssl.SSLContext) -> AsyncIterator[Verifier]:
    async with fake_issuer.verifier(tls=tls) as verifier:
        yield verifier


async def test_a_token_is_verified_at_once_when_the_keys_are_there(verifier: Verifier, fake_issuer: FakeIssuer) -> None:
    await verifier.verify(fake_issuer.token())
    new = fake_issuer.token()
    claims = verifier.verify_at_once(new)
    assert claims is not None
    assert verifier.verify_at_once(new) is claims
    assert await verifier.verify(new) is claims


# Nothing is decided where something has to be fetched


def test_not_before_the_first_fetch_which_it_does_not_start(verifier: Verifier, fake_issuer: FakeIssuer) -> None:
    assert verifier.verify_at_once(fake_issuer.token()) is None
    assert fake_issuer.fetches == 0


async def test_not_with_keys_that_are_due(verifier: Verifier, fake_issuer: FakeIssuer) -> None:
    token = fake_issuer.token()
    await verifier.verify(token)
    fake_issuer.clock.advance(fake_issuer.max_age * 0.8 - 1)
    assert verifier.verify_at_once(token) is not None
    fake_issuer.clock.advance(1)
    assert verifier.verify_at_once(token) is None


async def test_not_with_a_clock_set_back_beyond_the_fetch(verifier: Verifier, fake_issuer: FakeIssuer) -> None:
    token = fake_issuer.token()
    await verifier.verify(token)
    fake_issuer.clock.advance(-1)
    assert verifier.verify_at_once(token) is None


async def test_not_with_an_unknown_kid(verifier: Verifier, fake_issuer: FakeIssuer) -> None:
    await verifier.verify(fake_issuer.token())
    (forged,) = fake_issuer.forged_kids(1)
    assert verifier.verify_at_once(forged) is None
    with pytest.raises(UnknownKey):
        await verifier.verify(forged)


async def test_not_without_a_status_list_of_now(verifier: Verifier, fake_issuer: FakeIssuer) -> None:
    await verifier.verify(fake_issuer.token())
    token = fake_issuer.revocable_token()
    assert verifier.verify_at_once(token) is None
    await verifier.verify(token)
    assert verifier.verify_at_once(token) is not None
    fake_issuer.clock.advance(90)  # its ttl is 100 s
    assert verifier.verify_at_once(token) is None


async def test_an_answer_that_was_put_off_does_not_spend_the_proof(verifier: Verifier, fake_issuer: FakeIssuer) -> None:
    client = fake_issuer.client()
    token = fake_issuer.token(cnf=client.cnf)
    proof = DpopProof("GET", URI, client.headers("GET", URI, token)["DPoP"])
    assert verifier.verify_at_once(token, proof) is None
    await verifier.verify(token, proof)
    with pytest.raises(ReplayedProof):
        verifier.verify_at_once(token, proof)


# What is refused is refused at once too


async def test_a_known_token_is_refused_when_its_time_is_over(verifier: Verifier, fake_issuer: FakeIssuer) -> None:
    now = int(fake_issuer.clock.now)
    await verifier.verify(fake_issuer.token())
    token = fake_issuer.token(exp=now + 60)
    assert verifier.verify_at_once(token) is not None
    fake_issuer.clock.advance(90)
    with pytest.raises(ExpiredToken):
        verifier.verify_at_once(token)
    with pytest.raises(NotYetValid):
        verifier.verify_at_once(fake_issuer.token(nbf=now + 200))


async def test_a_forged_or_bound_or_revoked_token_is_refused(verifier: Verifier, fake_issuer: FakeIssuer) -> None:
    revoked = fake_issuer.revocable_token()
    fake_issuer.revoke(revoked)
    with pytest.raises(RevokedToken):
        await verifier.verify(revoked)
    with pytest.raises(RevokedToken):
        verifier.verify_at_once(revoked)
    bound = fake_issuer.token(cnf=fake_issuer.client().cnf)
    for _ in range(2):
        with pytest.raises(ProofRequired):
            verifier.verify_at_once(bound)
    head, _, signature = fake_issuer.token().rpartition(".")
    with pytest.raises(InvalidSignature):
        verifier.verify_at_once(f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}")


# The faces: a token that was let in a moment ago is let in again, until one of these happens


Ask = Callable[..., Awaitable[httpx.Response]]


def decorated(verifier: Verifier) -> Starlette:
    @BearerAuth(verifier).requires("read")
    async def endpoint(request: Request) -> Response:
        return PlainTextResponse(request.state.claims.sub)

    return Starlette(routes=[Route("/", endpoint)])


def behind_the_middleware(verifier: Verifier) -> BearerMiddleware:
    async def endpoint(request: Request) -> Response:
        return PlainTextResponse(request.scope[CLAIMS].sub)

    return BearerMiddleware(Starlette(routes=[Route("/", endpoint)]), verifier, scopes=["read"])


@asynccontextmanager
async def asking(app: Any) -> AsyncIterator[Ask]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://api.example.com") as client:

        async def ask(*tokens: str, **headers: str) -> httpx.Response:
            fields = [("Authorization", f"Bearer {token}") for token in tokens]
            return await client.get("/", headers=[*fields, *headers.items()])

        yield ask


@pytest.fixture(params=[decorated, behind_the_middleware])
async def ask(request: pytest.FixtureRequest, verifier: Verifier) -> AsyncIterator[Ask]:
    async with asking(request.param(verifier)) as ask:
        yield ask


async def let_in(ask: Ask, token: str) -> None:
    for _ in range(3):  # by way of a fetch, verified at once, known
        assert (await ask(token)).status_code == 200


async def test_expiry_ends_it(ask: Ask, fake_issuer: FakeIssuer) -> None:
    token = fake_issuer.token(sub="ana", scope="read", exp=int(fake_issuer.clock.now) + 60)
    await let_in(ask, token)
    assert (await ask(token)).text == "ana"
    fake_issuer.clock.advance(90)
    answer = await ask(token)
    assert (answer.status_code, answer.headers["WWW-Authenticate"].split(",")[0]) == (
        401,
        'Bearer error="invalid_token"',
    )


async def test_the_end_of_its_key_ends_it(ask: Ask, fake_issuer: FakeIssuer) -> None:
    token = fake_issuer.token(scope="read", exp=int(fake_issuer.clock.now) + 3_600)
    await let_in(ask, token)
    fake_issuer.rotate()
    fake_issuer.revoke_old_keys()
    fake_issuer.clock.advance(fake_issuer.max_age + 1)
    assert (await ask(token)).status_code == 401


async def test_its_revocation_ends_it(ask: Ask, fake_issuer: FakeIssuer) -> None:
    token = fake_issuer.revocable_token(scope="read")
    await let_in(ask, token)
    fake_issuer.revoke(token)
    fake_issuer.clock.advance(101)
    assert (await ask(token)).status_code == 401


async def test_a_bound_token_is_never_known_without_its_proof(ask: Ask, fake_issuer: FakeIssuer) -> None:
    client = fake_issuer.client()
    token = fake_issuer.token(scope="read", cnf=client.cnf)
    headers = client.headers("GET", URI, token)
    assert (await ask(**headers)).status_code == 200
    for answer in (await ask(token), await ask(**headers)):  # as a bearer token; with a proof that is spent
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("DPoP ")


async def test_a_known_token_of_too_little_is_told_what_it_lacks(ask: Ask, fake_issuer: FakeIssuer) -> None:
    token = fake_issuer.token(scope="list")
    for _ in range(3):
        answer = await ask(token)
        assert answer.status_code == 403
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="read"'


async def test_a_known_token_beside_another_is_no_request(ask: Ask, fake_issuer: FakeIssuer) -> None:
    token = fake_issuer.token(scope="read")
    await let_in(ask, token)
    for two in ([token, token], [token, "other"], ["other", token], [f"{token}, Bearer {token}"]):
        assert (await ask(*two)).status_code == 400


async def test_without_keys_it_is_nobodys_fault(ask: Ask, fake_issuer: FakeIssuer) -> None:
    token = fake_issuer.token(scope="read", exp=int(fake_issuer.clock.now) + 200_000)
    await let_in(ask, token)
    fake_issuer.go_down()
    fake_issuer.clock.advance(100_000)
    assert (await ask(token)).status_code == 503


async def test_the_last_seconds_are_counted_exactly(ask: Ask, fake_issuer: FakeIssuer) -> None:
    token = fake_issuer.token(scope="read", exp=int(fake_issuer.clock.now) + 60)
    await let_in(ask, token)
    fake_issuer.clock.advance(89)  # the leeway is 30 s
    await let_in(ask, token)
    fake_issuer.clock.advance(1)
    assert (await ask(token)).status_code == 401


async def test_a_clock_set_back_ends_it(ask: Ask, fake_issuer: FakeIssuer) -> None:
    now = int(fake_issuer.clock.now)
    token = fake_issuer.token(scope="read", iat=now, nbf=now)
    await let_in(ask, token)
    fake_issuer.clock.advance(-31)
    assert (await ask(token)).status_code == 401


async def test_one_that_is_let_in_here_is_not_there_where_more_is_asked(
    verifier: Verifier, fake_issuer: FakeIssuer
) -> None:
    auth = BearerAuth(verifier)

    async def endpoint(_: Request) -> Response:
        return PlainTextResponse("in")

    doors = {"/": auth.requires("read"), "/more": auth.requires("read", "write"), "/all": auth.requires(role="admin")}
    app = Starlette(routes=[Route(path, door(endpoint)) for path, door in doors.items()])
    token = fake_issuer.token(scope="read", roles=["user"])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URI) as client:
        for _ in range(2):
            statuses = [
                (await client.get(path, headers={"Authorization": f"Bearer {token}"})).status_code for path in doors
            ]
            assert statuses == [200, 403, 403]
