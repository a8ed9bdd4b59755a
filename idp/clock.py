"""The time: the database's, carried by each instance on a clock that neither steps nor stops.

Instances on machines whose clocks differ must agree on which key signs, so none of them asks its own wall clock. What
each keeps is the offset between the database's time and the time since boot, and reads it anew every second.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

Ticker = Callable[[], float]

since_boot: Ticker = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
"""Seconds since boot, a suspend of the machine included where the system counts it."""

SMALLEST_STEP = 5.0
"""Seconds by which a reading may be off whatever the skew: a busy server and a correction of its clock are no step."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The database said `now` while the ticker went from `before` to `after`."""

    now: float
    before: float
    after: float

    @property
    def took(self) -> float:
        """Seconds; `now` is somewhere within them."""
        return self.after - self.before

    def offset(self, guess: float | None) -> float:
        """The database's time less the ticker's: the guess as far as this reading allows it, else the likeliest."""
        least, most = self.now - self.after, self.now - self.before
        return (least + most) / 2 if guess is None else min(max(guess, least), most)


class DatabaseClock:
    """Calling it gives POSIX seconds, never fewer than before.

    A reading changes the time no more than it must: one that took an hour, since we were paused meanwhile, tells
    little, and is not taken at all at the start. If the time has to change by more than `skew`, it is not believed at
    once: either the database's clock was changed, or ours stood still, as that of a paused virtual machine does. In
    the second case the wall clock, which has been set right since, agrees with the database, and the reading is
    taken. Otherwise `step` says by how much the database is off, and the time goes on as it did.
    """

    def __init__(self, *, skew: float = 30.0, ticker: Ticker = since_boot, wall: Ticker = time.time) -> None:
        self._skew = max(skew, SMALLEST_STEP)
        self._ticker = ticker
        self._wall = wall
        self._offset: float | None = None
        self._wall_lead = 0.0
        self._latest = 0.0
        self.step: float | None = None

    def __call__(self) -> float:
        assert self._offset is not None, "the clock was read before it was set"
        now = self._ticker() + self._offset
        if now > self._latest:
            self._latest = now
        return self._latest

    def tick(self) -> float:
        """What the ticker shows; for the `before` and `after` of a reading."""
        return self._ticker()

    def set(self, reading: Reading) -> bool:
        """Takes a reading; False if it says too little to start from."""
        if self._offset is None and reading.took > self._skew:
            return False
        offset = reading.offset(self._offset)
        wall_lead = self._wall() - reading.now
        step = 0.0 if self._offset is None else offset - self._offset
        stood_still = step > 0 and abs(wall_lead - self._wall_lead) <= self._skew
        if abs(step) > self._skew and not stood_still:
            self.step = step
        else:
            self._offset, self._wall_lead, self.step = offset, wall_lead, None
        return True
