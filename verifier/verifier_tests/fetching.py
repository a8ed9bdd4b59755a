"""What a verifier fetches from its issuer: how often, and when it is done."""

from typing import Any

from idp_verifier import Verifier
from idp_verifier.refresh import Refresher
from idp_verifier.testing import JWKS_PATH, LocalIssuer


def fetches(issuer: LocalIssuer, path: str = JWKS_PATH) -> int:
    return [asked for asked, _ in issuer.requests].count(path)


def settle(verifier: Verifier) -> None:
    """Waits for the fetches that go on in the background."""
    settle_one(verifier._source)
    for source in verifier._lists._sources.values():
        settle_one(source)


def settle_one(source: Refresher[Any]) -> None:
    if source._in_flight is not None:
        source._in_flight.result(timeout=10)
