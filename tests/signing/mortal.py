"""A process that is killed by kill -9 before a given statement of a change of keys.

    python -m tests.signing.mortal DSN

Reads lines like `rotate 7` and answers each with `killed`, or `lived` when the change has fewer statements.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from idp.protocol.audit import OPERATOR
from idp.signing.operations import KeyOperations
from idp.signing.ports import KeyTables
from idp.store import Aggregates, Store
from idp.store.database import Database, Executor, Row
from keys.schedule import KeySettings, RotationPolicy
from keys.sealing import Sealer, SealingKey

SEALER = Sealer([SealingKey(bytes(range(32)))])
SETTINGS = KeySettings(RotationPolicy(rotation_period=3600, publish_ahead=600, retention=940), alg="EdDSA")
T = TypeVar("T")


class Fuse:
    """Kills the process at the step of that number."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def burn(self) -> None:
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


class MortalExecutor:
    """Burns the fuse before each statement."""

    def __init__(self, executor: Executor, fuse: Fuse) -> None:
        self._executor = executor
        self._fuse = fuse

    async def fetch_one(self, query: str, *args: Any) -> Row | None:
        self._fuse.burn()
        return await self._executor.fetch_one(query, *args)

    async def fetch_all(self, query: str, *args: Any) -> Sequence[Row]:
        self._fuse.burn()
        return await self._executor.fetch_all(query, *args)

    async def execute(self, query: str, *args: Any) -> int:
        self._fuse.burn()
        return await self._executor.execute(query, *args)


class MortalStore(Store):
    """Burns the fuse before each statement, before COMMIT and after it."""

    def __init__(self, database: Database, fuse: Fuse) -> None:
        super().__init__(database)
        self._fuse = fuse

    async def transact(self, work: Callable[[Aggregates], Awaitable[T]]) -> T:
        async def mortal(tables: KeyTables) -> T:
            assert isinstance(tables, Aggregates)
            outcome = await work(Aggregates(MortalExecutor(tables.executor, self._fuse)))
            self._fuse.burn()
            return outcome

        outcome = await super().transact(mortal)
        self._fuse.burn()
        return outcome


async def _change(dsn: str, deed: str, steps: int) -> None:
    database = Database(dsn)
    await database.connect()
    keys = KeyOperations(MortalStore(database, Fuse(steps)), SEALER, SETTINGS)
    match deed:
        case "keep_up":
            await keys.keep_up()
        case "rotate":
            await keys.rotate(OPERATOR, immediate=True)
        case _:
            await keys.revoke(deed, OPERATOR)
    await database.disconnect()


def main(dsn: str) -> None:
    """Each change runs in a child of its own, which a fork makes in milliseconds."""
    for line in sys.stdin:
        deed, steps = line.split()
        child = os.fork()
        if child == 0:
            asyncio.run(_change(dsn, deed, int(steps)))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write("killed\n" if os.WIFSIGNALED(status) else "lived\n" if status == 0 else "failed\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
