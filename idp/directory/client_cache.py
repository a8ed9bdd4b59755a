"""Clients in memory, for a second: what every token request needs, at the price of one query a second and client.

A removed client or a changed secret is therefore noticed everywhere within `FRESH`. While the database is away, a
client that was seen of late goes on for the time in which signing may go on (`IDP_OFFLINE_SIGNING`).
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from idp.protocol.client import Client
from idp.store.clients import Clients
from idp.store.database import DatabaseUnavailable

FRESH = 1.0
"""Seconds for which an entry is taken as it is."""
BOUND = 10_000
"""The most clients that are kept; unknown client_ids are kept as such, and cannot push out more than they are."""


@dataclass(frozen=True, slots=True)
class _Entry:
    client: Client | None
    read_at: float


class ClientCache:
    """Finds clients. `offline` is in seconds; `ticker` never steps."""

    def __init__(self, clients: Clients, *, offline: float, ticker: Callable[[], float]) -> None:
        self._clients = clients
        self._offline = offline
        self._ticker = ticker
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._origins: tuple[frozenset[str], float] = (frozenset(), float("-inf"))

    async def find(self, client_id: str) -> Client | None:
        """The client, at most `FRESH` old. Raises DatabaseUnavailable when it is not known well enough."""
        entry = self._entries.get(client_id)
        now = self._ticker()
        if entry and now - entry.read_at < FRESH:
            return entry.client
        try:
            client = await self._clients.find(client_id) if "\0" not in client_id else None
        except DatabaseUnavailable:
            if entry and now - entry.read_at < self._offline:
                return entry.client
            raise
        self._keep(client_id, _Entry(client, now))
        return client

    def _keep(self, client_id: str, entry: _Entry) -> None:
        self._entries[client_id] = entry
        self._entries.move_to_end(client_id)
        if len(self._entries) > BOUND:
            self._entries.popitem(last=False)

    async def is_registered_origin(self, origin: str) -> bool:
        """Whether any client registered this web origin. While the database is away, the last answer holds."""
        origins, read_at = self._origins
        now = self._ticker()
        if now - read_at >= FRESH:
            try:
                origins = await self._clients.origins()
            except DatabaseUnavailable:
                return origin in origins
            self._origins = (origins, now)
        return origin in origins
