"""The time: one for all instances, whatever their machines' clocks do."""

import pytest

from idp.clock import DatabaseClock, Reading

START = 1_800_000_000.0
HOUR = 3600.0


class Clocks:
    """A database and a machine, whose clocks can be set wrong."""

    def __init__(self, skew: float = 30.0) -> None:
        self.database = START
        self.ticker = 500.0
        self.wall = START
        self.clock = DatabaseClock(skew=skew, ticker=lambda: self.ticker, wall=lambda: self.wall)

    def passes(self, seconds: float) -> None:
        self.database += seconds
        self.ticker += seconds
        self.wall += seconds

    def stand_still(self, seconds: float) -> None:
        """The machine's ticker stops; its wall clock is set right afterwards."""
        self.database += seconds
        self.wall += seconds

    def read(self, *, there: float = 0.0, back: float = 0.0) -> bool:
        before = self.ticker
        self.passes(there)
        now = self.database
        self.passes(back)
        return self.clock.set(Reading(now, before, self.ticker))


@pytest.fixture
def clocks() -> Clocks:
    clocks = Clocks()
    assert clocks.read()
    return clocks


def test_it_is_the_database_time_and_goes_on_by_itself(clocks: Clocks) -> None:
    clocks.passes(100)
    assert clocks.clock() == clocks.database == START + 100


@pytest.mark.parametrize("error", [HOUR, -HOUR])
def test_a_wall_clock_that_is_wrong_changes_nothing(clocks: Clocks, error: float) -> None:
    clocks.wall += error
    clocks.passes(1)
    clocks.read()
    assert clocks.clock() == clocks.database
    assert clocks.clock.step is None


def test_it_never_goes_backwards(clocks: Clocks) -> None:
    before = clocks.clock()
    clocks.database -= 20
    clocks.read()
    assert clocks.clock() == before
    clocks.passes(19)
    assert clocks.clock() == before
    clocks.passes(2)
    assert clocks.clock() == before + 1


@pytest.mark.parametrize("by", [29.0, -29.0])
def test_a_correction_within_the_skew_is_followed(clocks: Clocks, by: float) -> None:
    clocks.database += by
    clocks.passes(60)
    clocks.read()
    assert (clocks.clock(), clocks.clock.step) == (clocks.database, None)


@pytest.mark.parametrize("by", [HOUR, -HOUR])
def test_a_step_is_reported_and_not_followed_and_forgotten_when_it_is_undone(clocks: Clocks, by: float) -> None:
    clocks.database += by
    clocks.passes(1)
    clocks.read()
    assert clocks.clock.step == pytest.approx(by)
    assert clocks.clock() == START + 1
    clocks.database -= by
    clocks.read()
    assert clocks.clock.step is None


def test_after_its_machine_stood_still_it_follows_at_once(clocks: Clocks) -> None:
    clocks.stand_still(HOUR)
    clocks.read()
    assert (clocks.clock(), clocks.clock.step) == (clocks.database, None)


def test_while_the_wall_clock_has_not_been_set_right_it_waits(clocks: Clocks) -> None:
    clocks.stand_still(HOUR)
    clocks.wall -= HOUR
    clocks.read()
    assert clocks.clock.step == pytest.approx(HOUR)
    clocks.wall += HOUR
    clocks.read()
    assert (clocks.clock(), clocks.clock.step) == (clocks.database, None)


@pytest.mark.parametrize(("there", "back"), [(HOUR, 0.0), (0.0, HOUR), (HOUR, HOUR)])
def test_a_pause_while_the_time_is_read_changes_nothing(clocks: Clocks, there: float, back: float) -> None:
    clocks.read(there=there, back=back)
    assert (clocks.clock(), clocks.clock.step) == (clocks.database, None)


def test_it_does_not_start_from_a_reading_that_took_too_long() -> None:
    clocks = Clocks()
    assert not clocks.read(there=HOUR)
    assert clocks.read(there=2.0)
    assert clocks.clock() == pytest.approx(clocks.database, abs=1.0)
    clocks.passes(1)
    clocks.read()
    assert clocks.clock() == clocks.database


def test_without_any_skew_a_busy_server_is_no_step() -> None:
    clocks = Clocks(skew=0.0)
    clocks.read(there=0.1)
    clocks.read()
    assert clocks.clock.step is None
