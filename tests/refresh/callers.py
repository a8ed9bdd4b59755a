"""A client that refreshes over connections of its own, at whichever instance it is told to."""

import asyncio
import base64
import json
from dataclasses import dataclass
from urllib.parse import urlencode

from tests.builders import ConfidentialClient
from tests.rotation.connections import Answer, Peer

_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What became of a refresh. `error` is OAuth's, when there is one."""

    status: int
    successor: str | None = None
    access_token: str | None = None
    error: str | None = None


class Caller:
    """One client at one instance. Every method raises ConnectionError when no whole answer came."""

    def __init__(self, url: str, client: ConfidentialClient) -> None:
        self._peer = Peer(url)
        self._address = url.removeprefix("http://").split(":")
        self._authorization = "Basic " + base64.b64encode(":".join(client.auth).encode()).decode()

    async def refresh(self, token: str, **form: str) -> Refreshed:
        answer = await self._post("/token", grant_type="refresh_token", refresh_token=token, **form)
        body = json.loads(answer.body)
        return Refreshed(answer.status, body.get("refresh_token"), body.get("access_token"), body.get("error"))

    async def revoke(self, token: str) -> int:
        """The status."""
        return (await self._post("/revoke", token=token)).status

    async def refresh_and_vanish(self, token: str) -> None:
        """Cuts the connection at the first byte of the answer: what it says is durable by then, and nobody reads it."""
        body = urlencode({"grant_type": "refresh_token", "refresh_token": token}).encode()
        head = (
            f"POST /token HTTP/1.1\r\nhost: x\r\nauthorization: {self._authorization}\r\n"
            f"content-type: {_FORM}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        host, port = self._address
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head.encode() + body)
        async with asyncio.timeout(10):
            await reader.readexactly(1)
        writer.transport.abort()

    def close(self) -> None:
        self._peer.close()

    async def _post(self, path: str, **form: str) -> Answer:
        return await self._peer.post(
            path, urlencode(form).encode(), content_type=_FORM, authorization=self._authorization
        )
