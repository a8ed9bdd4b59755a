"""Many requests with one token, at two instances: one successor, one living leaf, and nobody sees an error."""

import asyncio
from collections import Counter

import pytest

from idp.protocol.errors import OAuth2Error
from idp.protocol.refresh import RefreshPolicy
from tests.refresh.beginning import begun, families_on, person, presented
from tests.refresh.conftest import Pair

RACERS = 50
ALL = pytest.param(200, marks=pytest.mark.chaos)


@pytest.mark.parametrize("families", [8, ALL])
async def test_r11_all_racers_get_the_same_successor(pair: Pair, families: int) -> None:
    for _ in range(families):
        token = await pair.begun()
        answers = await asyncio.gather(*(pair.callers[racer % 2].refresh(token) for racer in range(RACERS)))
        assert Counter(answer.status for answer in answers) == {200: RACERS}
        (successor,) = {answer.successor for answer in answers}
        assert len({answer.access_token for answer in answers}) == RACERS
        assert successor
        again = await asyncio.gather(*(pair.callers[racer % 2].refresh(successor) for racer in range(2)))
        (leaf,) = {answer.successor for answer in again}
        assert leaf
        assert (await pair.callers[0].refresh(leaf)).status == 200


@pytest.mark.parametrize("families", [20, ALL])
async def test_r11_a_window_of_0_is_strict(pair: Pair, families: int) -> None:
    """One racer wins, the others are replays: whoever they are, nobody keeps anything."""
    strict = await families_on(pair.store, RefreshPolicy(retry_window=0))
    for _ in range(families):
        token = await begun(strict, pair.client.client, await person(pair.store))
        outcomes = await asyncio.gather(*(presented(strict, pair.client.client, token) for _ in range(8)))
        (successor,) = (outcome for outcome in outcomes if isinstance(outcome, str))
        assert isinstance(await presented(strict, pair.client.client, successor), OAuth2Error)
