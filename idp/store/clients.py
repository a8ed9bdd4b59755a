"""Clients and their secrets."""

from collections.abc import Sequence

import asyncpg
import orjson

from idp.protocol.client import Client, ClientSecret
from idp.store.database import Executor, Row

_COLUMNS = """client_id, name, token_endpoint_auth_method, grant_types, scopes, audiences, redirect_uris,
    post_logout_redirect_uris, origins, may_introspect, jwks, jwks_uri, dpop_bound_access_tokens, may_impersonate,
    resource_ids"""

_SELECT = f"""select {_COLUMNS},
    array(select digest from client_secrets s where s.client_id = c.client_id order by created_at, digest) as digests,
    array(select extract(epoch from expires_at)::float8 from client_secrets s
          where s.client_id = c.client_id order by created_at, digest) as expiries
    from clients c"""


class ClientIdTaken(Exception):  # noqa: N818 - an answer rather than an error
    """There is a client with this client_id already."""


class Clients:
    """The tables `clients` and `client_secrets`."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def find(self, client_id: str) -> Client | None:
        row = await self._executor.fetch_one(f"{_SELECT} where c.client_id = $1", client_id)
        return _client(row) if row else None

    async def find_all(self, client_ids: Sequence[str]) -> Sequence[Client]:
        """Those that there are, in no order."""
        rows = await self._executor.fetch_all(f"{_SELECT} where c.client_id = any($1::text[])", client_ids)
        return [_client(row) for row in rows]

    async def page(self, *, after: str | None, limit: int) -> Sequence[Client]:
        """Clients in the order of their ids, those after `after`."""
        rows = await self._executor.fetch_all(
            f"{_SELECT} where $1::text is null or c.client_id > $1 order by c.client_id limit $2",
            after,
            limit,
        )
        return [_client(row) for row in rows]

    async def add(self, client: Client) -> None:
        """Stores a client with its secrets. Raises ClientIdTaken. For a transaction."""
        try:
            await self._executor.execute(
                f"""insert into clients ({_COLUMNS})
                    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)""",
                *_values(client),
            )
        except asyncpg.UniqueViolationError:
            raise ClientIdTaken(f"There is a client {client.client_id} already.") from None
        for secret in client.secrets:
            await self.add_secret(client.client_id, secret)

    async def update(self, client: Client) -> bool:
        """Replaces all but the secrets; False when there is no such client."""
        return (
            await self._executor.execute(
                """update clients set name = $2, token_endpoint_auth_method = $3, grant_types = $4, scopes = $5,
                   audiences = $6, redirect_uris = $7, post_logout_redirect_uris = $8, origins = $9,
                   may_introspect = $10, jwks = $11, jwks_uri = $12, dpop_bound_access_tokens = $13,
                   may_impersonate = $14, resource_ids = $15, updated_at = now()
               where client_id = $1""",
                *_values(client),
            )
            == 1
        )

    async def remove(self, client_id: str) -> bool:
        return await self._executor.execute("delete from clients where client_id = $1", client_id) == 1

    async def add_secret(self, client_id: str, secret: ClientSecret) -> None:
        """Adds a secret; one that is there already begins anew."""
        await self._executor.execute(
            """insert into client_secrets (client_id, digest, expires_at) values ($1, $2, to_timestamp($3::float8))
               on conflict (client_id, digest) do update
                   set created_at = excluded.created_at, expires_at = excluded.expires_at""",
            client_id,
            secret.digest,
            secret.expires_at,
        )

    async def expire_secrets(self, client_id: str, at: float) -> None:
        """Lets the newest secret end at `at`, and forgets all others. For a transaction.

        It keeps the client's row until the commit, so that two rotations at once leave two secrets and not three.
        """
        await self._executor.execute("select from clients where client_id = $1 for no key update", client_id)
        await self._executor.execute(
            """delete from client_secrets where client_id = $1 and (expires_at <= now() or created_at <
                   (select max(created_at) from client_secrets where client_id = $1))""",
            client_id,
        )
        await self._executor.execute(
            """update client_secrets set expires_at = least(expires_at, to_timestamp($2::float8))
               where client_id = $1""",
            client_id,
            at,
        )

    async def remove_secrets(self, client_id: str) -> None:
        await self._executor.execute("delete from client_secrets where client_id = $1", client_id)

    async def origins(self) -> frozenset[str]:
        """All web origins that clients registered."""
        rows = await self._executor.fetch_all("select distinct unnest(origins) as origin from clients")
        return frozenset(row["origin"] for row in rows)


def _values(client: Client) -> tuple[object, ...]:
    return (
        client.client_id,
        client.name,
        client.token_endpoint_auth_method,
        sorted(client.grant_types),
        list(client.scopes),
        list(client.audiences),
        list(client.redirect_uris),
        list(client.post_logout_redirect_uris),
        list(client.origins),
        client.may_introspect,
        orjson.dumps(client.jwks).decode() if client.jwks else None,
        client.jwks_uri,
        client.dpop_bound_access_tokens,
        client.may_impersonate,
        list(client.resource_ids),
    )


def _client(row: Row) -> Client:
    return Client(
        client_id=row["client_id"],
        name=row["name"],
        token_endpoint_auth_method=row["token_endpoint_auth_method"],
        grant_types=frozenset(row["grant_types"]),
        scopes=tuple(row["scopes"]),
        audiences=tuple(row["audiences"]),
        secrets=tuple(map(ClientSecret, row["digests"], row["expiries"])),
        redirect_uris=tuple(row["redirect_uris"]),
        post_logout_redirect_uris=tuple(row["post_logout_redirect_uris"]),
        origins=tuple(row["origins"]),
        may_introspect=row["may_introspect"],
        jwks=orjson.loads(row["jwks"]) if row["jwks"] else None,
        jwks_uri=row["jwks_uri"],
        dpop_bound_access_tokens=row["dpop_bound_access_tokens"],
        may_impersonate=row["may_impersonate"],
        resource_ids=tuple(row["resource_ids"]),
    )
