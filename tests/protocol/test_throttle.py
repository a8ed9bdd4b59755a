"""P5: growing delays, and how many tries they leave to somebody who never gives up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.protocol.throttle import ACCOUNT, KNOWN, SOURCE, Pace

paces = st.builds(Pace, free=st.integers(1, 100), longest=st.integers(1, 90_000))


def test_an_account_takes_at_most_a_hundred_tries_a_day() -> None:
    assert ACCOUNT.tries_in_a_day() <= 100


@pytest.mark.parametrize("pace", [ACCOUNT, SOURCE, KNOWN])
def test_the_waits(pace: Pace) -> None:
    assert [pace.wait_after(tries) for tries in range(1, pace.free)] == [0] * (pace.free - 1)
    assert [pace.wait_after(pace.free + extra) for extra in range(4)] == [1, 2, 4, 8]
    assert pace.wait_after(10**9) == pace.longest


def test_an_owner_waits_at_most_five_minutes_at_a_known_place() -> None:
    assert KNOWN.longest <= 300


@given(paces, st.integers(1, 1000))
def test_waits_never_shrink_and_never_pass_the_longest(pace: Pace, tries: int) -> None:
    assert 0 <= pace.wait_after(tries) <= pace.wait_after(tries + 1) <= pace.longest


@given(st.builds(Pace, free=st.integers(1, 100), longest=st.integers(60, 90_000)))
def test_a_day_holds_no_more_tries_than_the_waits_allow(pace: Pace) -> None:
    tries = pace.tries_in_a_day()
    assert sum(map(pace.wait_after, range(1, tries))) < 86400 <= sum(map(pace.wait_after, range(1, tries + 1)))
