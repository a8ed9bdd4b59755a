"""A TCP relay before a PostgreSQL that listens on a Unix socket: a network that can fall silent, or break."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit


class Relay:
    """Passes bytes on, until told otherwise."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._words: bytes | None = None
        self._answered = False

    def stall(self) -> None:
        """From now on nothing comes through, and nobody is told."""
        self._flowing.clear()

    def flow(self) -> None:
        """All is well again."""
        self._flowing.set()

    def cut_answer_to(self, words: bytes) -> None:
        """The next message with these words reaches the server; instead of its answer, the client sees the end."""
        self._words = words

    async def join(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        """Serves one connection."""
        server, requests = await asyncio.open_unix_connection(self._socket)
        async with asyncio.TaskGroup() as ways:
            there = ways.create_task(self._there(client, requests))
            back = ways.create_task(self._back(server, answers))
            await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
            there.cancel()
            back.cancel()
        answers.close()
        requests.close()

    async def _there(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                await self._flowing.wait()
                sink.write(data)
                if self._words and self._words in data:
                    self._words, self._answered = None, True

    async def _back(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                await self._flowing.wait()
                if self._answered:
                    self._answered = False
                    return
                sink.write(data)


@contextlib.asynccontextmanager
async def relayed(dsn: str) -> AsyncIterator[tuple[Relay, str]]:
    """The relay, and the DSN that leads through it."""
    parts = urlsplit(dsn)
    options = parse_qs(parts.query)
    relay = Relay(f"{options['host'][0]}/.s.PGSQL.{options['port'][0]}")
    async with await asyncio.start_server(relay.join, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield relay, f"postgresql://postgres@127.0.0.1:{port}{parts.path}"
