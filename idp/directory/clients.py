"""Registering clients (RFC 7591 §2 names their metadata) and changing their secrets."""

import secrets
from dataclasses import dataclass, replace
from uuid import UUID

from idp.directory.key_sets import keys_problem
from idp.protocol.assertion import JWT_BEARER
from idp.protocol.audience import is_resource_uri
from idp.protocol.audit import OPERATOR, Actor, AuditEvent
from idp.protocol.client import PRIVATE_KEY_JWT, Client, ClientSecret, secret_digest
from idp.protocol.client_authentication import METHODS
from idp.protocol.redirection import is_origin, redirect_uri_problem
from idp.protocol.scope import is_scope_token
from idp.protocol.token_exchange import TOKEN_EXCHANGE
from idp.store import Aggregates, Store

MIN_CHOSEN_SECRET = 32
SECRET_OVERLAP = 7 * 86400
"""Seconds for which the old secret works beside the new one."""

GRANT_TYPES = (
    "password", "client_credentials", "authorization_code", "refresh_token", TOKEN_EXCHANGE, JWT_BEARER,
)  # fmt: skip
"""What a client may be registered for; more than works yet, so that clients can be prepared."""


class InvalidClientMetadata(ValueError):  # noqa: N818 - the error code of RFC 7591 §3.2.2
    """The client cannot be registered like this; the sentence says why."""


class NoSuchClient(Exception):  # noqa: N818 - an answer rather than an error
    """There is no client with this client_id."""


def default_grant_types(*, public: bool) -> tuple[str, ...]:
    """What a client is registered for when nobody says: machines act for themselves, public clients for people."""
    return ("authorization_code", "refresh_token") if public else ("client_credentials",)


def new_secret() -> str:
    """A client secret of 256 random bits."""
    return secrets.token_urlsafe(32)


def validate(client: Client) -> None:
    """Raises InvalidClientMetadata for the first thing that is wrong with the client."""
    problem = _client_id_problem(client.client_id) or _metadata_problem(client) or _redirection_problem(client)
    problem = problem or keys_problem(client.jwks, client.jwks_uri)
    if problem:
        raise InvalidClientMetadata(problem)


def _metadata_problem(client: Client) -> str | None:
    """The sentence repeats nothing of what was given: it may be a secret in the wrong place (L1)."""
    has_keys = client.jwks is not None or client.jwks_uri is not None
    acts_for_itself = "client_credentials" in client.grant_types
    rules = {
        "The name must be 1 to 200 printable characters.": client.name.isprintable() and 1 <= len(client.name) <= 200,
        f"The authentication method must be one of: {', '.join(METHODS)}.": (
            client.token_endpoint_auth_method in METHODS
        ),
        f"A grant must be one of: {', '.join(GRANT_TYPES)}.": client.grant_types <= frozenset(GRANT_TYPES),
        "A public client has no secret to act for itself with; leave out client_credentials.": (
            not (client.is_public and acts_for_itself)
        ),
        "A public client cannot prove that a token was sent to it; leave out the token exchange.": (
            not (client.is_public and TOKEN_EXCHANGE in client.grant_types)
        ),
        f"{PRIVATE_KEY_JWT} needs the client's public keys: a JWK Set, or the URI of one.": (
            has_keys or client.token_endpoint_auth_method != PRIVATE_KEY_JWT
        ),
        "A scope consists of printable ASCII other than space, quote and backslash (RFC 6749 §3.3).": (
            all(map(is_scope_token, client.scopes))
        ),
        "An audience must be an absolute URI without a fragment.": all(map(is_resource_uri, client.audiences)),
        "A resource id must be an absolute URI without a fragment.": all(map(is_resource_uri, client.resource_ids)),
        "An origin must be like https://app.example.com.": all(map(is_origin, client.origins)),
    }
    return next((sentence for sentence, kept in rules.items() if not kept), None)


def _redirection_problem(client: Client) -> str | None:
    problems = map(redirect_uri_problem, (*client.redirect_uris, *client.post_logout_redirect_uris))
    return next(filter(None, problems), None)


def _client_id_problem(client_id: str) -> str | None:
    """VSCHAR (RFC 6749 A.1) but for the colon, which Basic cannot carry unencoded, and what is no segment of a path, as
    `/admin/clients/ID` needs; never like a user's `sub` (R21)."""
    visible = client_id.isascii() and client_id.isprintable() and not set(" :/") & set(client_id)
    if not visible or not 1 <= len(client_id) <= 200 or client_id in (".", ".."):
        return "A client_id has 1 to 200 visible ASCII characters other than the colon and the slash."
    if client_id == OPERATOR.id:
        return f"The client_id '{client_id}' is taken: the audit log knows the command line by that name."
    try:
        UUID(client_id)
    except ValueError:
        return None
    return "A client_id must not look like a UUID: it could be taken for a user's id (RFC 9700 §4.15)."


def checked_secret(chosen: str) -> str:
    """A secret that an operator chose. Raises InvalidClientMetadata."""
    if len(chosen) < MIN_CHOSEN_SECRET or not chosen.isascii() or not chosen.isprintable():
        raise InvalidClientMetadata(
            f"A chosen secret must have at least {MIN_CHOSEN_SECRET} printable ASCII characters: it is meant to be "
            "random. Leave it out to have one made."
        )
    return chosen


@dataclass(frozen=True, slots=True)
class ClientDirectory:
    """The registered clients."""

    store: Store

    async def add(self, client: Client, secret: str | None, by: Actor) -> None:
        """Registers a client. Raises InvalidClientMetadata or ClientIdTaken."""
        validate(client)
        live = (ClientSecret(secret_digest(secret)),) if secret else ()

        async def insert(store: Aggregates) -> None:
            await store.clients.add(replace(client, secrets=live))
            await store.audit.add(_event("client.created", client.client_id, by))

        await self.store.transact(insert)

    async def update(self, client: Client, by: Actor) -> None:
        """Replaces a client's metadata, not its secrets, unless it uses none any more.

        Raises InvalidClientMetadata or NoSuchClient.
        """
        validate(client)

        async def change(store: Aggregates) -> None:
            if not await store.clients.update(client):
                raise _unknown(client.client_id)
            if not client.uses_secret:
                await store.clients.remove_secrets(client.client_id)
            if not client.may_refresh:
                await store.refresh_families.revoke_all_of_client(client.client_id)
            await store.audit.add(_event("client.updated", client.client_id, by))

        await self.store.transact(change)

    async def rotate_secret(self, client_id: str, secret: str, by: Actor, *, overlap: int = SECRET_OVERLAP) -> float:
        """Adds a secret; the one before works for `overlap` seconds more. Gives the instant at which it ends.

        Raises NoSuchClient, or InvalidClientMetadata for a client that uses none.
        """

        async def change(store: Aggregates) -> float:
            client = await store.clients.find(client_id)
            if client is None:
                raise _unknown(client_id)
            if not client.uses_secret:
                kind = "is a public client" if client.is_public else "has keys of its own"
                raise InvalidClientMetadata(f"{client_id} {kind}; it has no secret.")
            ends = await store.now() + overlap
            await store.clients.expire_secrets(client_id, ends)
            await store.clients.add_secret(client_id, ClientSecret(secret_digest(secret)))
            await store.audit.add(_event("client.secret_rotated", client_id, by))
            return ends

        return await self.store.transact(change)

    async def remove(self, client_id: str, by: Actor) -> None:
        """Removes a client. Raises NoSuchClient."""

        async def delete(store: Aggregates) -> None:
            if not await store.clients.remove(client_id):
                raise _unknown(client_id)
            await store.audit.add(_event("client.removed", client_id, by))

        await self.store.transact(delete)


def _unknown(client_id: str) -> NoSuchClient:
    return NoSuchClient(f"There is no client {client_id}. `idp clients list` shows those there are.")


def _event(event: str, client_id: str, by: Actor) -> AuditEvent:
    return AuditEvent(event, "success", by.origin, actor=by.id, subject=client_id, client_id=client_id)
