"""The time: the database's, carried by each instance on a clock that neither steps nor stops.

Instances on machines whose clocks differ must agree on which key signs, so none of them asks its own wall clock. What
each keeps is the offset between the database's time and the time since boot, which goes on during a suspend.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

Ticker = Callable[[], float]


def since_boot() -> float:
    """Seconds since boot, suspended time included where the system counts it."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True, slots=True)
class Reading:
    """The database said `now` while the ticker went from `before` to `after`."""

    now: float
    before: float
    after: float


class DatabaseClock:
    """Calling it gives POSIX seconds. It never goes backwards: where a reading is earlier, it waits."""

    def __init__(self, ticker: Ticker = since_boot) -> None:
        self._ticker = ticker
        self._offset: float | None = None
        self._latest = 0.0
        self._read_at = float("-inf")

    def __call__(self) -> float:
        assert self._offset is not None, "the clock was read before it was set"
        self._latest = max(self._latest, self._ticker() + self._offset)
        return self._latest

    def tick(self) -> float:
        """What the ticker shows; for the `before` and `after` of a reading."""
        return self._ticker()

    def set(self, reading: Reading) -> None:
        """Takes a reading; the middle of the round trip is the best guess of when it was made."""
        self._offset = reading.now - (reading.before + reading.after) / 2
        self._read_at = reading.after

    @property
    def age(self) -> float:
        """Seconds since the last reading."""
        return self._ticker() - self._read_at
