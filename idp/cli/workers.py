"""Several processes that serve on the same sockets.

They are forked when everything is imported and nothing runs yet: that starts them in no time, and they share the
memory of what was imported. One that dies is replaced. All go when this process goes, even by kill -9.

Why not uvicorn's own: its workers cannot be replaced by some that say when they are ready or why they are not; they
outlive a supervisor that is killed; one that cannot live is started twice a second for ever; and as each imports all
anew, they take longer to start and share no memory.
"""

import contextlib
import itertools
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

Work = Callable[[int, Callable[[], None]], int]
"""What a worker does, and its exit code. Its arguments are its slot, a number from 0 that no other living worker has,
and what it calls once it is ready. SIGTERM ends it in good order."""

log = logging.getLogger(__name__)

_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
"""Seconds before a worker that died is replaced: the first, and the bound of those that follow."""
_YOUNG = 10.0
"""Seconds, beyond its pause, at which a worker that dies is young."""
_STOP = frozenset({signal.SIGTERM, signal.SIGINT})
_AWAITED = _STOP | {signal.SIGCHLD, signal.SIGHUP}


def next_pause(pause: float, age: float) -> float:
    """Seconds before a worker is replaced that waited `pause` seconds itself and died at the `age` of so many.

    They double while those that replace it die young, so that one that cannot live does not keep the machine busy.
    """
    if age - pause >= _YOUNG:
        return _PAUSE
    return min(max(2 * pause, _PAUSE), _LONGEST_PAUSE)


@dataclass(frozen=True, slots=True)
class _Worker:
    slot: int
    pause: float
    since: float


class Workers:
    """`count` processes that do `work` on `sockets`. `bury` is told the slot of each that has ended, before another
    gets it."""

    def __init__(
        self, count: int, work: Work, *, sockets: Sequence[socket.socket], bury: Callable[[int], None]
    ) -> None:
        self._count = count
        self._work = work
        self._sockets = sockets
        self._bury = bury
        self._workers: dict[int, _Worker] = {}
        self._leaving: set[int] = set()  # those that are not replaced when they end
        self._lifeline, self._lifeline_end = os.pipe()  # nobody ever writes: it ends when this process does

    def run(self, announce: Callable[[], None]) -> int:
        """Runs the workers until SIGTERM or SIGINT. Gives the exit code: 0 when all ended in good order.

        SIGHUP replaces them one by one, each by one that is ready to serve before its predecessor leaves.
        """
        with _blocked():
            if not self._start_all():
                self._stop()
                return 1
            announce()
            while (number := signal.sigwait(_AWAITED)) not in _STOP:
                self._replace_dead()
                if number == signal.SIGHUP:
                    self._replace_all()
            return self._stop()

    def _start_all(self) -> bool:
        """The first alone: what keeps one from starting keeps all, and should be said once."""
        _, first = self._start()
        if not _is_ready(first):
            return False
        others = [self._start() for _ in range(1, self._count)]
        return all([_is_ready(ready) for _, ready in others])  # noqa: C419 - each is waited for

    def _start(self, pause: float = 0.0) -> tuple[int, int]:
        """Forks a worker. Gives its pid, and a pipe from which a byte can be read when it is ready, or the end if it
        dies first."""
        worker = _Worker(self._free_slot(), pause, time.monotonic())
        ready, its_ready = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(self._lifeline_end)
            os._exit(self._live(worker, its_ready))
        os.close(its_ready)
        self._workers[pid] = worker
        return pid, ready

    def _free_slot(self) -> int:
        held = {worker.slot for worker in self._workers.values()}
        return next(slot for slot in itertools.count() if slot not in held)

    def _live(self, worker: _Worker, ready: int) -> int:
        """The life of a worker, in its own process."""
        try:
            for number in _AWAITED:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _AWAITED)
            threading.Thread(target=self._end_with_parent, daemon=True).start()
            time.sleep(worker.pause)
            return self._work(worker.slot, lambda: _say_ready(ready))
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1
        except BaseException:  # noqa: BLE001 - a traceback is all that can become of it here
            traceback.print_exc()
            return 1
        finally:
            sys.stdout.flush()
            logging.shutdown()  # os._exit would leave what the log has not written yet

    def _end_with_parent(self) -> None:
        os.read(self._lifeline, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    def _replace_dead(self) -> None:
        for pid, code, worker in self._dead():
            self._bury(worker.slot)
            if pid in self._leaving:
                self._leaving.remove(pid)
                continue
            pause = next_pause(worker.pause, time.monotonic() - worker.since)
            log.error("worker died", extra={"pid": pid, "code": code, "replaced_in": pause})
            _, ready = self._start(pause)
            os.close(ready)

    def _dead(self) -> Iterator[tuple[int, int, _Worker]]:
        """Pid, exit code and what else is known of workers that have ended."""
        for pid in tuple(self._workers):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                yield pid, os.waitstatus_to_exitcode(status), self._workers.pop(pid)

    def _replace_all(self) -> None:
        old = [pid for pid in self._workers if pid not in self._leaving]
        for replaced, pid in enumerate(old):
            successor, ready = self._start()
            if not _is_ready(ready):
                self._leaving.add(successor)  # whom it was to replace goes on
                log.error(
                    "not all workers were replaced: a new one did not start",
                    extra={"replaced": replaced, "go_on": len(old) - replaced},
                )
                return
            self._leaving.add(pid)
            os.kill(pid, signal.SIGTERM)
        log.info("the workers were replaced")

    def _stop(self) -> int:
        for listening in self._sockets:  # lest connections queue up that no worker will accept
            listening.close()
        for pid in self._workers:
            os.kill(pid, signal.SIGTERM)
        codes = {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in self._workers}
        return 0 if codes <= {0, -signal.SIGTERM} else 1  # the signal itself ends a worker that does not serve yet


def _say_ready(pipe: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody waits for one that replaces another
        os.write(pipe, b".")
    os.close(pipe)


def _is_ready(pipe: int) -> bool:
    """Waits until the worker at the other end is ready, or dead."""
    with open(pipe, "rb") as reader:
        return bool(reader.read(1))


@contextlib.contextmanager
def _blocked() -> Iterator[None]:
    """Keeps the signals for `sigwait`, so that none is lost or comes at a bad moment."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    try:
        yield
    finally:
        for again in signal.sigpending() & _AWAITED:  # who asked twice has got what was asked for
            signal.sigwait({again})
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
