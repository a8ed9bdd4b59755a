"""Which of several workers takes a new connection.

All wait at the same sockets, and the kernel wakes whom it likes: left alone, one of them often gets nearly all of the
connections that come together, and is busy with them while another idles. So each writes down, in memory that they
share, how many it has, and who has a few more than another lets that one go first, for a moment.
"""

import asyncio
import mmap
import socket
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

SLACK = 2
"""By how many connections a worker may be ahead of another and still take the next."""
COURTESY = 0.002
"""Seconds for which one lets others go first. If somebody still waits then it takes one connection, and each next time
twice as many: the others may be busy with something else, or stopped."""
_MOST = 64
"""Connections that are taken at once."""
_PAUSE = 0.1
"""Seconds between tries where a connection cannot be taken: there are no file descriptors left."""
_INTERVAL = 0.1
"""Seconds between two looks at how many connections there are, since some end."""
_SLOTS = 256
"""More than there ever are workers, those that leave and those that come included."""


class Loads:
    """How many connections each worker has, by its slot. Made before the workers are forked."""

    def __init__(self) -> None:
        self._held = memoryview(mmap.mmap(-1, 8 * _SLOTS)).cast("q")  # one more than it has; 0 is for nobody

    def note(self, slot: int, connections: int) -> None:
        self._held[slot] = connections + 1

    def forget(self, slot: int) -> None:
        """This worker takes none any more."""
        self._held[slot] = 0

    def is_ahead(self, slot: int) -> bool:
        """Whether this worker has a few more than another."""
        return min(filter(None, self._held), default=0) < self._held[slot] - SLACK


@dataclass(frozen=True, slots=True)
class Place:
    """One worker among several."""

    loads: Loads
    slot: int

    def note(self, connections: int) -> None:
        self.loads.note(self.slot, connections)

    @property
    def is_ahead(self) -> bool:
        return self.loads.is_ahead(self.slot)

    def leave(self) -> None:
        self.loads.forget(self.slot)


class Accepting:
    """Takes connections from the sockets for a worker, whose `connections` are counted, and has `make` make their
    protocols."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        place: Place,
        connections: Collection[object],
        make: Callable[[], asyncio.Protocol],
    ) -> None:
        self._sockets = sockets
        self._place = place
        self._connections = connections
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[object]] = set()
        self._timers: dict[socket.socket, asyncio.TimerHandle] = {}
        self._left = 1  # how many of those that the others leave it takes
        self._counting = self._loop.call_soon(self._count)

    def start(self) -> None:
        for listening in self._sockets:
            self._listen(listening)

    async def stop(self) -> None:
        """Takes no more, and waits until those that were taken are there."""
        self._counting.cancel()
        self._place.leave()
        for listening in self._sockets:
            self._loop.remove_reader(listening)
        for timer in self._timers.values():
            timer.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)

    def _listen(self, listening: socket.socket) -> None:
        self._timers.pop(listening, None)
        self._loop.add_reader(listening, self._come, listening)

    def _come(self, listening: socket.socket) -> None:
        """Somebody has come."""
        self._note()
        if self._place.is_ahead:
            self._rest(listening, COURTESY, self._take_what_is_left)
        else:
            self._left = 1
            self._take(listening)

    def _take_what_is_left(self, listening: socket.socket) -> None:
        """The others have had their chance."""
        self._listen(listening)
        for _ in range(self._left):
            if not self._take(listening):
                return
        self._left = min(2 * self._left, _MOST)

    def _take(self, listening: socket.socket) -> bool:
        """Takes a connection, if there is one to be had."""
        try:
            connection, _ = listening.accept()
        except (BlockingIOError, ConnectionError):  # another worker was quicker, or the client has gone
            return False
        except OSError:
            self._rest(listening, _PAUSE, self._listen)
            return False
        connection.setblocking(False)
        opening = self._loop.create_task(self._loop.connect_accepted_socket(self._make, connection))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        return True

    def _rest(self, listening: socket.socket, seconds: float, then: Callable[[socket.socket], None]) -> None:
        self._loop.remove_reader(listening)
        self._timers[listening] = self._loop.call_later(seconds, then, listening)

    def _count(self) -> None:
        self._note()
        self._counting = self._loop.call_later(_INTERVAL, self._count)

    def _note(self) -> None:
        self._place.note(len(self._connections) + len(self._opening))
