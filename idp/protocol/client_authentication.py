"""How a client says who it is at the token, revocation and introspection endpoints (RFC 6749 §2.3)."""

import binascii
from collections.abc import Mapping
from dataclasses import field
from urllib.parse import unquote_plus

from idp.protocol.assertion import CLIENT_ASSERTION_TYPE
from idp.protocol.client import PRIVATE_KEY_JWT, Client, ClientSecret, secret_digest
from idp.protocol.errors import InvalidClientError, InvalidRequestError
from idp.protocol.record import record
from idp.protocol.signed_jwt import RefusedJwt, SignedJwt, read_jwt

METHODS = ("client_secret_basic", "client_secret_post", PRIVATE_KEY_JWT, "none")
"""The methods that work, by their registered names (RFC 7591 §2)."""

PARAMETERS = frozenset({"client_id", "client_secret", "client_assertion", "client_assertion_type"})
"""What a form may have to say about its client."""

_STRANGER = Client("", "", "client_secret_basic", frozenset(), secrets=(ClientSecret(secret_digest("")),))


@record
class ClientCredentials:
    """What a request presented; `method` is the one it used, whatever the client is registered for.

    An `assertion` has its `sub` for the `client_id`, and is still to be verified.
    """

    method: str
    client_id: str
    secret: str = field(default="", repr=False)
    assertion: SignedJwt | None = None


def presented_credentials(authorization: str | None, form: Mapping[str, str]) -> ClientCredentials | None:
    """Reads the credentials of a request; None when it names no client at all.

    Raises InvalidRequestError when two methods are used at once (§2.3), InvalidClientError when the header
    or the assertion is not well formed.
    """
    basic = _basic(authorization)
    asserted = "client_assertion" in form or "client_assertion_type" in form
    if (basic is not None) + asserted + ("client_secret" in form) > 1:
        raise InvalidRequestError("Two client authentication methods in one request; use one of them.")
    form_id = form.get("client_id")
    presented = _assertion(form) if asserted else basic
    if presented is None:
        return _posted(form_id, form.get("client_secret"))
    if form_id is not None and form_id != presented.client_id:
        raise InvalidRequestError("client_id differs from that of the credentials.")
    return presented


def _posted(client_id: str | None, secret: str | None) -> ClientCredentials | None:
    if client_id is None:
        if secret is not None:
            raise InvalidRequestError("client_secret without client_id.")
        return None
    if secret is None:
        return ClientCredentials("none", client_id)
    return ClientCredentials("client_secret_post", client_id, secret)


def _assertion(form: Mapping[str, str]) -> ClientCredentials:
    """An assertion (RFC 7521 §4.2), which names its client itself: `client_id` is not needed beside it."""
    kind, text = form.get("client_assertion_type"), form.get("client_assertion")
    if kind is None or text is None:
        raise InvalidRequestError("client_assertion and client_assertion_type belong together.")
    if kind != CLIENT_ASSERTION_TYPE:
        raise InvalidClientError(f"The only client_assertion_type here is {CLIENT_ASSERTION_TYPE}.")
    try:
        jwt = read_jwt(text)
        return ClientCredentials(PRIVATE_KEY_JWT, jwt.text("sub"), assertion=jwt)
    except RefusedJwt as refusal:
        raise InvalidClientError(str(refusal)) from None


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
        decoded = binascii.a2b_base64(encoded.strip(), strict_mode=True).decode()
        client_id, colon, secret = decoded.partition(":")
        if "%" in decoded or "+" in decoded:
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
    """Whether the presented id and secret are the client's, by a method that the client is registered for.

    A confidential client may use Basic or the body as it likes (§2.3.1 demands Basic, the field uses both);
    `none` is for public clients alone, and a public client that sends a secret is mistaken about itself.
    Who has a key uses no secret, not even one from before. An unknown client costs the same comparison.
    """
    if client is None:
        _STRANGER.has_secret(presented.secret, now)
        return False
    if client.is_public or presented.method == "none":
        return client.is_public and presented.method == "none"
    return client.uses_secret and client.has_secret(presented.secret, now)
