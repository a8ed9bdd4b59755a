"""What lives as long as the service does: made from the settings, started in order, stopped in the reverse order."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from idp.audit import AuditQueue
from idp.clock import DatabaseClock
from idp.housekeeping import Housekeeping
from idp.metrics import Metrics
from idp.passwords.pool import HashPool
from idp.settings import Settings
from idp.signing.keeper import KeyKeeper
from idp.signing.operations import KeyOperations
from idp.signing.readers import JwksReaders
from idp.signing.server_secrets import NonceSecret, RefreshTokenSecret
from idp.status.indices import StatusIndices
from idp.store import Store
from idp.store.database import Database
from keys.keyring import Keyring
from keys.sealing import Sealer
from keys.signer import SignerThread


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one process."""

    database: Database
    store: Store
    clock: DatabaseClock
    signer: SignerThread
    keyring: Keyring
    operations: KeyOperations
    readers: JwksReaders
    keeper: KeyKeeper
    refresh_secret: RefreshTokenSecret
    nonce_secret: NonceSecret
    indices: StatusIndices | None
    housekeeping: Housekeeping
    pool: HashPool
    audit: AuditQueue
    metrics: Metrics

    @classmethod
    def of(cls, settings: Settings, *, workers: int = 1) -> "Parts":
        """Makes the parts of one of `workers` processes, which share the instance's bound on password hashes."""
        database = Database(settings.database_url)
        store = Store(database)
        clock = DatabaseClock(skew=settings.clock_skew)
        signer = SignerThread()
        sealer = Sealer(settings.key_encryption_keys)
        keyring = Keyring(sealer, signer, settings.keyring_bounds)
        operations = KeyOperations(store, sealer, settings.key_settings)
        readers = JwksReaders(store, clock)
        keeper = KeyKeeper(store, keyring, clock, operations, readers)
        return cls(
            database=database,
            store=store,
            clock=clock,
            signer=signer,
            keyring=keyring,
            operations=operations,
            readers=readers,
            keeper=keeper,
            refresh_secret=RefreshTokenSecret(store, sealer),
            nonce_secret=NonceSecret(store, sealer),
            indices=_indices(settings, store, clock),
            housekeeping=Housekeeping(store),
            pool=HashPool(max(1, settings.hash_concurrency // workers)),
            audit=AuditQueue(store.audit, clock),
            metrics=Metrics(),
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Starts the parts, and stops them in the reverse order: the last audit event is written before the
        database goes."""
        async with contextlib.AsyncExitStack() as stack:
            await self.database.connect()
            stack.push_async_callback(self.database.disconnect)
            self.signer.start()
            stack.push_async_callback(self.signer.stop)
            await self.keeper.start()
            stack.push_async_callback(self.keeper.stop)
            await self.refresh_secret.start()
            await self.nonce_secret.start()
            if self.indices:
                await self.indices.start()
                stack.push_async_callback(self.indices.stop)
            await self.housekeeping.start()
            stack.push_async_callback(self.housekeeping.stop)
            await self.audit.start()
            stack.push_async_callback(self.audit.stop)
            stack.push_async_callback(self.pool.close)
            yield

    def measure(self) -> None:
        self.metrics.depths(hashes=self.pool.queued + self.pool.running, audit=len(self.audit))


def _indices(settings: Settings, store: Store, clock: DatabaseClock) -> StatusIndices | None:
    if not settings.status_list:
        return None
    return StatusIndices(store.status_lists, clock, ttl=settings.access_token_ttl, offline=settings.offline_signing)
