"""All SQL, and nothing but SQL: one file for each aggregate, columns always by name.

`Store` is the face of it: its parts run each statement on its own, and inside `transact` all in one transaction.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from idp.store.audit import AuditLog
from idp.store.clients import Clients
from idp.store.database import Connection, Database, Executor
from idp.store.jwks_readers import JwksReaders
from idp.store.login_tries import LoginTries
from idp.store.refresh_families import RefreshFamilies
from idp.store.revoked_tokens import RevokedTokens
from idp.store.schema import VERSION, SchemaVersion
from idp.store.server_secrets import ServerSecrets
from idp.store.signing_keys import SigningKeys
from idp.store.status_lists import StatusLists
from idp.store.trusted_issuers import TrustedIssuers
from idp.store.used_ids import UsedIds
from idp.store.users import Users

T = TypeVar("T")


class Aggregates:
    """The aggregates over one executor."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.audit = AuditLog(executor)
        self.clients = Clients(executor)
        self.jwks_readers = JwksReaders(executor)
        self.login_tries = LoginTries(executor)
        self.refresh_families = RefreshFamilies(executor)
        self.revoked_tokens = RevokedTokens(executor)
        self.server_secrets = ServerSecrets(executor)
        self.signing_keys = SigningKeys(executor)
        self.status_lists = StatusLists(executor)
        self.trusted_issuers = TrustedIssuers(executor)
        self.used_ids = UsedIds(executor)
        self.users = Users(executor)

    async def schema_version(self) -> SchemaVersion:
        """What the schema says of itself. There is one: a service does not start without."""
        row = await self.executor.fetch_one(VERSION)
        return SchemaVersion(row["version_num"], row["minimum_revision"]) if row else SchemaVersion(None)

    async def now(self) -> float:
        """The database's time, in POSIX seconds: the one clock that all instances share."""
        row = await self.executor.fetch_one("select extract(epoch from clock_timestamp())::float8 as now")
        assert row is not None
        return float(row["now"])


class Store(Aggregates):
    """The aggregates, and transactions over them."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._database = database

    async def transact(self, work: Callable[[Aggregates], Awaitable[T]]) -> T:
        """Runs `work` in one transaction, again from its start when it lost against another (see `Database`)."""

        async def bound(connection: Connection) -> T:
            return await work(Aggregates(connection))

        return await self._database.transact(bound)
