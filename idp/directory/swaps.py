"""Swaps of refresh tokens on their way to the database, those that come together in one statement.

A commit costs as much for one family as for fifty. The first to come goes at once; who comes while it is under way
goes with the next. That one goes as soon as there are as many as went before, but waits for no more than a moment: so
nobody waits who is alone, and the busier it gets, the less each costs.
"""

import asyncio
import logging
import math
from collections.abc import Sequence

from idp.store.database import DatabaseUnavailable
from idp.store.refresh_families import Granted, RefreshFamilies, Swap

log = logging.getLogger(__name__)

_MOST = 64
"""Swaps in a statement."""
_GAP = 0.005
"""Seconds after a statement for which the next one waits until there are as many swaps again."""
_PATIENCE = 0.05
"""Seconds after which a statement that does not come back holds up the next one no longer."""

_Asked = tuple[Swap, asyncio.Future[Granted | None]]


class Swaps:
    """Makes swaps in those families, which are good for another `idle_ttl` seconds then."""

    def __init__(self, families: RefreshFamilies, *, idle_ttl: float) -> None:
        self._families = families
        self._idle_ttl = idle_ttl
        self._waiting: list[_Asked] = []
        self._enough: float = 1  # so many do not wait any longer
        self._until: asyncio.TimerHandle | None = None  # and no fewer wait any longer than this
        self._under_way: set[asyncio.Task[None]] = set()
        self._latest: asyncio.Task[None] | None = None

    async def make(self, swap: Swap) -> Granted | None:
        """Swaps; None when anything stands against it. Raises DatabaseUnavailable."""
        made: asyncio.Future[Granted | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((swap, made))
        if len(self._waiting) >= self._enough:
            self._send()
        # Alone, a swap that was not made waits for whoever was at its family, and fails for no reason but its own.
        return await made or await self._families.swap(swap, idle_ttl=self._idle_ttl)

    def _send(self) -> None:
        """Sends what waits. Until it comes back, or nobody believes that it will, the others wait for it."""
        self._wait_for(math.inf, _PATIENCE)
        self._latest = asyncio.create_task(self._statement())
        self._under_way.add(self._latest)
        self._latest.add_done_callback(self._under_way.discard)

    def _wait_for(self, enough: float, seconds: float) -> None:
        if self._until:
            self._until.cancel()
        self._enough = enough
        self._until = asyncio.get_running_loop().call_later(seconds, self._wait_no_longer)

    def _wait_no_longer(self) -> None:
        self._enough = 1
        if self._waiting:
            self._send()

    async def _statement(self) -> None:
        together, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
        await self._make(together)
        if asyncio.current_task() is not self._latest:
            return  # another went already
        # That one may have taken all there was, if this one was so late that patience had ended.
        self._wait_for(max(1, len(together)), _GAP)
        if len(self._waiting) >= self._enough:
            self._send()

    async def _make(self, asked: Sequence[_Asked]) -> None:
        """A request that is given up meanwhile takes its answer with it, not its swap: its client asks again."""
        together = [(swap, made) for swap, made in asked if not made.cancelled()]
        if not together:
            return
        outcomes: Sequence[Granted | DatabaseUnavailable | None]
        try:
            outcomes = await self._families.swap_free([swap for swap, _ in together], idle_ttl=self._idle_ttl)
        except DatabaseUnavailable as outage:
            outcomes = [outage] * len(together)
        except Exception as error:  # noqa: BLE001 - whose fault it is comes out when each goes alone
            log.warning("refresh tokens are swapped one by one", extra={"error": type(error).__name__})
            outcomes = [None] * len(together)
        for (_, made), outcome in zip(together, outcomes, strict=True):
            if made.cancelled():
                continue
            if isinstance(outcome, DatabaseUnavailable):
                made.set_exception(outcome)
            else:
                made.set_result(outcome)
