"""Authorization fields that proved a client a moment ago (RFC 6749 §2.3.1).

Whoever asks often sends the same field each time. Taking it apart and hashing the secret costs more than all else on
the way to a client, and what the field gave a moment ago it gives again as long as the client is what it was then. No
other field is ever found in its place: it is looked up as a whole, and only one that was good is kept.
"""

from idp.clock import Ticker
from idp.directory.client_cache import BOUND, FRESH, ClientCache
from idp.protocol.client import Client


class ProvedClients:
    """Remembers fields for as long as a client is taken as it is, at most: they are secrets. `ticker` never steps."""

    def __init__(self, clients: ClientCache, ticker: Ticker) -> None:
        self._clients = clients
        self._ticker = ticker
        self._proved: dict[str, Client] = {}
        self._since = ticker()

    async def find(self, authorization: str) -> Client | None:
        """The client that this field proves, if that is known. Raises DatabaseUnavailable."""
        proved = self._proved.get(authorization)
        if proved is None or await self._clients.find(proved.client_id) is not proved:
            return None  # it may be another one by now, whatever its name is
        return proved

    def remember(self, authorization: str, client: Client) -> None:
        """That this field proved the client now; not if what proves it has an end."""
        now = self._ticker()
        if now - self._since >= FRESH or len(self._proved) >= BOUND:
            self._proved.clear()
            self._since = now
        if all(secret.expires_at is None for secret in client.secrets):
            self._proved[authorization] = client
