"""One connection to PostgreSQL as it is lent out, and the names of what can go wrong with it."""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

T = TypeVar("T")
Row = asyncpg.Record
RawConnection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

OUTAGES = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TooManyConnectionsError,
    asyncpg.QueryCanceledError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.DiskFullError,
)
"""The errors that say more about the server than about the statement."""


class DatabaseUnavailable(Exception):  # noqa: N818 - a state of the world rather than an error of ours
    """The database did not answer in time, or not at all.

    If it was a COMMIT that got no answer, it may have happened. So whatever is asked again must bear being done twice.
    """


class Executor(Protocol):
    """Runs single statements: each on its own, or all in the one transaction that the executor stands for."""

    async def fetch_one(self, query: str, *args: Any) -> Row | None:
        """The first row."""

    async def fetch_all(self, query: str, *args: Any) -> Sequence[Row]:
        """All rows."""

    async def execute(self, query: str, *args: Any) -> int:
        """How many rows the statement touched."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A lent connection: an Executor whose statements run in the transaction that is open on it, if any."""

    raw: RawConnection

    async def fetch_one(self, query: str, *args: Any) -> Row | None:
        return await self._answer(self.raw.fetchrow, query, *args)

    async def fetch_all(self, query: str, *args: Any) -> Sequence[Row]:
        return await self._answer(self.raw.fetch, query, *args)

    async def execute(self, query: str, *args: Any) -> int:
        count = (await self.command(query, *args)).rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def command(self, query: str, *args: Any) -> str:
        """Runs the statement and gives the server's command tag."""
        return await self._answer(self.raw.execute, query, *args)

    @property
    def is_open(self) -> bool:
        try:
            return not self.raw.is_closed()
        except asyncpg.InterfaceError:  # asyncpg's pool has written a lost connection off already
            return False

    async def clean(self) -> None:
        """Ends what was left under way; a connection that cannot be cleaned is closed."""
        try:
            with contextlib.suppress(asyncpg.InFailedSQLTransactionError):
                await self.raw.execute("select")  # asyncpg holds it back until a cancelled statement has ended
            if self.raw.is_in_transaction():
                await self.raw.execute("ROLLBACK")
        except Exception:  # noqa: BLE001 - whatever went wrong, nobody may get this connection
            self.terminate()

    def terminate(self) -> None:
        """Closes it at once. asyncpg's pool may then open another one."""
        with contextlib.suppress(asyncpg.InterfaceError):  # likewise
            self.raw.terminate()

    async def close(self, *, timeout: float) -> None:  # noqa: ASYNC109 - asyncpg's own, with what it implies
        """Takes leave of the server, or closes the connection all the same."""
        try:
            await self.raw.close(timeout=timeout)
        except Exception:  # noqa: BLE001 - as above
            self.terminate()

    async def _answer(self, ask: Callable[..., Awaitable[T]], query: str, *args: Any) -> T:
        """Gives the many ways in which a database is not there one name."""
        try:
            return await ask(query, *args)
        except OUTAGES as error:
            if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                self.terminate()  # no longer the primary; a new connection may find the new one
            raise DatabaseUnavailable(f"The database is not available: {error!r}.") from error
        except asyncpg.InternalClientError as error:
            self.terminate()  # the server has said goodbye, and asyncpg has not seen the end of it yet
            raise DatabaseUnavailable("The connection to the database was lost.") from error
        except asyncpg.InterfaceError as error:
            if self.is_open:
                raise
            raise DatabaseUnavailable("The connection to the database was lost.") from error
