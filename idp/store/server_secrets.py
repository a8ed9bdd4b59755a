"""Secrets of the service itself, sealed under the key-encryption key."""

from collections.abc import Mapping

from idp.store.database import Executor
from keys.sealing import Sealed


class ServerSecrets:
    """The table `server_secrets`."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def all(self) -> Mapping[str, Sealed]:
        """Every secret by its name."""
        rows = await self._executor.fetch_all("select name, sealed_by, sealed from server_secrets")
        return {row["name"]: Sealed(row["sealed_by"], row["sealed"]) for row in rows}

    async def add(self, name: str, sealed: Sealed) -> None:
        """Stores a secret, unless there is one of this name: the first instance that comes makes it."""
        await self._executor.execute(
            "insert into server_secrets (name, sealed_by, sealed) values ($1, $2, $3) on conflict (name) do nothing",
            name,
            sealed.sealed_by,
            sealed.box,
        )

    async def replace(self, name: str, old: Sealed, new: Sealed) -> bool:
        """Puts a secret that was sealed anew in the place of what was read; False when that is not there any more."""
        return (
            await self._executor.execute(
                "update server_secrets set sealed_by = $2, sealed = $3 where name = $1 and sealed = $4",
                name,
                new.sealed_by,
                new.box,
                old.box,
            )
            == 1
        )

    async def forget(self, name: str) -> None:
        """Removes a secret; the next start of the service makes another."""
        await self._executor.execute("delete from server_secrets where name = $1", name)
