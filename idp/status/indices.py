"""Indices for new tokens: taken from the database in blocks, ahead of need, so that issuing a token never waits.

No two instances ever have the same block. In a block indices are drawn at random: an index tells no more of when its
token was issued than `iat` does (§12.5 of the draft).
"""

import asyncio
import contextlib
import logging
import secrets
from collections import deque
from dataclasses import dataclass

from idp.protocol.errors import TemporarilyUnavailableError
from idp.protocol.ports import Clock
from idp.protocol.status import Status
from idp.store.database import DatabaseUnavailable
from idp.store.status_lists import StatusLists

log = logging.getLogger(__name__)

LEAST, MOST = 1 << 12, 1 << 17
"""Indices of a block. One lasts for four times as long as an instance may go on without the database, at the rate of
the last block; half of it, when the next one is due, for twice as long."""
BLOCK_LIFETIME = 7200.0
"""Seconds after which the rest of a block is thrown away: a list is needed for as long as one of its indices may be."""
SLOWEST_REQUEST = 60.0
"""Seconds that may pass between drawing an index and issuing the token that has it."""
INTERVAL = 1.0
"""Seconds between two looks at what is left. Who finds little left asks for one at once."""


@dataclass(frozen=True, slots=True)
class Block:
    """Indices of one list. None is drawn from the instant `ends_at` on."""

    list_id: int
    free: list[int]
    ends_at: float

    def draw(self) -> int:
        """Any of them, with equal probability: the last one takes its place."""
        place, last = secrets.randbelow(len(self.free)), self.free.pop()
        if place == len(self.free):
            return last
        drawn, self.free[place] = self.free[place], last
        return drawn


class StatusIndices:
    """What one process has of indices. `ttl` is the longest that a token lives; `offline`, for how long tokens are
    issued without the database; both in seconds."""

    def __init__(self, lists: StatusLists, clock: Clock, *, ttl: float, offline: float) -> None:
        self._lists = lists
        self._clock = clock
        self._lifetime = ttl + SLOWEST_REQUEST
        self._offline = offline
        self._blocks: deque[Block] = deque()
        self._size = LEAST
        self._taken_at = float("-inf")
        self._drawn = 0
        self._low = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Takes the first block, then keeps up by itself. Raises DatabaseUnavailable."""
        await self.keep_up()
        self._keeping = asyncio.create_task(self._keep_up_for_ever())

    async def stop(self) -> None:
        if self._keeping:
            self._keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping

    def draw(self) -> Status:
        """A place that no other living token has. Raises TemporarilyUnavailableError when there is none left."""
        now = self._clock()
        while self._blocks and not self._is_good(self._blocks[0], now):
            self._blocks.popleft()
        if self._is_low(now):
            self._low.set()
        if not self._blocks:
            raise TemporarilyUnavailableError("No status index is left; try again.", retry_after=1)
        block = self._blocks[0]
        self._drawn += 1
        return Status(block.list_id, block.draw(), now + self._lifetime)

    async def keep_up(self) -> None:
        """Takes a block, if little is left. Raises DatabaseUnavailable."""
        now = self._clock()
        if not self._is_low(now):
            return
        rate = self._drawn / max(now - self._taken_at, 1)
        size = min(max(int(4 * self._offline * rate), LEAST), MOST)
        list_id, first = await self._lists.take(size, BLOCK_LIFETIME + self._lifetime)
        self._blocks.append(Block(list_id, list(range(first, first + size)), now + BLOCK_LIFETIME))
        self._size, self._taken_at, self._drawn = size, now, 0

    def _is_low(self, now: float) -> bool:
        left = sum(len(block.free) for block in self._blocks if self._is_good(block, now))
        is_old = not self._blocks or now >= self._blocks[-1].ends_at - BLOCK_LIFETIME / 2
        return is_old or left < self._size // 2

    def _is_good(self, block: Block, now: float) -> bool:
        return bool(block.free) and now < block.ends_at

    async def _keep_up_for_ever(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._low.wait(), INTERVAL)
            try:
                await self.keep_up()
                self._low.clear()
            except DatabaseUnavailable as error:
                log.warning("no status indices taken", extra={"reason": str(error)})
                await asyncio.sleep(INTERVAL)
            except Exception:
                # As in the keeper: whatever it is, the next look may find it gone.
                log.exception("no status indices taken")
                await asyncio.sleep(INTERVAL)
