"""The secrets of a deployment, made as an operator makes them."""

import subprocess
from pathlib import Path

import pytest

MAKE_SECRETS = Path(__file__).parents[2] / "deploy/make-secrets"


@pytest.fixture
def made_secrets(tmp_path: Path) -> Path:
    """The folder that deploy/make-secrets made."""
    folder = tmp_path / "secrets"
    subprocess.run(["sh", MAKE_SECRETS, folder], check=True, capture_output=True)
    return folder
