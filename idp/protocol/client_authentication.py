"""How a client says who it is at the token, revocation and introspection endpoints (RFC 6749 §2.3)."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from idp.protocol.client import Client, ClientSecret, secret_digest
from idp.protocol.errors import InvalidClientError, InvalidRequestError

METHODS = ("client_secret_basic", "client_secret_post", "none")
"""The methods that work, by their registered names (RFC 7591 §2)."""

_STRANGER = Client("", "", "client_secret_basic", frozenset(), secrets=(ClientSecret(secret_digest("")),))


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """What a request presented; `method` is the one it used, whatever the client is registered for."""

    method: str
    client_id: str
    secret: str = field(default="", repr=False)


def presented_credentials(authorization: str | None, form: Mapping[str, str]) -> ClientCredentials | None:
    """Reads the credentials of a request; None when it names no client at all.

    Raises InvalidRequestError when two methods are used at once (§2.3), InvalidClientError when the header
    is not well formed.
    """
    basic = _basic(authorization)
    form_id, form_secret = form.get("client_id"), form.get("client_secret")
    if basic:
        if form_secret is not None:
            raise InvalidRequestError("Two client authentication methods in one request; use one of them.")
        if form_id is not None and form_id != basic.client_id:
            raise InvalidRequestError("client_id differs from the one in the Authorization header.")
        return basic
    if form_id is None:
        if form_secret is not None:
            raise InvalidRequestError("client_secret without client_id.")
        return None
    if form_secret is None:
        return ClientCredentials("none", form_id)
    return ClientCredentials("client_secret_post", form_id, form_secret)


def _basic(authorization: str | None) -> ClientCredentials | None:
    """Decodes HTTP Basic, whose halves are form-encoded before they are joined (§2.3.1).

    Swagger UI sends empty credentials for a client that it was not told: they count as absent.
    """
    if authorization is None:
        return None
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClientError("Unknown Authorization scheme at this endpoint; use Basic.")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
        client_id, colon, secret = decoded.partition(":")
        client_id, secret = unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except ValueError:
        raise InvalidClientError("The Authorization header is not well formed.") from None
    if not colon or "\0" in client_id + secret:
        raise InvalidClientError("The Authorization header is not well formed.")
    if not client_id and not secret:
        return None
    # An empty secret may be left out (§2.3.1): this is how Swagger UI names a public client.
    return ClientCredentials("client_secret_basic" if secret else "none", client_id, secret)


def is_authentic(client: Client | None, presented: ClientCredentials, now: float) -> bool:
    """Whether the presented credentials are the client's, by a method that the client is registered for.

    A confidential client may use Basic or the body as it likes (§2.3.1 demands Basic, the field uses both);
    `none` is for public clients alone, and a public client that sends a secret is mistaken about itself.
    An unknown client costs the same comparison.
    """
    if client is None:
        _STRANGER.has_secret(presented.secret, now)
        return False
    if client.is_public or presented.method == "none":
        return client.is_public and presented.method == "none"
    return client.has_secret(presented.secret, now)
