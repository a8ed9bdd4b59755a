"""A connection on which a test may write what it wants, HTTP or not."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

import psutil  # types-psutil is not among the pins

from tests.service import Service


class Wire:
    """A connection on which anything can be written."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *pieces: bytes, pause: float = 0) -> None:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                self.writer.write(piece)
                await self.writer.drain()
                await asyncio.sleep(pause)

    async def rest(self) -> bytes:
        """All that comes until the other side ends the connection."""
        received = b""
        async with asyncio.timeout(15):
            with contextlib.suppress(ConnectionError):
                while piece := await self.reader.read(65536):
                    received += piece
        return received

    @property
    def is_open_there(self) -> bool:
        """Whether the service still holds the connection."""
        here, there = (self.writer.get_extra_info(name) for name in ("sockname", "peername"))
        return any(
            (it.laddr, it.raddr) == (there, here)
            for it in psutil.net_connections("tcp4")
            if it.status == psutil.CONN_ESTABLISHED
        )


@contextlib.asynccontextmanager
async def wire(service: Service) -> AsyncIterator[Wire]:
    """A connection to the service."""
    async with wire_to(service.url) as connection:
        yield connection


@contextlib.asynccontextmanager
async def wire_to(url: str) -> AsyncIterator[Wire]:
    """A connection to whatever listens there."""
    port = int(url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answers)]
