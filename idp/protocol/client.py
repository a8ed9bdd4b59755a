"""A client (RFC 6749 §2) and what it may do; the names of its fields are those of RFC 7591 §2."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ADMIN_SCOPE = "idp:admin"
"""The scope of the admin API. It is never granted by default: a client asks for it by name."""
PRIVATE_KEY_JWT = "private_key_jwt"
"""The method by which a client signs an assertion with a key of its own (OpenID Connect Core §9)."""


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """One of the live secrets of a client. Random secrets of 256 bits need no slow hash: SHA-256 keeps them."""

    digest: bytes
    expires_at: float | None = None

    def matches(self, digest: bytes, now: float) -> bool:
        live = self.expires_at is None or now < self.expires_at
        return hmac.compare_digest(self.digest, digest) and live


def secret_digest(secret: str) -> bytes:
    """What is stored of a client secret."""
    return hashlib.sha256(secret.encode()).digest()


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client. `audiences` are the resource servers that its tokens may be for; `resource_ids` are those
    that it is itself (RFC 9728 §1.2), so that tokens for them are tokens that were sent to it.

    Its own public keys are in `jwks`, or where `jwks_uri` says. `dpop_bound_access_tokens` (RFC 9449 §5.2) means that
    it gets no other tokens; `may_impersonate`, that it may get tokens that do not name it as actor (RFC 8693 §1.1).
    """

    client_id: str
    name: str
    token_endpoint_auth_method: str
    grant_types: frozenset[str]
    scopes: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    secrets: tuple[ClientSecret, ...] = ()
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    may_introspect: bool = False
    jwks: Mapping[str, Any] | None = None
    jwks_uri: str | None = None
    dpop_bound_access_tokens: bool = False
    may_impersonate: bool = False
    resource_ids: tuple[str, ...] = ()

    @property
    def is_public(self) -> bool:
        """A public client has no secret to keep (RFC 6749 §2.1)."""
        return self.token_endpoint_auth_method == "none"  # noqa: S105 - the name of a method

    @property
    def uses_secret(self) -> bool:
        """Whether it proves itself by a secret that it shares with us."""
        return self.token_endpoint_auth_method in ("client_secret_basic", "client_secret_post")

    @property
    def may_refresh(self) -> bool:
        """Whether a person's authorization comes with a refresh token."""
        return "refresh_token" in self.grant_types

    def has_secret(self, secret: str, now: float) -> bool:
        """Whether `secret` is one of the live ones; every one of them is compared, so that time tells nothing."""
        digest = secret_digest(secret)
        return any([candidate.matches(digest, now) for candidate in self.secrets])  # noqa: C419
