"""The issuer and the verifier behind the applications: one of each for all the tests of a file."""

from collections.abc import Iterator

import pytest
from verifier_tests.faces.asking import AUDIENCE

from idp_verifier import Verifier
from idp_verifier.testing import LocalIssuer


@pytest.fixture(scope="module")
def issuer() -> Iterator[LocalIssuer]:
    with LocalIssuer("ES256") as issuer:
        yield issuer


@pytest.fixture(scope="module")
def verifier(issuer: LocalIssuer) -> Iterator[Verifier]:
    with Verifier(issuer.url, AUDIENCE) as verifier:
        yield verifier
