"""HTTP/1.1 to one instance over connections that are kept open, and little else.

A general client costs more CPU for a request than the service that answers it: the load would measure itself.
"""

import asyncio
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

_TIMEOUT = 5.0
_LINE = re.compile(rb"\r\n([^:\r\n]+):[ \t]*([^\r\n]*)")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response (RFC 9112 §4). The names of the headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class _Connection:
    """One connection, for one request after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, request: bytes) -> Answer:
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        headers = {name.decode().lower(): value.decode() for name, value in _LINE.findall(head)}
        length = 0 if status == 304 else int(headers["content-length"])  # RFC 9110 §15.4.5: it has no content
        return Answer(status, headers, await self._reader.readexactly(length))

    def close(self) -> None:
        self._writer.close()


class Peer:
    """An instance, by its URL."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.port
        self._port = parts.port
        self._host = parts.netloc
        self._idle: list[_Connection] = []

    async def get(self, path: str, **headers: str) -> Answer:
        """Raises ConnectionError when no whole answer came in time."""
        return await self.send("GET", path, headers)

    async def post(self, path: str, body: bytes, **headers: str) -> Answer:
        """Raises ConnectionError likewise."""
        return await self.send("POST", path, headers, body)

    async def send(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Answer:
        """Sends a request; underscores in names of headers stand for hyphens. Raises ConnectionError likewise."""
        fields = {"host": self._host, "content-length": str(len(body)), **headers}
        lines = [f"{method} {path} HTTP/1.1", *(f"{k.replace('_', '-')}: {v}" for k, v in fields.items()), "", ""]
        request = "\r\n".join(lines).encode() + body
        try:
            async with asyncio.timeout(_TIMEOUT):
                return await self._exchange(request)
        except (OSError, EOFError, TimeoutError) as error:
            raise ConnectionError(f"{method} {path}: {error!r}") from error

    async def _exchange(self, request: bytes) -> Answer:
        connection = self._idle.pop() if self._idle else await self._connect()
        try:
            answer = await connection.send(request)
        except BaseException:
            connection.close()
            raise
        if answer.headers.get("connection") == "close":
            connection.close()
        else:
            self._idle.append(connection)
        return answer

    async def _connect(self) -> _Connection:
        return _Connection(*await asyncio.open_connection("127.0.0.1", self._port))

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
