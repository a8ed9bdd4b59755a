"""A thread that does nothing but sign.

RSA takes most of a millisecond. Signing on the event loop makes every cheap request wait behind every signature;
an executor wakes the loop once per signature, and the waking costs a quarter of the throughput. One thread that
hands back all that it finished since the loop last looked has neither fault.
"""

import asyncio
import contextlib
import os
import queue
import sys
import threading
from collections.abc import Callable

Work = Callable[[], bytes]


_NICENESS = 5
"""Below the event loops, which have little to do and are waited for by everybody; above the hashing of passwords."""


class SignerThread:
    """Runs signatures one after the other, in order, off the event loop that calls `sign`."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[asyncio.Future[bytes], Work] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._finished: list[tuple[asyncio.Future[bytes], bytes | BaseException]] = []
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
        while (job := self._work.get()) is not None:
            future, work = job
            if future.cancelled():
                continue
            try:
                outcome: bytes | BaseException = work()
            except Exception as error:  # noqa: BLE001 - it belongs to whoever awaits the signature
                outcome = error
            self._finish(future, outcome)

    def _finish(self, future: asyncio.Future[bytes], outcome: bytes | BaseException) -> None:
        with self._lock:
            self._finished.append((future, outcome))
            first = len(self._finished) == 1
        if first:  # the loop was not told yet; later ones of the burst ride along
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            finished, self._finished = self._finished, []
        for future, outcome in finished:
            if future.done():
                continue
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


def _give_way() -> None:
    """Lowers this thread's priority. Only on Linux do threads have one of their own."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a sandbox may forbid it; then signing competes with the rest
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
