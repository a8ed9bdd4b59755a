"""Refreshes under load and under kill -9: none that was acknowledged is lost, and none is spent twice."""

import sys

import pytest

from tests.refresh.load import Plan, load

_MUTANT = "{}\nfrom idp.cli import main; main()"
_NO_WINDOW = """
from idp.protocol.refresh import RefreshPolicy
from idp.settings import Settings
Settings.refresh_policy = property(lambda _: RefreshPolicy(retry_window=0))
"""
_NOT_DURABLE = """
from idp.store.database import Database
made = Database.__init__
Database.__init__ = lambda self, dsn, **given: made(self, dsn + "&synchronous_commit=off", **given)
"""


@pytest.mark.parametrize(
    ("service_kills", "database_kills"), [(2, 1), pytest.param(10, 5, marks=pytest.mark.chaos)], ids=["some", "all"]
)
async def test_no_acknowledged_refresh_is_lost(service_kills: int, database_kills: int) -> None:
    report = await load(Plan(service_kills=service_kills, database_kills=database_kills))
    assert not report.problems
    assert len(report.killed) == service_kills + database_kills
    assert report.outcomes["granted"] > 60 * len(report.killed)
    assert report.outcomes["unknown"]
    assert report.outcomes["refused"], "no ancestor was replayed"


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("mutation", "plan"),
    [
        pytest.param(_NO_WINDOW, Plan(service_kills=3, database_kills=0), id="no window for retries"),
        pytest.param(_NOT_DURABLE, Plan(service_kills=0, database_kills=6), id="acknowledged before it is durable"),
    ],
)
async def test_the_load_notices(mutation: str, plan: Plan) -> None:
    report = await load(plan, workers=1, program=(sys.executable, "-c", _MUTANT.format(mutation)))
    assert any("refused though it was good" in problem for problem in report.problems), report
