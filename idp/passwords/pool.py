"""Where passwords are hashed: a few threads of their own, off the event loop, that say no early.

bcrypt takes a quarter of a second of a processor and releases the GIL. A flood of logins must neither slow
down what else the service does nor grow a queue whose answers come after everybody has left. So the threads
have the lowest priority, and work is admitted only if its turn will come soon.
"""

import asyncio
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_FIRST_GUESS = 0.3  # seconds: bcrypt of cost 12
_WEIGHT_OF_LATEST = 0.2  # in the moving average: a handful of jobs outweighs the past
_QUEUED_PER_WORKER = 32  # the bound on memory, should jobs be so fast that time is none


class Overloaded(Exception):  # noqa: N818 - a state of the world rather than an error of ours
    """The work was not done, because its turn would come too late. `retry_after` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many passwords are being checked: try again in {retry_after} s.")
        self.retry_after = retry_after


class HashPool:
    """Runs expensive functions in `workers` threads. Belongs to one event loop.

    `queued` and `running` count jobs now, `shed` those refused so far. `max_wait` is how many seconds a job
    may wait for a thread; `clock` gives seconds and measures how long jobs take.
    """

    def __init__(self, workers: int, *, max_wait: float = 2.0, clock: Callable[[], float] = time.monotonic) -> None:
        if workers < 1:
            raise ValueError("A hash pool needs at least one thread.")
        self.queued = 0
        self.running = 0
        self.shed = 0
        self._workers = workers
        self._max_wait = max_wait
        self._clock = clock
        self._typical = _FIRST_GUESS
        self._closed = False
        self._counting = threading.Lock()
        self._threads = ThreadPoolExecutor(workers, "hash", initializer=_yield_to_all_others)

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """What the function returns or raises. Raises Overloaded, at once or after `max_wait` at the latest.

        When the caller is cancelled, a job that still waits is dropped; one that runs ends unheard.
        """
        self._admit()
        job = self._threads.submit(self._measured, partial(function, *args))
        job.add_done_callback(self._uncount_if_dropped)
        answer = asyncio.wrap_future(job)
        try:
            await asyncio.wait({answer}, timeout=self._max_wait)
            if job.cancel():  # possible only while it waits
                raise self._overloaded()
            return await answer
        except asyncio.CancelledError:
            answer.cancel()
            raise

    async def close(self) -> None:
        """Refuses new work and returns when all that was admitted is done."""
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown)

    def check_room(self) -> None:
        """Raises Overloaded if work would be refused now."""
        if self._closed or self.queued >= _QUEUED_PER_WORKER * self._workers or self._wait() > self._max_wait:
            raise self._overloaded()

    def _admit(self) -> None:
        self.check_room()
        with self._counting:
            self.queued += 1

    def _wait(self) -> float:
        """In how many seconds, about, a thread is free for one job more."""
        ahead = self.queued + self.running
        return max(0, ahead - self._workers + 1) * self._typical / self._workers

    def _overloaded(self) -> Overloaded:
        self.shed += 1
        return Overloaded(max(1, math.ceil(self._wait())))

    def _measured(self, work: Callable[[], T]) -> T:
        with self._counting:
            self.queued -= 1
            self.running += 1
        started = self._clock()
        try:
            return work()
        finally:
            with self._counting:
                self.running -= 1
                self._typical += _WEIGHT_OF_LATEST * (self._clock() - started - self._typical)

    def _uncount_if_dropped(self, job: Future[T]) -> None:
        if job.cancelled():
            with self._counting:
                self.queued -= 1


def _yield_to_all_others() -> None:
    """Gives this thread the lowest niceness. Only on Linux do threads have one of their own.

    Not SCHED_IDLE, which is lower still: beside a full load of tokens there would be half as many logins, and they
    would take nearly twice as long, for a millisecond or two that others gain (docs/performance.md).
    """
    if sys.platform == "linux":
        with suppress(OSError):  # a sandbox may forbid it; then hashing competes with the rest
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
