"""The key table in memory, with the promises of PostgreSQL that the life of keys relies on: transactions, one lock,
the constraints of the table, and one clock, which may be set wrong."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TypeVar

from idp.protocol.audit import AuditEvent
from idp.signing.ports import KeyTables
from idp.store.database import DatabaseUnavailable
from idp.store.jwks_readers import Reader
from keys.keyring import StoredKey
from keys.schedule import Lifetime
from keys.sealing import Sealed
from tests.keys.steps import step

T = TypeVar("T")
Rows = Mapping[str, StoredKey]
IDLE_IN_TRANSACTION = 10.0
"""Seconds after which the server ends the transaction of a paused process, as `idp.store.database` asks it to."""


@dataclass(slots=True)
class Time:
    """The true time, in POSIX seconds."""

    now: float = 1_800_000_000.0


@dataclass(slots=True)
class Database:
    """The server. `ahead` is by how much its clock is; `on_commit` is told of every change."""

    time: Time
    ahead: float = 0.0
    rows: Rows = field(default_factory=dict)
    holder: "Transaction | None" = None
    on_commit: Callable[[Rows, Rows, bool], None] = lambda before, after, forced: None

    @property
    def now(self) -> float:
        return self.time.now + self.ahead

    def commit(self, rows: Rows, *, forced: bool) -> None:
        """`forced`: somebody demanded that another key sign at once."""
        check_constraints(rows.values())
        before, self.rows = self.rows, dict(rows)
        self.on_commit(before, self.rows, forced)


def check_constraints(keys: Iterable[StoredKey]) -> None:
    """The CHECKs and the exclusion constraint of the migration."""
    lives = [key.lifetime for key in keys]
    for life in lives:
        assert life.publish_at <= life.sign_from <= life.sign_until <= life.verify_until, f"CHECK refuses {life}"
    spans = sorted(
        (life.sign_from, life.sign_until)
        for life in lives
        if life.revoked_at is None and life.sign_from < life.sign_until
    )
    for (_, end), (begin, _) in pairwise(spans):
        assert end <= begin, f"two keys would sign at one instant: {spans}"


@dataclass(slots=True)
class Transaction:
    """An open transaction. Whoever holds the lock is alone, so it may work on a copy."""

    database: Database
    rows: dict[str, StoredKey] = field(default_factory=dict)
    touched_at: float = 0.0

    def __post_init__(self) -> None:
        self.touched_at = self.database.time.now

    @property
    def alive(self) -> bool:
        return self.database.time.now - self.touched_at <= IDLE_IN_TRANSACTION

    def lock(self) -> None:
        holder = self.database.holder
        if holder is not None and holder is not self and holder.alive:
            raise DatabaseUnavailable("The lock is held by another one.")
        self.database.holder = self
        self.rows = dict(self.database.rows)

    def end(self) -> None:
        if self.database.holder is self:
            self.database.holder = None


@dataclass(slots=True)
class Link:
    """How a process reaches the database. `latency` is what a question and its answer take, in seconds.

    `forces`: what is under way on it is `now` or a revocation.
    """

    database: Database
    cut: bool = False
    latency: tuple[float, float] = (0.0, 0.0)
    forces: bool = False
    read_at: float = float("-inf")
    """When the key table was read over it last, in true time."""

    async def cross(self, label: str, transaction: Transaction | None) -> None:
        """To the server and back; the world may change meanwhile."""
        await step(label)
        if self.cut:
            raise DatabaseUnavailable("The network is down.")
        if transaction is not None:
            if not transaction.alive:
                raise DatabaseUnavailable("The transaction was idle for too long.")
            transaction.touched_at = self.database.time.now


@dataclass(slots=True)
class Keys:
    """`signing_keys`, within a transaction or without."""

    link: Link
    transaction: Transaction | None

    async def all(self) -> Sequence[StoredKey]:
        await self.link.cross("all", self.transaction)
        self.link.read_at = self.link.database.time.now
        rows = self.transaction.rows if self.transaction else self.link.database.rows
        found = sorted(rows.values(), key=lambda key: (key.lifetime.sign_from, key.kid))
        await step("answered")  # the rows are on their way, and may grow old on it
        return found

    async def lock(self) -> None:
        (await self._reached("lock")).lock()

    async def add(self, key: StoredKey) -> None:
        rows = (await self._reached("add")).rows
        assert key.kid not in rows, "unique_violation"
        rows[key.kid] = key

    async def change(self, kid: str, life: Lifetime) -> None:
        await self._update("change", [kid], lambda key: replace(key, lifetime=life))

    async def mark_asked(self, kid: str, at: float) -> None:
        await self._update("mark_asked", [kid], lambda key: replace(key, asked_at=at))

    async def destroy_private(self, kids: Sequence[str]) -> None:
        await self._update("destroy_private", kids, lambda key: replace(key, sealed=None))

    async def reseal(self, kid: str, sealed: Sealed) -> None:
        await self._update("reseal", [kid], lambda key: replace(key, sealed=sealed))

    async def _update(self, label: str, kids: Sequence[str], change: Callable[[StoredKey], StoredKey]) -> None:
        rows = (await self._reached(label)).rows
        rows.update({kid: change(rows[kid]) for kid in kids})

    async def _reached(self, label: str) -> Transaction:
        assert self.transaction is not None, "the table is changed in transactions alone"
        await self.link.cross(label, self.transaction)
        return self.transaction


@dataclass(slots=True)
class Audit:
    """The audit log, which nobody reads here."""

    link: Link
    transaction: Transaction | None

    async def add(self, *events: AuditEvent) -> None:
        await self.link.cross("audit", self.transaction)

    async def tokens_alive(self, kid: str, seconds: float) -> Mapping[str, int]:
        return {}


class Readers:
    """Verifiers that are awaited never come: rotations are put off as long as they may be."""

    async def all(self) -> Sequence[Reader]:
        return []

    async def save(self, readers: Sequence[Reader], *, bound: int) -> None:
        raise AssertionError("nobody reads by name here")


@dataclass(slots=True)
class Tables:
    """What one instance sees of the database."""

    link: Link
    transaction: Transaction | None = None

    @property
    def signing_keys(self) -> Keys:
        return Keys(self.link, self.transaction)

    @property
    def audit(self) -> Audit:
        return Audit(self.link, self.transaction)

    @property
    def jwks_readers(self) -> Readers:
        return Readers()

    async def now(self) -> float:
        there, back = self.link.latency
        await self.link.cross("now", self.transaction)
        self.link.database.time.now += there
        now = self.link.database.now
        self.link.database.time.now += back
        await step("told")
        return now

    async def transact(self, work: Callable[[KeyTables], Awaitable[T]]) -> T:
        """COMMIT is two steps: a crash before the first undoes all, one after it only loses the answer."""
        await self.link.cross("begin", None)
        transaction = Transaction(self.link.database)
        try:
            outcome = await work(Tables(self.link, transaction))
            await self.link.cross("commit", transaction)
            self.link.database.commit(transaction.rows, forced=self.link.forces)
        finally:
            transaction.end()
        await step("committed")
        return outcome
