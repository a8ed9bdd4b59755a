"""How many tries at a password, and how fast (SECURITY.md P5, NIST SP 800-63B-4 §3.2.2): growing delays, no lock."""

from dataclasses import dataclass

DAY = 86400


@dataclass(frozen=True, slots=True)
class Pace:
    """The first `free` tries go at once; after each further one the wait doubles, up to `longest` seconds.

    A day without tries forgets them. `tries_in_a_day` bounds what somebody who never gives up can do.
    """

    free: int
    longest: int

    def wait_after(self, tries: int) -> int:
        """Seconds until the next try, after `tries` of them."""
        return 0 if tries < self.free else min(2 ** min(tries - self.free, 30), self.longest)

    def tries_in_a_day(self) -> int:
        clock = tries = 0
        while clock < DAY:
            tries += 1
            clock += self.wait_after(tries)
        return tries


ACCOUNT = Pace(free=10, longest=1200)
"""Tries at one account from places it was never used from: at most 100 in a day, whatever number of places."""

SOURCE = Pace(free=50, longest=300)
"""Tries from one place at any accounts but those that are used from there: an office behind one address fits."""

KNOWN = Pace(free=20, longest=300)
"""Tries at one account from a place that it was used from: its owner is never shut out by others."""

KNOWN_FOR = 30 * DAY
"""Seconds for which a place that logged into an account is known to it."""
