"""Standard error for a service: writing to it neither waits for whoever reads it nor fails.

A pipe that nobody reads holds up who writes to it, and a full disk refuses; on the event loop, either would end the
service for the sake of a line about it. So what is written waits here, in memory and within a bound, for a thread that
writes it on; what comes beyond the bound is counted and dropped.

Not O_NONBLOCK instead: it would hold for every process that has the same pipe or terminal.
"""

import contextlib
import io
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class LogStream(io.BufferedIOBase):
    """Writes to `descriptor`, in order, from a thread that starts with the first write of each process.

    `bound` is in bytes: 4 MiB are some 16,000 lines. `lost_line` makes the line that tells how many lines were dropped;
    it follows those that came before them. What the descriptor refuses is tried again each `pause`, in seconds.
    """

    def __init__(
        self, descriptor: int, lost_line: Callable[[int], str], *, bound: int = 4 * 2**20, pause: float = 0.1
    ) -> None:
        self._descriptor = descriptor
        self._lost_line = lost_line
        self._bound = bound
        self._pause = pause
        self.begin()

    def begin(self) -> None:
        """Begins anew, in a process that was forked: the thread and all that waits are its parent's."""
        # Reentrant, as every Condition: the garbage collector may log something at any moment, this one included.
        self._changed = threading.Condition()
        self._waiting: list[bytes] = []
        self._size = 0
        self._lost = 0
        self._thread: threading.Thread | None = None

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: "ReadableBuffer", /) -> int:
        """Takes whole lines from any thread."""
        taken = bytes(data)
        with self._changed:
            if self._size + len(taken) > self._bound:
                self._lost += taken.count(b"\n")
            else:
                self._waiting.append(taken)
                self._size += len(taken)
                self._changed.notify_all()
            self._ensure_thread()
        return len(taken)

    def drain(self, seconds: float) -> None:
        """Waits until all is written, but not for longer than `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: not self._size and not self._lost, seconds)

    def _ensure_thread(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._write_for_ever, name="log", daemon=True)
            with _signals_blocked(), contextlib.suppress(RuntimeError):  # none to be had: the next line asks again
                thread.start()
                self._thread = thread

    def _write_for_ever(self) -> None:
        while True:
            batch = self._next()
            self._write_out(batch)
            with self._changed:
                self._size -= len(batch)
                self._changed.notify_all()

    def _next(self) -> bytes:
        """All that waits. It counts against the bound until it is written."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._lost)
            if self._lost:
                line = self._lost_line(self._lost).encode()
                self._lost = 0
                self._waiting.append(line)
                self._size += len(line)
            waiting, self._waiting = self._waiting, []
            return b"".join(waiting)

    def _write_out(self, batch: bytes) -> None:
        """Goes on where it was refused, so that no line is cut in two."""
        rest = memoryview(batch)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except OSError:
                time.sleep(self._pause)


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """A thread that starts meanwhile gets none: a signal that the main thread waits for would end the process there."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
