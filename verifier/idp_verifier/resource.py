"""OAuth 2.0 Protected Resource Metadata (RFC 9728): how a client finds out where to get tokens for this service."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from idp_verifier.fetch import demand_secure
from idp_verifier.jwk import SUPPORTED_ALGORITHMS

_WELL_KNOWN = "/.well-known/oauth-protected-resource"
# Nothing to escape, be it in a quoted string (RFC 9110 §5.6.4) or in the routes of a framework.
_PLAIN_URL = re.compile(r"[A-Za-z0-9._~:/\[\]@!$&'()*+,;=-]+")

METADATA_HEADERS = {
    "Content-Type": "application/json",
    "Cache-Control": "public, max-age=3600",
    "Access-Control-Allow-Origin": "*",  # public by purpose, and clients may be pages of any site
}


@dataclass(frozen=True, slots=True)
class ProtectedResource:
    """What this service tells of itself (RFC 9728 §2).

    `resource` is its identifier, an https URL (http on loopback) and one of the audiences of its Verifier;
    `authorization_servers` are issuers whose tokens it accepts. What is empty is not said.

    With `dpop_signing_alg_values_supported` it says that it takes DPoP proofs, as every face does:
    `SUPPORTED_ALGORITHMS` are the ones that are accepted. With `dpop_bound_access_tokens_required` the faces accept
    no bearer tokens, in cookies neither.
    """

    resource: str
    authorization_servers: Sequence[str]
    scopes_supported: Sequence[str] = ()
    resource_name: str | None = None
    resource_documentation: str | None = None
    dpop_signing_alg_values_supported: Sequence[str] = ()
    dpop_bound_access_tokens_required: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError if `resource` cannot be an identifier, or proofs by an algorithm are not accepted."""
        demand_base(self.resource)
        if not set(SUPPORTED_ALGORITHMS).issuperset(self.dpop_signing_alg_values_supported):
            raise ValueError(f"the algorithms of proofs are among {', '.join(SUPPORTED_ALGORITHMS)}")

    @property
    def metadata_path(self) -> str:
        """Where the document is: the well-known part comes before the path of the resource (§3.1)."""
        path = urlsplit(self.resource).path
        return _WELL_KNOWN + (path if path != "/" else "")

    @property
    def metadata_url(self) -> str:
        return self.origin + self.metadata_path

    @property
    def origin(self) -> str:
        parts = urlsplit(self.resource)
        return f"{parts.scheme}://{parts.netloc}"

    def document(self) -> bytes:
        """The metadata as JSON (§3.2)."""
        members: dict[str, Any] = {
            "resource": self.resource,
            "authorization_servers": list(self.authorization_servers),
            "scopes_supported": list(self.scopes_supported),
            "bearer_methods_supported": ["header"],  # a cookie has no name there, and is not for clients anyway
            "resource_name": self.resource_name,
            "resource_documentation": self.resource_documentation,
            "dpop_signing_alg_values_supported": list(self.dpop_signing_alg_values_supported),
            "dpop_bound_access_tokens_required": self.dpop_bound_access_tokens_required,
        }
        return json.dumps({name: value for name, value in members.items() if value}).encode()


def demand_base(url: str) -> None:
    """Raises ValueError unless `url` is an https URL (http on loopback) without a query, with nothing to escape."""
    demand_secure(url, allow_http=False)
    if not _PLAIN_URL.fullmatch(url):
        raise ValueError(f"{url!r} has a query, or a character that a URL would have to escape")
