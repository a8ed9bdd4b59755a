# ruff: noqa: INP001 - it lies beside the package, not in one
"""The pytest plugin of idp-verifier: the fixture `fake_issuer`.

It is a module of its own, and imports the library only for those who ask for an issuer: pytest loads every
plugin that is installed, in every run.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from idp_verifier.fake_issuer import FakeIssuer
    from idp_verifier.testing import Signer


@pytest.fixture(scope="session")
def fake_issuer_key() -> "Signer":
    """The first key of every `fake_issuer`; to make one takes a tenth of a second. Override it for another `alg`."""
    from idp_verifier.testing import Signer

    return Signer.generate("RS256")


@pytest.fixture
def fake_issuer(fake_issuer_key: "Signer") -> Iterator["FakeIssuer"]:
    """An issuer on this machine that mints tokens, and fails as it is told to."""
    from idp_verifier.fake_issuer import FakeIssuer

    with FakeIssuer(fake_issuer_key) as issuer:
        yield issuer
