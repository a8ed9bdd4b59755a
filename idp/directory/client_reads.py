"""Reads of clients: those that are asked for in one turn of the loop go to the database in one statement.

A statement costs several times what each client in it does, and of many clients most are not in memory.
"""

import asyncio

from idp.protocol.client import Client
from idp.store.clients import Clients

_MOST = 64
"""Clients in a statement."""


class ClientReads:
    """Reads clients, each for whoever asks."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._asked: dict[str, asyncio.Future[Client | None]] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    async def __call__(self, client_id: str) -> Client | None:
        """Raises DatabaseUnavailable."""
        found = self._asked.get(client_id)
        if found is None:
            if not self._asked:
                self._send()
            found = self._asked[client_id] = asyncio.get_running_loop().create_future()
        return await asyncio.shield(found)

    def _send(self) -> None:
        """In the next turn, with all that are asked for in this one."""
        reading = asyncio.create_task(self._read())
        self._under_way.add(reading)
        reading.add_done_callback(self._under_way.discard)

    async def _read(self) -> None:
        asked, self._asked = self._asked, {}
        ids = list(asked)
        for start in range(0, len(ids), _MOST):
            some = ids[start : start + _MOST]
            try:
                found = {client.client_id: client for client in await self._clients.find_all(some)}
            except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
                for client_id in some:
                    asked[client_id].set_exception(error)
            else:
                for client_id in some:
                    asked[client_id].set_result(found.get(client_id))
