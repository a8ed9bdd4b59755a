"""What a face remembers of good requests: never more than decides them, and never for longer than it holds."""

import random
import ssl
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from idp_verifier import Claims, DpopProof, ProtectedResource, RevokedToken, TokenCookie, Verifier
from idp_verifier.asgi import ASGI
from idp_verifier.bearer import Gateway, Refusal
from idp_verifier.fake_issuer import FakeIssuer
from idp_verifier.guard import Guard
from idp_verifier.testing import Signer
from idp_verifier.wsgi import WSGI

URI = "https://api.example.com/"


def scope_of(*fields: str) -> dict[str, Any]:
    return {"method": "GET", "path": "/", "headers": [(b"authorization", field.encode()) for field in fields]}


def environ_of(*fields: str) -> dict[str, Any]:
    return {"REQUEST_METHOD": "GET", **({"HTTP_AUTHORIZATION": ", ".join(fields)} if fields else {})}


def remembered(guard: Guard) -> int:
    assert guard._passes is not None
    return len(guard._passes)


Asking = Callable[..., dict[str, Any]]
GATEWAYS = [pytest.param((ASGI, scope_of), id="asgi"), pytest.param((WSGI, environ_of), id="wsgi")]


@pytest.fixture
def fake_issuer() -> Iterator[FakeIssuer]:
    with FakeIssuer(Signer.generate("ES256")) as issuer:
        yield issuer


@pytest.fixture
def verifier(fake_issuer: FakeIssuer, tls: ssl.SSLContext) -> Iterator[Verifier]:
    with fake_issuer.verifier(tls=tls) as verifier:
        verifier.verify_sync(fake_issuer.token())
        yield verifier


@pytest.mark.parametrize("way", GATEWAYS)
def test_a_request_that_comes_again_gets_the_same_claims(
    verifier: Verifier, fake_issuer: FakeIssuer, way: tuple[Gateway, Asking]
) -> None:
    gateway, request = way
    guard, token = Guard(gateway, verifier), fake_issuer.token(scope="read")
    first = guard.admit_sync(request(f"Bearer {token}"), ["read"])
    assert remembered(guard) == 1
    assert guard.admit_sync(request(f"Bearer {token}"), ["read"]) is first


@pytest.mark.parametrize("way", GATEWAYS)
def test_one_token_fills_one_place_however_it_is_written(
    verifier: Verifier, fake_issuer: FakeIssuer, way: tuple[Gateway, Asking]
) -> None:
    gateway, request = way
    guard, token = Guard(gateway, verifier), fake_issuer.token()
    for spaces in range(1, 20):
        for scheme in ("Bearer", "bearer", "BEARER"):
            guard.admit_sync(request(f"{scheme}{' ' * spaces}{token}"))
            guard.admit_sync(request(f"{scheme} {token}{' ' * spaces}"))
    assert remembered(guard) == 1


@pytest.mark.parametrize("way", GATEWAYS)
def test_a_good_field_beside_another_is_no_request(
    verifier: Verifier, fake_issuer: FakeIssuer, way: tuple[Gateway, Asking]
) -> None:
    gateway, request = way
    guard, good = Guard(gateway, verifier), f"Bearer {fake_issuer.token()}"
    guard.admit_sync(request(good))
    for fields in ([good, good], [good, "Basic YTpi"], ["Bearer x", good]):
        with pytest.raises(Refusal) as refused:
            guard.admit_sync(request(*fields))
        assert refused.value.status == 400
    with pytest.raises(Refusal):
        guard.admit_sync(request())


def test_what_takes_more_than_the_field_is_not_remembered(verifier: Verifier, fake_issuer: FakeIssuer) -> None:
    client = fake_issuer.client()
    bound, revocable = fake_issuer.token(cnf=client.cnf), fake_issuer.revocable_token()
    guard = Guard(ASGI, verifier)
    proof = client.headers("GET", URI, bound)["DPoP"]
    request = scope_of(f"DPoP {bound}")
    request["headers"] += [(b"dpop", proof.encode()), (b"host", b"api.example.com")]
    request["scheme"] = "https"
    guard.admit_sync(request)
    guard.admit_sync(scope_of(f"Bearer {revocable}"))
    guard.admit_sync(scope_of(f"Bearer {revocable}"))
    assert remembered(guard) == 0


def test_nothing_is_remembered_where_a_cookie_could_come_along(verifier: Verifier, fake_issuer: FakeIssuer) -> None:
    guard = Guard(ASGI, verifier, cookie=TokenCookie("__Host-token", "https://app.example.com"))
    guard.admit_sync(request := scope_of(f"Bearer {fake_issuer.token()}"))
    guard.admit_sync(request)
    assert remembered(guard) == 0
    request["headers"].append((b"cookie", b"__Host-token=x"))
    with pytest.raises(Refusal, match="More than one token"):
        guard.admit_sync(request)


def test_what_one_face_lets_in_another_does_not(verifier: Verifier, fake_issuer: FakeIssuer) -> None:
    resource = ProtectedResource(URI, [fake_issuer.url], dpop_bound_access_tokens_required=True)
    request = scope_of(f"Bearer {fake_issuer.token()}")
    Guard(ASGI, verifier).admit_sync(request)
    with pytest.raises(Refusal, match="DPoP"):
        Guard(ASGI, verifier, resource=resource).admit_sync(request)


def test_new_keys_end_every_pass_even_without_time(verifier: Verifier, fake_issuer: FakeIssuer) -> None:
    guard, request = Guard(ASGI, verifier), scope_of(f"Bearer {fake_issuer.token()}")
    guard.admit_sync(request)
    fake_issuer.rotate()
    fake_issuer.revoke_old_keys()
    verifier.verify_sync(fake_issuer.token())  # its kid is unknown, so the keys are fetched
    with pytest.raises(Refusal) as refused:
        guard.admit_sync(request)
    assert refused.value.status == 401
    assert remembered(guard) == 0


def test_an_expired_token_is_not_kept(verifier: Verifier, fake_issuer: FakeIssuer) -> None:
    token = fake_issuer.token(exp=int(fake_issuer.clock.now) + 60)
    guard, request = Guard(ASGI, verifier), scope_of(f"Bearer {token}")
    guard.admit_sync(request)
    fake_issuer.clock.advance(90)
    with pytest.raises(Refusal):
        guard.admit_sync(request)
    assert remembered(guard) == len(verifier._results) - 1 == 0


@pytest.mark.parametrize(("size", "most"), [(0, 0), (10, 10)])
def test_it_is_bounded_as_the_verifier_is(fake_issuer: FakeIssuer, tls: ssl.SSLContext, size: int, most: int) -> None:
    with fake_issuer.verifier(tls=tls, cache_size=size) as verifier:
        guard, seen = Guard(ASGI, verifier), 0
        for _ in range(35):
            request = scope_of(f"Bearer {fake_issuer.token()}")
            guard.admit_sync(request)
            guard.admit_sync(request)
            seen = max(seen, remembered(guard))
    assert seen == most


def test_a_face_that_remembers_and_one_that_does_not_never_disagree(
    fake_issuer: FakeIssuer, tls: ssl.SSLContext
) -> None:
    dice, clock = random.Random(7), fake_issuer.clock
    start = int(clock.now)
    fake_issuer.max_age = 9_000

    def token() -> str:
        iat, nbf, exp = (start + dice.randrange(-200, 300) for _ in range(3))
        return fake_issuer.token(iat=iat, nbf=nbf, exp=exp, scope=dice.choice(["read", "list"]))

    fields = [f"Bearer {token()}" for _ in range(30)]
    clock.advance(-250)
    with (
        fake_issuer.verifier(tls=tls) as one,
        fake_issuer.verifier(tls=tls, cache_size=0) as other,
    ):
        remembering, forgetful = Guard(ASGI, one), Guard(ASGI, other)
        outcomes = set()
        for _ in range(1_500):
            clock.advance(0.4)
            request = scope_of(dice.choice(fields))
            outcome = outcome_of(remembering, request)
            assert outcome == outcome_of(forgetful, request)
            outcomes.add(outcome[0])
    assert outcomes == {200, 401, 403}


def outcome_of(guard: Guard, request: dict[str, Any]) -> tuple[int, str]:
    try:
        return 200, guard.admit_sync(request, ["read"]).jti
    except Refusal as refusal:
        return refusal.status, refusal.detail


def test_passes_of_keys_that_were_fetched_again_since_are_dropped(verifier: Verifier, fake_issuer: FakeIssuer) -> None:
    guard = Guard(ASGI, verifier)
    for _ in range(5):
        guard.admit_sync(scope_of(f"Bearer {fake_issuer.token()}"))
    assert remembered(guard) == 5
    fake_issuer.rotate()
    verifier.verify_sync(fake_issuer.token())
    guard.admit_sync(scope_of(f"Bearer {fake_issuer.token()}"))
    assert remembered(guard) == 1


def test_what_a_class_of_somebodys_own_checks_is_checked_each_time(
    fake_issuer: FakeIssuer, tls: ssl.SSLContext
) -> None:
    class Strict(Verifier):
        denied: ClassVar[set[str]] = set()

        def verify_sync(self, token: str | bytes, proof: DpopProof | None = None) -> Claims:
            claims = super().verify_sync(token, proof)
            if claims["jti"] in self.denied:
                raise RevokedToken("the token is denied")
            return claims

    token = fake_issuer.token()
    request = scope_of(f"Bearer {token}")
    with Strict(fake_issuer.url, fake_issuer.audience, clock=fake_issuer.clock, tls=tls) as verifier:
        guard = Guard(ASGI, verifier)
        Strict.denied.add(guard.admit_sync(request)["jti"])
        with pytest.raises(Refusal) as refused:
            guard.admit_sync(request)
    assert refused.value.status == 401


def test_scopes_that_can_be_read_only_once_are_demanded_all_the_same(
    verifier: Verifier, fake_issuer: FakeIssuer
) -> None:
    guard, request = Guard(ASGI, verifier), scope_of(f"Bearer {fake_issuer.token(scope='read')}")
    guard.admit_sync(request)
    with pytest.raises(Refusal) as refused:
        guard.admit_sync(request, (scope for scope in ["admin"]))  # type: ignore[arg-type]
    assert refused.value.status == 403
