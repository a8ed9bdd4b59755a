"""What a client sees of the installation: a token for each request, whichever instance answers."""

import asyncio
import base64
import json
import time
from collections import deque
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from idp.protocol.client import ADMIN_SCOPE
from tests.builders import ConfidentialClient
from tests.rotation.connections import Answer, Peer
from tests.rotation.installation import Installation

_PATIENCE = 30.0


class Unavailable(Exception):  # noqa: N818 - an answer, or none
    """No instance answered the request in a useful way for long."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, and what it says of itself."""

    text: str
    header: dict[str, Any]
    exp: int

    @property
    def kid(self) -> str:
        kid: str = self.header["kid"]
        return kid


class Front:
    """The instances behind a balancer, which gives a request that one of them failed to answer to another."""

    def __init__(self, installation: Installation) -> None:
        self.failures = 0
        self._installation = installation
        self._peers = deque(Peer(instance.url) for instance in installation.instances)

    async def token(self) -> Token:
        """A token for the API, by client_credentials. Raises Unavailable."""
        return await self._token(self._installation.client)

    async def rotate(self) -> None:
        """Asks by hand that the next key sign. Raises Unavailable."""
        await self._administer("/admin/keys/rotate")

    async def revoke(self, kid: str) -> None:
        """Revokes a key. Raises Unavailable."""
        await self._administer(f"/admin/keys/{kid}/revoke")

    def close(self) -> None:
        for peer in self._peers:
            peer.close()

    async def _administer(self, path: str) -> None:
        token = await self._token(self._installation.operator, scope=ADMIN_SCOPE)
        await self._post(path, b"{}", content_type="application/json", authorization=f"Bearer {token.text}")

    async def _token(self, client: ConfidentialClient, **parameters: str) -> Token:
        form = urlencode({"grant_type": "client_credentials", **parameters}).encode()
        credentials = base64.b64encode(":".join(client.auth).encode()).decode()
        answer = await self._post(
            "/token", form, content_type="application/x-www-form-urlencoded", authorization=f"Basic {credentials}"
        )
        text: str = json.loads(answer.body)["access_token"]
        header, claims, _ = text.split(".")
        return Token(text, _json(header), _json(claims)["exp"])

    async def _post(self, path: str, body: bytes, **headers: str) -> Answer:
        deadline = time.monotonic() + _PATIENCE
        while True:
            peer = self._peers[0]
            self._peers.rotate()
            try:
                answer = await peer.post(path, body, **headers)
                if answer.is_success:
                    return answer
                reason = f"{answer.status} {answer.body!r}"
            except ConnectionError as error:
                reason = str(error)
            self.failures += 1
            if time.monotonic() > deadline:
                raise Unavailable(f"{path}: {reason}")
            await asyncio.sleep(0.02)


def _json(segment: str) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=="))
    return members
