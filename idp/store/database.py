"""Connections to PostgreSQL: opened and owned by `databases`, handed out by a guard.

`databases` 0.9 leaks a pool slot whenever BEGIN, COMMIT or ROLLBACK fails or is cancelled, waits for ever for a free
one, and drops DSN options; its pool also resets the session on every release, which costs more than most of our
queries. So each of its connections is acquired once and kept, and this file lends them out, last in, first out:

- the wait for a connection is bounded, and a database that is down is said so within that bound;
- whatever ends a transaction early, a cancelled request above all, the connection is cleaned by a task that no
  request can cancel, or thrown away;
- a lent connection is a plain asyncpg one, with its prepared statements still warm.

Nothing may change the state of a session (SET, LISTEN, temporary tables): a connection is lent to others right after.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import asyncpg
import databases
from asyncpg.pool import PoolConnectionProxy

T = TypeVar("T")
Row = asyncpg.Record
RawConnection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
Isolation = Literal["read committed", "repeatable read", "serializable"]

OUTAGES = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.QueryCanceledError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.DiskFullError,
)
"""The errors that say more about the server than about the statement."""

RETRIES = 5
"""How often a transaction that lost against another one is tried in all."""


class DatabaseUnavailable(Exception):  # noqa: N818 - a state of the world rather than an error of ours
    """The database did not answer in time, or not at all. What was asked may be asked again."""


class TransactionAborted(Exception):  # noqa: N818 - likewise
    """COMMIT rolled back, because a statement of the transaction had failed and its error was swallowed."""


class Executor(Protocol):
    """Runs single statements: each on its own, or all in the one transaction that the executor stands for."""

    async def fetch_one(self, query: str, *args: Any) -> Row | None:
        """The first row."""

    async def fetch_all(self, query: str, *args: Any) -> Sequence[Row]:
        """All rows."""

    async def execute(self, query: str, *args: Any) -> int:
        """How many rows the statement touched."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a pool, in connections and seconds."""

    connections: int = 8
    acquire: float = 0.8
    connect: float = 0.8
    command: float = 5.0


class _Slot:
    """One connection of `databases`, kept."""

    def __init__(self, owner: databases.core.Connection) -> None:
        self.owner = owner
        self.raw: RawConnection = owner.raw_connection


class Database:
    """A bounded set of connections. Not for several event loops."""

    def __init__(self, dsn: str, *, limits: Limits = Limits(), application_name: str = "idp") -> None:
        self._limits = limits
        self._databases = databases.Database(
            "postgresql://",
            dsn=dsn,
            database=None,  # else `databases` passes an empty name, and asyncpg ignores the one of the DSN
            min_size=0,
            max_size=limits.connections,
            timeout=limits.connect,
            command_timeout=limits.command,
            max_inactive_connection_lifetime=0,
            server_settings={"application_name": application_name},
        )
        self._idle: asyncio.LifoQueue[_Slot] = asyncio.LifoQueue()
        self._open = 0
        self._cleaners: set[asyncio.Task[None]] = set()

    async def connect(self) -> None:
        """Prepares the pool; connections are opened when they are needed."""
        await self._databases.connect()

    async def disconnect(self) -> None:
        """Waits for connections that are being cleaned, then closes all. No query may be under way."""
        await asyncio.gather(*self._cleaners, return_exceptions=True)
        while not self._idle.empty():
            await self._discard(self._idle.get_nowait())
        await self._databases.disconnect()

    @property
    def connections(self) -> tuple[int, int]:
        """How many connections are open, and how many of them are lent out."""
        return self._open, self._open - self._idle.qsize()

    async def fetch_one(self, query: str, *args: Any) -> Row | None:
        return await self._alone(lambda connection: connection.fetch_one(query, *args))

    async def fetch_all(self, query: str, *args: Any) -> Sequence[Row]:
        return await self._alone(lambda connection: connection.fetch_all(query, *args))

    async def execute(self, query: str, *args: Any) -> int:
        return await self._alone(lambda connection: connection.execute(query, *args))

    async def _alone(self, statement: Callable[["Connection"], Awaitable[T]]) -> T:
        async def attempt() -> T:
            async with self._lent() as slot:
                return await statement(Connection(slot.raw))

        return await _retried(attempt)

    async def transact(
        self, work: Callable[["Connection"], Awaitable[T]], *, isolation: Isolation = "read committed"
    ) -> T:
        """Runs `work` in one transaction and commits it, again from the start when it lost against another one.

        So `work` may touch nothing but its connection. Raises DatabaseUnavailable; what `work` raises rolls back.
        """

        async def attempt() -> T:
            async with self.transaction(isolation=isolation) as connection:
                return await work(connection)

        return await _retried(attempt)

    @contextlib.asynccontextmanager
    async def transaction(self, *, isolation: Isolation = "read committed") -> AsyncIterator["Connection"]:
        """One attempt at a transaction: commits at the end of the block, rolls back when the block raises."""
        async with self._lent() as slot:
            connection = Connection(slot.raw)
            await connection.command(f"BEGIN ISOLATION LEVEL {isolation}")
            yield connection
            if await connection.command("COMMIT") != "COMMIT":
                raise TransactionAborted("A statement of the transaction had failed.")

    @contextlib.asynccontextmanager
    async def _lent(self) -> AsyncIterator[_Slot]:
        slot = await self._take()
        try:
            yield slot
        except asyncpg.PostgresError:  # refused by a server that is well: only an open transaction is left behind
            self._give_back(slot, clean=not slot.raw.is_in_transaction())
            raise
        except BaseException:
            self._give_back(slot, clean=False)
            raise
        self._give_back(slot, clean=True)

    async def _take(self) -> _Slot:
        while not self._idle.empty():
            slot = self._idle.get_nowait()
            if not slot.raw.is_closed():
                return slot
            self._clean_later(slot)
        try:
            async with asyncio.timeout(self._limits.acquire):
                if self._open < self._limits.connections:
                    return await self._connected()
                return await self._idle.get()
        except TimeoutError:
            raise DatabaseUnavailable("No database connection was free in time.") from None

    async def _connected(self) -> _Slot:
        """Opens a connection in a task of its own.

        `databases` ties a connection to the task that acquires it, and this one ends at once; and when the request
        gives up meanwhile, the connection is there for the next one.
        """
        self._open += 1
        opening = asyncio.create_task(self._opened())
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._adopt)
            raise

    async def _opened(self) -> _Slot:
        try:
            return _Slot(await self._databases.connection().__aenter__())
        except BaseException as error:
            self._open -= 1
            if isinstance(error, OUTAGES):
                raise DatabaseUnavailable(f"The database cannot be reached: {error}") from error
            raise

    def _adopt(self, opening: asyncio.Task[_Slot]) -> None:
        if not opening.cancelled() and not opening.exception():
            self._idle.put_nowait(opening.result())

    def _give_back(self, slot: _Slot, *, clean: bool) -> None:
        if clean and not slot.raw.is_closed():
            self._idle.put_nowait(slot)
        else:
            self._clean_later(slot)

    def _clean_later(self, slot: _Slot) -> None:
        cleaner = asyncio.get_running_loop().create_task(self._clean(slot))
        self._cleaners.add(cleaner)
        cleaner.add_done_callback(self._cleaners.discard)

    async def _clean(self, slot: _Slot) -> None:
        """Ends what a broken transaction left; a connection that cannot be cleaned is closed."""
        try:
            if not slot.raw.is_closed():
                await slot.raw.execute("ROLLBACK", timeout=self._limits.command)
                self._idle.put_nowait(slot)
                return
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            slot.raw.terminate()
        await self._discard(slot)

    async def _discard(self, slot: _Slot) -> None:
        self._open -= 1
        with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            await slot.owner.__aexit__(None, None, None)


@dataclass(frozen=True, slots=True)
class Connection:
    """A lent connection: an Executor whose statements run in the transaction that is open on it, if any."""

    raw: RawConnection

    async def fetch_one(self, query: str, *args: Any) -> Row | None:
        return await self._answer(self.raw.fetchrow(query, *args))

    async def fetch_all(self, query: str, *args: Any) -> Sequence[Row]:
        return await self._answer(self.raw.fetch(query, *args))

    async def execute(self, query: str, *args: Any) -> int:
        count = (await self.command(query, *args)).rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def command(self, query: str, *args: Any) -> str:
        """Runs the statement and gives the server's command tag."""
        return await self._answer(self.raw.execute(query, *args))

    async def _answer(self, answer: Awaitable[T]) -> T:
        """Gives the many ways in which a database is not there one name."""
        try:
            return await answer
        except OUTAGES as error:
            raise DatabaseUnavailable(f"The database is not available: {error}") from error
        except asyncpg.InterfaceError as error:
            if not self.raw.is_closed():
                raise
            raise DatabaseUnavailable("The connection to the database was lost.") from error


async def _retried(attempt: Callable[[], Awaitable[T]]) -> T:
    """Serialization failures and deadlocks rolled everything back, so the same may be tried again."""
    for _ in range(RETRIES - 1):
        with contextlib.suppress(asyncpg.SerializationError, asyncpg.DeadlockDetectedError):
            return await attempt()
    return await attempt()
