"""An issuer on loopback, a verifier of its tokens, and the clock that both go by."""

import ssl
from collections.abc import Iterator

import pytest

from idp_verifier import Verifier, encoding
from idp_verifier.fake_issuer import Clock
from idp_verifier.testing import LocalIssuer

AUDIENCE = "https://api.example.com"


@pytest.fixture(scope="session")
def tls() -> ssl.SSLContext:
    """Dear to make, and the same for all."""
    return ssl.create_default_context()


@pytest.fixture
def clock() -> Clock:
    return Clock(1_800_000_000.0)


@pytest.fixture
def issuer(clock: Clock) -> Iterator[LocalIssuer]:
    with LocalIssuer("ES256", clock=clock) as issuer:
        yield issuer


@pytest.fixture
def verifier(issuer: LocalIssuer, clock: Clock, tls: ssl.SSLContext) -> Iterator[Verifier]:
    with Verifier(issuer.url, AUDIENCE, clock=clock, tls=tls) as verifier:
        yield verifier


@pytest.fixture(params=[True, False], ids=["orjson", "json"])
def either_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "_HAS_ORJSON", request.param)
