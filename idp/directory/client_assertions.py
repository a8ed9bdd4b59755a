"""Clients that prove themselves by a key of their own: `private_key_jwt` (RFC 7523 §2.2, §3)."""

from dataclasses import dataclass

from idp.directory.key_sets import NOT_VERIFIED, KeySets
from idp.protocol.assertion import check_client_assertion
from idp.protocol.client import PRIVATE_KEY_JWT, Client
from idp.protocol.ports import Clock
from idp.protocol.signed_jwt import RefusedJwt, SignedJwt
from idp.store.used_ids import UsedIds


@dataclass(frozen=True, slots=True)
class ClientAssertions:
    """Accepts the assertions of clients, each once. `issuer` is our name, `skew` in seconds."""

    issuer: str
    key_sets: KeySets
    used_ids: UsedIds
    clock: Clock
    skew: float

    async def accept(self, client: Client | None, jwt: SignedJwt) -> None:
        """Raises RefusedJwt; TemporarilyUnavailableError or DatabaseUnavailable when it cannot be told.

        The id is used only after everything else is known to be good, so nobody but the client can use it up.
        """
        if client is None or client.token_endpoint_auth_method != PRIVATE_KEY_JWT:
            raise RefusedJwt(NOT_VERIFIED)
        await self.key_sets.verify(jwt, client.jwks, client.jwks_uri)
        until = check_client_assertion(jwt, client.client_id, self.issuer, now=self.clock(), skew=self.skew)
        if not await self.used_ids.use(f"client {client.client_id}", jwt.text("jti"), until):
            raise RefusedJwt("The assertion was used before: each is good once.")
