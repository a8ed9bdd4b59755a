"""Gateways: what the page sets up lets a request through to a service, or answers it itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from tests.rotation.connections import Answer, Peer

_PATIENCE = 60.0


class NotStartedError(Exception):
    """The gateway has ended before it answered."""


class Gateway:
    """Asks for a page of the service behind the gateway, which that answers with 200 whatever is asked."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def objection(self, token: str) -> str | None:
        try:
            answer = await self._ask(token)
        except ConnectionError:  # a gateway that is being reloaded may end it unseen; a GET may be repeated
            answer = await self._ask(token)
        return None if answer.is_success else f"{answer.status} {answer.body.decode()}"

    async def _ask(self, token: str) -> Answer:
        return await self._peer.get("/", authorization=f"Bearer {token}", connection="close")


@contextlib.asynccontextmanager
async def gateway(port: int, is_alive: Callable[[], bool]) -> AsyncIterator[Gateway]:
    """The gateway on this port, once it answers. It must not let in a request without a token.

    Raises NotStartedError.
    """
    with contextlib.closing(Peer(f"http://127.0.0.1:{port}")) as peer:
        answer = await _first_answer(peer, is_alive)
        assert not answer.is_success
        yield Gateway(peer)


async def _first_answer(peer: Peer, is_alive: Callable[[], bool]) -> Answer:
    async with asyncio.timeout(_PATIENCE):
        while True:
            if not is_alive():
                raise NotStartedError
            with contextlib.suppress(ConnectionError):
                return await peer.get("/")
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def service() -> AsyncIterator[int]:
    """A service that answers everything with 200; gives its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
