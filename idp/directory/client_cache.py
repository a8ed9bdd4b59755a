"""Clients in memory, for a second: what every token request needs, at the price of one query a second and client.

A removed client or a changed secret is therefore noticed everywhere within `FRESH`. While the database is away or
slow, a client that was seen of late goes on for the time in which signing may go on (`IDP_OFFLINE_SIGNING`).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar

from idp.clock import Ticker
from idp.protocol.client import Client
from idp.store.clients import Clients
from idp.store.database import DatabaseUnavailable

T = TypeVar("T")

FRESH = 1.0
"""Seconds for which what was read is taken as it is."""
PATIENCE = 0.2
"""Seconds for which a slow database is waited for, when what was read before would do."""
BOUND = 10_000
"""The most clients that are kept. Ids of no client are not, so nobody can push out clients by inventing ids."""


class _Kept(Generic[T]):
    """What `read` gives, for `FRESH`, and for `offline` seconds where it cannot be read again.

    It is read once for all who miss it at the same time, whoever of them gives up.
    """

    def __init__(self, read: Callable[[], Awaitable[T]], *, offline: float, ticker: Ticker) -> None:
        self._read = read
        self._offline = offline
        self._ticker = ticker
        self._value: T
        self._read_at = float("-inf")
        self._reading: asyncio.Task[T] | None = None
        self._reading_since = 0.0

    async def get(self) -> T:
        """Raises DatabaseUnavailable when it is not known well enough."""
        if self._age < FRESH:
            return self._value
        reading = self._reading or self._start_reading()
        patience = max(0.0, self._reading_since + PATIENCE - self._ticker()) if self._will_do else None
        await asyncio.wait([reading], timeout=patience)
        if self._will_do and (not reading.done() or isinstance(reading.exception(), DatabaseUnavailable)):
            return self._value
        return await asyncio.shield(reading)

    @property
    def _age(self) -> float:
        return self._ticker() - self._read_at

    @property
    def _will_do(self) -> bool:
        return self._age < self._offline

    def _start_reading(self) -> "asyncio.Task[T]":
        self._reading_since = self._ticker()
        self._reading = asyncio.create_task(self._read_again())
        self._reading.add_done_callback(self._finish_reading)
        return self._reading

    async def _read_again(self) -> T:
        since = self._ticker()
        self._value = await self._read()
        self._read_at = since
        return self._value

    def _finish_reading(self, reading: "asyncio.Task[T]") -> None:
        self._reading = None
        if not reading.cancelled():
            reading.exception()  # nobody may be left to see it


class ClientCache:
    """Finds clients. `offline` is in seconds; `ticker` never steps."""

    def __init__(self, clients: Clients, *, offline: float, ticker: Ticker) -> None:
        self._clients = clients
        self._keep = partial(_Kept[Client | None], offline=offline, ticker=ticker)
        self._known: OrderedDict[str, _Kept[Client | None]] = OrderedDict()
        self._asked: dict[str, _Kept[Client | None]] = {}
        self._origins = _Kept(clients.origins, offline=float("inf"), ticker=ticker)

    async def find(self, client_id: str) -> Client | None:
        """The client, at most `FRESH` old. Raises DatabaseUnavailable when it is not known well enough."""
        if not client_id.isascii() or not client_id.isprintable():
            return None  # no client is registered under such an id, and PostgreSQL cannot even be asked for some
        kept = self._known.get(client_id) or self._asked.get(client_id)
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
            return await self._clients.find(client_id)
        finally:
            self._asked.pop(client_id, None)

    async def is_registered_origin(self, origin: str) -> bool:
        """Whether any client registered this web origin. While the database is away, the last answer holds."""
        try:
            return origin in await self._origins.get()
        except DatabaseUnavailable:
            return False
