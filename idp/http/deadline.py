"""An instant that moves with every request."""

import asyncio
import math
from collections.abc import Callable


class Deadline:
    """Calls `passed` when its instant has come. To set it later costs next to nothing: a timer that rings too early is
    wound up again then, not each time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, passed: Callable[[], None]) -> None:
        self._loop = loop
        self._passed = passed
        self._instant = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = math.inf

    def set(self, seconds: float) -> None:
        """From now on."""
        self._instant = instant = self._loop.time() + seconds
        if instant < self._rings_at:
            self._wind_up(instant)

    def clear(self) -> None:
        self._instant = math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._rings_at = None, math.inf

    def _wind_up(self, instant: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._rings_at = self._loop.call_at(instant, self._ring), instant

    def _ring(self) -> None:
        self._timer, self._rings_at = None, math.inf
        if self._loop.time() < self._instant:
            self._wind_up(self._instant)
        else:
            self.clear()
            self._passed()
