"""Clients in memory, for a second: what every token request needs, at the price of one query a second and client.

A removed client or a changed secret is therefore noticed everywhere within `FRESH`, and within two seconds where the
database takes its time. While it is out of reach, a client that was seen of late goes on for the time in which signing
may go on (`IDP_OFFLINE_SIGNING`).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Generic, TypeVar

from idp.clock import Ticker
from idp.directory.client_reads import ClientReads
from idp.protocol.client import Client
from idp.store.clients import Clients
from idp.store.database import DatabaseUnavailable

T = TypeVar("T")

FRESH = 1.0
"""Seconds for which what was read is taken as it is."""
PATIENCE = 0.9
"""Seconds after which a database that does not answer is out of reach, so that what was read before will do."""
HASTE = 0.2
"""Seconds for which one waits for it all the same, while it is known to be."""
BOUND = 10_000
"""The most clients that are kept. Ids of no client are not, so nobody can push out clients by inventing ids."""


class _Reads:
    """The reads under way, whatever they are of, and what they tell of the database."""

    def __init__(self, ticker: Ticker) -> None:
        self._ticker = ticker
        self._since: dict[asyncio.Task[Any], float] = {}  # the oldest comes first
        self._failed_at = float("-inf")

    def start(self, read: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        reading = asyncio.create_task(read)
        self._since[reading] = self._ticker()
        reading.add_done_callback(self._end)
        return reading

    def patience(self, reading: asyncio.Task[Any]) -> float:
        """Seconds for which this one, which is under way, is still to be waited for."""
        patience = HASTE if self._is_out_of_reach else PATIENCE
        return max(0.0, self._since[reading] + patience - self._ticker())

    @property
    def _is_out_of_reach(self) -> bool:
        """Whether a read failed a moment ago, or is overdue. That too is remembered for a second only: an outage that
        is over is no excuse."""
        now = self._ticker()
        oldest = next(iter(self._since.values()), now)
        return now - self._failed_at < FRESH or now - oldest >= PATIENCE

    def _end(self, reading: asyncio.Task[Any]) -> None:
        was_late = self._ticker() - self._since.pop(reading) >= PATIENCE
        error = None if reading.cancelled() else reading.exception()  # nobody else may be left to see it
        if was_late or isinstance(error, DatabaseUnavailable):
            self._failed_at = self._ticker()


class _Kept(Generic[T]):
    """What `read` gives, for `FRESH`, and for `offline` seconds where it cannot be read again.

    It is read once for all who miss it at the same time, whoever of them gives up.
    """

    def __init__(self, read: Callable[[], Awaitable[T]], reads: _Reads, *, offline: float, ticker: Ticker) -> None:
        self._read = read
        self._reads = reads
        self._offline = offline
        self._ticker = ticker
        self.value: T
        self._read_at = float("-inf")
        self._reading: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """Raises DatabaseUnavailable when it is not known well enough."""
        if self.is_fresh:
            return self.value
        reading = self._reading or self._start_reading()
        patience = self._reads.patience(reading) if self._will_do else None
        if patience is not None:
            await asyncio.wait([reading], timeout=patience)
        if self._will_do and (not reading.done() or isinstance(reading.exception(), DatabaseUnavailable)):
            return self.value
        return await asyncio.shield(reading)

    @property
    def is_fresh(self) -> bool:
        """Whether `value` is to be taken as it is. Nearly every request asks."""
        return self._ticker() - self._read_at < FRESH

    @property
    def _age(self) -> float:
        return self._ticker() - self._read_at

    @property
    def _will_do(self) -> bool:
        return self._age < self._offline

    def _start_reading(self) -> "asyncio.Task[T]":
        self._reading = self._reads.start(self._read_again())
        self._reading.add_done_callback(self._finish_reading)
        return self._reading

    async def _read_again(self) -> T:
        since = self._ticker()
        self.value = await self._read()
        self._read_at = since
        return self.value

    def _finish_reading(self, _: "asyncio.Task[T]") -> None:
        self._reading = None


class ClientCache:
    """Finds clients. `offline` is in seconds; `ticker` never steps."""

    def __init__(self, clients: Clients, *, offline: float, ticker: Ticker) -> None:
        self._read_client = ClientReads(clients)
        reads = _Reads(ticker)
        self._keep = partial(_Kept[Client | None], reads=reads, offline=offline, ticker=ticker)
        self._known: OrderedDict[str, _Kept[Client | None]] = OrderedDict()
        self._asked: dict[str, _Kept[Client | None]] = {}
        self._origins = _Kept(clients.origins, reads, offline=float("inf"), ticker=ticker)

    async def find(self, client_id: str) -> Client | None:
        """The client, at most `FRESH` old. Raises DatabaseUnavailable when it is not known well enough."""
        kept = self._known.get(client_id)
        if kept is not None and kept.is_fresh:
            self._known.move_to_end(client_id)
            return kept.value
        if not client_id.isascii() or not client_id.isprintable():
            return None  # no client is registered under such an id, and PostgreSQL cannot even be asked for some
        kept = kept or self._asked.get(client_id)
        if kept is None:
            kept = self._asked[client_id] = self._keep(partial(self._read, client_id))
        client = await kept.get()
        if client is None:
            self._known.pop(client_id, None)
        else:
            self._known[client_id] = kept
            self._known.move_to_end(client_id)
            if len(self._known) > BOUND:
                self._known.popitem(last=False)
        return client

    async def _read(self, client_id: str) -> Client | None:
        try:
            return await self._read_client(client_id)
        finally:
            self._asked.pop(client_id, None)

    async def is_registered_origin(self, origin: str) -> bool:
        """Whether any client registered this web origin. While the database is away, the last answer holds."""
        try:
            return origin in await self._origins.get()
        except DatabaseUnavailable:
            return False
