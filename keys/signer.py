"""A thread that does nothing but sign.

RSA takes half a millisecond. Signing on the event loop makes every cheap request wait behind every signature; an
executor wakes the loop once per signature, and going back and forth costs a quarter of the throughput. One thread
that hands back several at a time, while more are waiting, has neither fault.
"""

import asyncio
import contextlib
import os
import queue
import sys
import threading
from collections.abc import Callable, Sequence

Work = Callable[[], bytes]
_Outcome = bytes | Exception
_Finished = tuple[asyncio.Future[bytes], _Outcome]

BURST = 8
"""Signatures handed back together while others wait for theirs. So the loop goes through several tokens at once, with
what that needs still in its caches, and none is kept for longer than the other seven take."""

_NICENESS = 5
"""Below the event loops, which have little to do and are waited for by everybody; above the hashing of passwords."""


class SignerThread:
    """Runs signatures one after the other, in order, off the event loop that calls `sign`."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[asyncio.Future[bytes], Work] | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="signer", daemon=True)

    def start(self) -> None:
        """Starts the thread for the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Finishes what is queued, then ends the thread."""
        self._work.put(None)
        await asyncio.to_thread(self._thread.join)

    async def sign(self, work: Work) -> bytes:
        """Runs `work` on the thread and gives its result, or raises what it raised."""
        assert self._loop is not None, "start() comes first"
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._work.put((future, work))
        return await future

    def _run(self) -> None:
        _give_way()
        finished: list[_Finished] = []
        while (job := self._work.get()) is not None:
            future, work = job
            if not future.cancelled():
                finished.append((future, _outcome(work)))
            if len(finished) == BURST or self._work.empty():
                self._hand_back(finished)
                finished = []
        self._hand_back(finished)

    def _hand_back(self, finished: list[_Finished]) -> None:
        if finished:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(_deliver, finished)


def _outcome(work: Work) -> _Outcome:
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - it belongs to whoever awaits the signature
        return error


def _deliver(finished: Sequence[_Finished]) -> None:
    for future, outcome in finished:
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def _give_way() -> None:
    """Lowers this thread's priority. Only on Linux do threads have one of their own."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a sandbox may forbid it; then signing competes with the rest
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
