"""Authorization fields that proved a client a moment ago (RFC 6749 §2.3.1).

Whoever asks often sends the same field each time. Taking it apart and hashing the secret costs more than all else on
the way to a client, and what the field gave a moment ago it gives again as long as the client is what it was then. No
other field is ever found in its place: it is looked up as a whole, and only one that was good is kept.
"""

import asyncio

from idp.directory.client_cache import BOUND, FRESH, ClientCache
from idp.protocol.client import Client

_LONGEST = 512
"""Characters of a field that is kept."""


class ProvedClients:
    """Remembers fields for `seconds` at most: they are secrets."""

    def __init__(self, clients: ClientCache, *, seconds: float = FRESH) -> None:
        self._clients = clients
        self._seconds = seconds
        self._proved: dict[str, Client] = {}

    async def find(self, authorization: str) -> Client | None:
        """The client that this field proves, if that is known. Raises DatabaseUnavailable."""
        proved = self._proved.get(authorization)
        if proved is None or await self._clients.find(proved.client_id) is not proved:
            return None  # it may be another one by now, whatever its name is
        return proved

    def remember(self, authorization: str, client: Client) -> None:
        """That this field, and nothing else, has proved the client; not if what proves it has an end."""
        if len(authorization) > _LONGEST or any(secret.expires_at is not None for secret in client.secrets):
            return
        if not self._proved:
            asyncio.get_running_loop().call_later(self._seconds, self._proved.clear)
        if len(self._proved) < BOUND:
            self._proved[authorization] = client
