"""Rotation under load and under kill -9: no verifier that honours max-age rejects a good token."""

import itertools
import sys

import pytest

from tests.rotation.soak import Plan, soak

_START = "from idp.cli import main; main()"
_NO_PUBLISHING_AHEAD = """
from dataclasses import replace
from idp.settings import Settings
planned = Settings.rotation_policy.fget
Settings.rotation_policy = property(lambda settings: replace(planned(settings), publish_ahead=0, propagation=0))
"""
_NO_RETENTION = """
from keys import keyring
keyring.PUBLIC_PHASES = keyring.PRIVATE_PHASES
"""


async def test_no_token_is_rejected_through_rotations_and_kills() -> None:
    report = await soak(Plan(rotations=20, kills=4, rate=60, verifiers=2))
    assert not report.rejected, report.rejections
    assert report.rotations >= 20
    assert len(report.killed) == 4
    assert report.tokens > 20 * 60
    assert report.late <= sum(report.accepted.values()) / 4, "the machine was too slow to judge"


@pytest.mark.parametrize(
    "mutation",
    [
        pytest.param(_NO_PUBLISHING_AHEAD, id="keys that sign as soon as they are made"),
        pytest.param(_NO_RETENTION, id="keys that go as soon as they sign no more"),
    ],
)
async def test_the_soak_notices(mutation: str) -> None:
    report = await soak(
        Plan(rotations=3, rate=60, verifiers=2, until_rejected=True),
        workers=1,
        program=(sys.executable, "-c", mutation + _START),
    )
    said = "".join(itertools.chain(*report.rejections.values()))
    assert "unknown_key" in said
