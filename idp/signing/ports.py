"""What the life of keys needs of the database. `idp.store.Store` is all of it; the model test has one in memory."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from idp.protocol.audit import AuditEvent
from idp.store.jwks_readers import Reader
from keys.keyring import StoredKey
from keys.schedule import Lifetime
from keys.sealing import Sealed

T = TypeVar("T")


class KeyTable(Protocol):
    """The signing keys; see `idp.store.signing_keys`."""

    async def all(self) -> Sequence[StoredKey]: ...
    async def lock(self) -> None: ...
    async def add(self, key: StoredKey) -> None: ...
    async def change(self, kid: str, life: Lifetime) -> None: ...
    async def mark_asked(self, kid: str, at: float) -> None: ...
    async def destroy_private(self, kids: Sequence[str]) -> None: ...
    async def reseal(self, kid: str, sealed: Sealed) -> None: ...


class KeyAudit(Protocol):
    """The audit log; see `idp.store.audit`."""

    async def add(self, *events: AuditEvent) -> None: ...
    async def tokens_alive(self, kid: str, seconds: float) -> Mapping[str, int]: ...


class ReaderTable(Protocol):
    """Who fetched the JWK Set; see `idp.store.jwks_readers`."""

    async def all(self) -> Sequence[Reader]: ...
    async def save(self, readers: Sequence[Reader], *, bound: int) -> None: ...


class KeyTables(Protocol):
    """The tables, each statement on its own or all in one transaction."""

    @property
    def signing_keys(self) -> KeyTable: ...
    @property
    def audit(self) -> KeyAudit: ...
    @property
    def jwks_readers(self) -> ReaderTable: ...
    async def now(self) -> float: ...


class KeyStore(KeyTables, Protocol):
    """The tables, and transactions over them."""

    async def transact(self, work: Callable[[KeyTables], Awaitable[T]]) -> T: ...
