"""Families, and the people in them, without a login: for tests that need many."""

import time
from itertools import count
from typing import Any
from uuid import uuid4

from idp.directory.families import Families
from idp.directory.swaps import Swaps
from idp.protocol.authorization import Authentication, Authorization, Origin, TokenRequest
from idp.protocol.client import Client
from idp.protocol.errors import OAuth2Error
from idp.protocol.identity import parse_email
from idp.protocol.refresh import RefreshPolicy
from idp.protocol.user import User
from idp.signing.server_secrets import RefreshTokenSecret
from idp.store import Store
from idp.store.users import NewUser
from keys.sealing import Sealer, SealingKey
from tests.service import KEY_ENCRYPTION_KEY

SEALER = Sealer((SealingKey(KEY_ENCRYPTION_KEY),))
ORIGIN = Origin("192.0.2.1", "test")
REFRESHING = {
    "grant_types": frozenset({"password", "refresh_token"}),
    "scopes": ("read", "write"),
    "audiences": ("https://api.example.com",),
}
"""What a client is registered for whose people stay logged in."""
_DEFAULT = RefreshPolicy()
_numbers = count(1)


async def families_on(store: Store, policy: RefreshPolicy = _DEFAULT) -> Families:
    """The families of this database, as an instance with these settings sees them."""
    secret = RefreshTokenSecret(store, SEALER)
    await secret.start()
    return Families(store, Swaps(store.refresh_families, idle_ttl=policy.idle_ttl), secret, policy, time.time)


async def person(store: Store) -> User:
    """Somebody without a password."""
    return await store.users.add(NewUser(uuid4(), parse_email(f"somebody{next(_numbers)}@example.com"), None, None))


async def client_of(store: Store, **changes: Any) -> Client:
    """A public client that may refresh."""
    metadata: dict[str, Any] = {"name": "a client", "token_endpoint_auth_method": "none", **REFRESHING, **changes}
    client = Client(f"refreshing{next(_numbers)}", **metadata)
    await store.clients.add(client)
    return client


async def pass_time(store: Store, user: User, seconds: float) -> None:
    """Moves every family of somebody into the past."""
    await store.executor.execute(
        """update refresh_families set rotated_at = rotated_at - make_interval(secs => $1),
               idle_until = idle_until - make_interval(secs => $1), expires_at = expires_at - make_interval(secs => $1)
           where user_id = $2""",
        seconds,
        user.id,
    )


async def begun(families: Families, client: Client, user: User, *, dpop_jkt: str | None = None) -> str:
    """The first token of a new family."""
    request = TokenRequest(client, {}, (), ORIGIN, dpop_jkt=dpop_jkt)
    authentication = Authentication(user, time.time(), ("pwd",))
    authorization = Authorization(client, client.scopes, client.audiences, authentication)
    token = (await families.begin(request, authorization)).refresh_token
    assert token
    return token


async def presented(
    families: Families, client: Client, token: str, *, dpop_jkt: str | None = None, **form: str
) -> str | OAuth2Error:
    """What comes of presenting a token, and proving a key: its successor, or the refusal."""
    outcome = await families.present(TokenRequest(client, form, (), ORIGIN, dpop_jkt=dpop_jkt), token)
    if isinstance(outcome, OAuth2Error):
        return outcome
    assert outcome.refresh_token
    return outcome.refresh_token
