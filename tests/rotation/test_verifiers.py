"""A real rotation under verifiers that others made, and a revocation: what they accept and what they reject."""

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass, field

import pytest

from tests.interop.programs import Missing
from tests.rotation.foreign import VERIFIERS
from tests.rotation.front import Front
from tests.rotation.installation import MAX_AGE, PROPAGATION, Installation, installation
from tests.rotation.soak import Plan, Report, Soak
from tests.rotation.verifiers import Verifier

ROTATIONS = 3


@dataclass(slots=True)
class Outcome:
    """What each verifier, by name, made of the rotations and of the revocation; and which are missing, and why."""

    missing: dict[str, str] = field(default_factory=dict)
    report: Report = field(default_factory=Report)
    before: dict[str, str | None] = field(default_factory=dict)
    after: dict[str, str | None] = field(default_factory=dict)
    afresh: dict[str, str | None] = field(default_factory=dict)


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    """One run for all of them: they see the same tokens."""
    return asyncio.run(_run())


async def _run() -> Outcome:
    outcome = Outcome()
    async with installation(instances=1, workers=2) as running, contextlib.AsyncExitStack() as stack:
        verifiers: list[Verifier] = []
        for name, opened in VERIFIERS.items():
            try:
                verifiers.append(await stack.enter_async_context(opened(running)))
            except Missing as reason:
                outcome.missing[name] = str(reason)
        with contextlib.closing(Front(running)) as front:
            outcome.report = await _rotate(running, front, verifiers)
            await _revoke(front, verifiers, outcome)
    return outcome


async def _rotate(running: Installation, front: Front, verifiers: list[Verifier]) -> Report:
    plan = Plan(rotations=ROTATIONS, rate=20)
    return await Soak(running, front, verifiers, plan, random.Random(), lambda _: None).run()


async def _revoke(front: Front, verifiers: list[Verifier], outcome: Outcome) -> None:
    token = await front.token()
    outcome.before = {verifier.name: await verifier.objection(token.text) for verifier in verifiers}
    await front.revoke(token.kid)
    await asyncio.sleep(PROPAGATION + MAX_AGE)
    assert time.time() < token.exp
    outcome.after = {verifier.name: await verifier.objection(token.text) for verifier in verifiers}
    fresh = await front.token()
    outcome.afresh = {verifier.name: await verifier.objection(fresh.text) for verifier in verifiers}


@pytest.fixture(params=VERIFIERS)
def name(request: pytest.FixtureRequest, outcome: Outcome) -> str:
    """The verifier in question."""
    name: str = request.param
    if name in outcome.missing:
        pytest.skip(f"{name}: {outcome.missing[name]}")
    return name


def test_rotations_are_not_noticed(outcome: Outcome, name: str) -> None:
    assert outcome.report.rotations >= ROTATIONS
    assert outcome.report.rejections[name] == []
    assert outcome.report.accepted[name] > ROTATIONS * 20
    assert outcome.report.late <= sum(outcome.report.accepted.values()) / 4, "the machine was too slow to judge"


def test_a_revoked_key_is_rejected_when_the_cache_has_ended(outcome: Outcome, name: str) -> None:
    assert outcome.before[name] is None
    assert outcome.after[name] is not None
    assert outcome.afresh[name] is None
