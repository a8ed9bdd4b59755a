"""What the commands change people and clients with: the same directory as the service's, on a short connection."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from idp.clock import since_boot
from idp.directory.clients import ClientDirectory
from idp.directory.passwords import Passwords
from idp.directory.people import People
from idp.directory.trusted_issuers import IssuerDirectory
from idp.passwords.hashing import PasswordHasher, Peppers
from idp.passwords.pool import HashPool
from idp.settings import Settings
from idp.signing.operations import KeyOperations
from idp.store import Store, schema
from idp.store.database import Database, Limits
from keys.sealing import Sealer


@dataclass(frozen=True, slots=True)
class Directories:
    """An open directory."""

    store: Store
    people: People
    clients: ClientDirectory
    issuers: IssuerDirectory
    keys: KeyOperations
    cached_for: int
    """Seconds for which verifiers may keep the JWK Set, shared caches included."""


@contextlib.asynccontextmanager
async def directories(settings: Settings) -> AsyncIterator[Directories]:
    """Opens the directory while the block runs. Raises SchemaMismatch, or what the database raises."""
    schema.check(await schema.read(settings.database_url), schema.code_revision())
    database = Database(settings.database_url, limits=Limits(connections=2, acquire=10, connect=10, command=60))
    await database.connect()
    pool = HashPool(settings.hash_concurrency, max_wait=60)
    store = Store(database)
    passwords = Passwords(
        store.users,
        PasswordHasher(Peppers.of(settings.password_peppers), settings.bcrypt_cost),
        pool,
        min_length=settings.password_min_length,
        ticker=since_boot,
    )
    try:
        yield Directories(
            store,
            People(store, passwords),
            ClientDirectory(store),
            IssuerDirectory(store, settings.issuer),
            KeyOperations(store, Sealer(settings.key_encryption_keys), settings.key_settings),
            settings.jwks_max_age + settings.shared_cache_ttl,
        )
    finally:
        await pool.close()
        await database.disconnect()
