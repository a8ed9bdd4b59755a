"""What was written to a client, and waits to be taken."""

import asyncio

from idp.http import bounds
from idp.http.deadline import Deadline


class Outflow:
    """Gives up on a client that leaves its answers where they are."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self.write = transport.write
        self.write_uncopied = transport.writelines
        self.blocked: asyncio.Event | None = None
        """Set as soon as enough was taken for more to be written; None while that is so."""
        self._transport = transport
        self._patience = Deadline(loop, self._look)
        self._untaken = 0  # bytes, when that was looked at last

    def pause(self) -> None:
        self.blocked = asyncio.Event()
        self.watch()

    def resume(self) -> None:
        if self.blocked is not None:
            self.blocked.set()
            self.blocked = None
        if not self._transport.is_closing():
            self._patience.clear()

    def watch(self) -> None:
        """From now on the client has to take something."""
        self._untaken = self._transport.get_write_buffer_size()
        if self._untaken:
            self._patience.set(bounds.ANSWER_SECONDS)

    def end(self) -> None:
        """There is nobody any more."""
        self.resume()
        self._patience.clear()
        del self._patience  # it refers to this, as this does to it

    def _look(self) -> None:
        if self._transport.get_write_buffer_size() > self._untaken - bounds.ANSWER_BYTES:
            self._transport.abort()
        else:
            self.watch()
