"""An installation for each test, and the command to work on it."""

import base64
from pathlib import Path

import pytest

from tests.cli.runs import Idp
from tests.service import KEY_ENCRYPTION_KEY


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """The settings of an installation without its database, in an empty folder; a test may change them."""
    monkeypatch.chdir(tmp_path)
    settings = {
        "IDP_ISSUER": "http://localhost:9",  # the port `discard`: nobody listens there
        "IDP_KEY_ENCRYPTION_KEY": base64.b64encode(KEY_ENCRYPTION_KEY).decode(),
        "IDP_PASSWORD_PEPPER": "a pepper for the tests of the command",
        "IDP_BCRYPT_COST": "4",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def idp(database: str, environment: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Idp:
    """The command, on an installation that the environment names; it has signing keys, and nobody in it."""
    environment.setenv("IDP_DATABASE_URL", database)
    return Idp(environment, capfd)
