"""Connections to PostgreSQL: opened by `databases`, lent out by a guard.

`databases` 0.9 leaks a pool slot whenever BEGIN, COMMIT or ROLLBACK fails or is cancelled, waits for ever for a free
one, and drops DSN options; its pool also resets the session on every release, which costs more than most of our
queries. So each of its connections is acquired once and kept, and this file lends them out, last in, first out:

- the wait for a connection is bounded, and a database that is down is said so within that bound;
- whatever ends a transaction early, a cancelled request above all, the connection is cleaned by a task that no
  request can cancel, or closed; it is lent again only after that;
- a lent connection is a plain asyncpg one, with its prepared statements still warm.

Nothing may change the state of a session (SET, LISTEN, temporary tables): a connection is lent to others right after.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qs, urlsplit

import asyncpg
import databases

from idp.store.connection import OUTAGES, Connection, DatabaseUnavailable, Executor, Row

__all__ = ["Connection", "Database", "DatabaseUnavailable", "Executor", "Limits", "Row", "TransactionAborted"]

T = TypeVar("T")
Isolation = Literal["read committed", "repeatable read", "serializable"]

RETRYABLE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.InvalidCachedStatementError)
"""The errors that certainly rolled everything back, and need not come again: the transaction lost against another
one, or a migration changed a column under a prepared statement."""

ATTEMPTS = 20
"""How often such a transaction is tried in all."""


class TransactionAborted(Exception):  # noqa: N818 - likewise
    """COMMIT rolled back, because a statement of the transaction had failed and its error was swallowed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a pool, in connections and seconds.

    A request waits for a connection no longer than `acquire`; one that is being opened meanwhile is there for the
    next, within `connect`. A connection that was `idle` for long is not used again, because a firewall may have
    dropped it without a word. After `idle_in_transaction` the server ends the transaction, and with it the locks, of
    an instance that was paused.
    """

    connections: int = 8
    acquire: float = 0.8
    connect: float = 3.0
    command: float = 5.0
    idle: float = 60.0
    idle_in_transaction: float = 10.0


class Database:
    """A bounded set of connections. Not for several event loops."""

    def __init__(self, dsn: str, *, limits: Limits = Limits(), application_name: str = "idp") -> None:
        self._limits = limits
        named = "application_name" in parse_qs(urlsplit(dsn).query)
        self._databases = databases.Database(
            "postgresql://",
            dsn=dsn,
            database=None,  # else `databases` passes an empty name, and asyncpg ignores the one of the DSN
            min_size=0,
            max_size=limits.connections,
            timeout=limits.connect,
            command_timeout=limits.command,
            max_inactive_connection_lifetime=0,
            server_settings={} if named else {"application_name": application_name},
        )
        self._begin = "BEGIN ISOLATION LEVEL {}; SET LOCAL idle_in_transaction_session_timeout = " + str(
            round(limits.idle_in_transaction * 1000)
        )
        self._permits = asyncio.Semaphore(limits.connections)
        self._open: set[Connection] = set()
        self._idle: list[tuple[Connection, float]] = []  # and since when
        self._background: set[asyncio.Task[Any]] = set()

    async def connect(self) -> None:
        """Prepares the pool; connections are opened when they are needed."""
        await self._databases.connect()

    async def disconnect(self) -> None:
        """Waits for what is under way, no longer than a statement may take, and closes every connection."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.command):
                for _ in range(self._limits.connections):
                    await self._permits.acquire()
        await asyncio.gather(*(connection.close(timeout=1) for connection in self._open))
        self._open.clear()
        self._idle.clear()
        await self._databases.disconnect()

    @property
    def connections(self) -> tuple[int, int]:
        """How many connections are open, and how many of them are lent out."""
        return len(self._open), len(self._open) - len(self._idle)

    async def fetch_one(self, query: str, *args: Any) -> Row | None:
        return await _retried(lambda: self._alone(Connection.fetch_one, query, *args))

    async def fetch_all(self, query: str, *args: Any) -> Sequence[Row]:
        return await _retried(lambda: self._alone(Connection.fetch_all, query, *args))

    async def execute(self, query: str, *args: Any) -> int:
        return await _retried(lambda: self._alone(Connection.execute, query, *args))

    async def _alone(self, run: Callable[..., Awaitable[T]], query: str, *args: Any) -> T:
        async with self._lent() as connection:
            return await run(connection, query, *args)

    async def transact(
        self, work: Callable[[Connection], Awaitable[T]], *, isolation: Isolation = "read committed"
    ) -> T:
        """Runs `work` in one transaction and commits it, again from the start when it lost against another one.

        So `work` may touch nothing but its connection. Raises DatabaseUnavailable; what `work` raises rolls back.
        """

        async def attempt() -> T:
            async with self.transaction(isolation=isolation) as connection:
                return await work(connection)

        return await _retried(attempt)

    @contextlib.asynccontextmanager
    async def transaction(self, *, isolation: Isolation = "read committed") -> AsyncIterator[Connection]:
        """One attempt at a transaction: commits at the end of the block, rolls back when the block raises."""
        async with self._lent() as connection:
            await connection.command(self._begin.format(isolation))
            yield connection
            if await connection.command("COMMIT") != "COMMIT":
                raise TransactionAborted("A statement of the transaction had failed.")

    @contextlib.asynccontextmanager
    async def _lent(self) -> AsyncIterator[Connection]:
        connection = await self._take()
        try:
            yield connection
        except BaseException:
            self._in_background(self._clean(connection))
            raise
        self._give_back(connection)

    async def _take(self) -> Connection:
        """A connection, with the permit to use it. Nothing awaits between getting either and having it returned."""
        if not self._permits.locked():  # so that this does not wait, and needs no timer
            await self._permits.acquire()
            if connection := self._reused():
                return connection
            self._permits.release()
        try:
            async with asyncio.timeout(self._limits.acquire):
                await self._permits.acquire()
                return self._reused() or await self._opened()
        except TimeoutError:
            raise DatabaseUnavailable("No database connection was to be had in time.") from None

    def _reused(self) -> Connection | None:
        fresh = asyncio.get_running_loop().time() - self._limits.idle
        while self._idle:
            connection, since = self._idle.pop()
            if connection.is_open and since >= fresh:
                return connection
            self._drop(connection)
        return None

    async def _opened(self) -> Connection:
        """Opens a connection in a task of its own.

        `databases` ties a connection to the task that acquires it, and this one ends at once; and when the request
        gives up meanwhile, the connection is there for the next one.
        """
        opening = self._in_background(self._open_one())
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._adopt)
            raise

    async def _open_one(self) -> Connection:
        try:
            connection = Connection((await self._databases.connection().__aenter__()).raw_connection)
        except BaseException as error:
            self._permits.release()
            if isinstance(error, (*OUTAGES, asyncpg.PostgresError, asyncpg.InterfaceError)):
                raise DatabaseUnavailable(f"The database cannot be reached: {error!r}.") from error
            raise
        self._open.add(connection)
        return connection

    def _adopt(self, opening: asyncio.Task[Connection]) -> None:
        if not opening.cancelled() and not opening.exception():
            self._give_back(opening.result())

    async def _clean(self, connection: Connection) -> None:
        await connection.clean()
        self._give_back(connection)

    def _give_back(self, connection: Connection) -> None:
        if connection.is_open:
            self._idle.append((connection, asyncio.get_running_loop().time()))
        else:
            self._drop(connection)
        self._permits.release()

    def _drop(self, connection: Connection) -> None:
        connection.terminate()
        self._open.discard(connection)

    def _in_background(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Starts what no request can cancel."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


async def _retried(attempt: Callable[[], Awaitable[T]]) -> T:
    """Tries again what certainly had no effect, after ever longer pauses of random length, lest the same ones meet."""
    longest = 0.001
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(*RETRYABLE):
            return await attempt()
        await asyncio.sleep(random.uniform(0, longest))
        longest = min(longest * 2, 0.1)
    return await attempt()
