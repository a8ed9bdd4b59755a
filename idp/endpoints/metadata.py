"""Authorization server metadata (RFC 8414): exactly what works, at both well-known addresses."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import orjson
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from starlette.requests import Request
from starlette.responses import Response

from idp.protocol.client_authentication import METHODS
from idp_verifier.jwk import SUPPORTED_ALGORITHMS

MAX_AGE = 300


def metadata(issuer: str, grant_types: Iterable[str]) -> dict[str, Any]:
    """The metadata document. Raises ValueError if it breaks RFC 8414 §2."""
    document = {
        "issuer": issuer,
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "revocation_endpoint": f"{issuer}/revoke",
        "revocation_endpoint_auth_methods_supported": list(METHODS),
        "revocation_endpoint_auth_signing_alg_values_supported": list(SUPPORTED_ALGORITHMS),
        "introspection_endpoint": f"{issuer}/introspect",
        "introspection_endpoint_auth_methods_supported": [method for method in METHODS if method != "none"],
        "introspection_endpoint_auth_signing_alg_values_supported": list(SUPPORTED_ALGORITHMS),
        "grant_types_supported": list(grant_types),
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": list(METHODS),
        "token_endpoint_auth_signing_alg_values_supported": list(SUPPORTED_ALGORITHMS),
        "dpop_signing_alg_values_supported": list(SUPPORTED_ALGORITHMS),
        "request_uri_parameter_supported": False,
        "service_documentation": f"{issuer}/docs",
    }
    # Whether an issuer may be plain http is for the settings to say, not for this check.
    _Metadata({name: _secure(value) for name, value in document.items()}).validate()
    return document


def _secure(value: Any) -> Any:
    return value.replace("http://", "https://", 1) if isinstance(value, str) else value


class _Metadata(AuthorizationServerMetadata):
    """Authlib's checks, but for one: §2 demands response types, yet an issuer without `/authorize` has none."""

    def validate_response_types_supported(self) -> None:
        if not isinstance(self.get("response_types_supported"), list):
            raise ValueError('"response_types_supported" must be a list')  # noqa: TRY004 - as Authlib's others


class MetadataEndpoint:
    """Serves the document, made once."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._body = orjson.dumps(document)

    async def handle(self, _: Request) -> Response:
        headers = {"Cache-Control": f"public, max-age={MAX_AGE}"}
        return Response(self._body, headers=headers, media_type="application/json")


def well_known_paths(issuer: str) -> list[str]:
    """Where verifiers look: RFC 8414 §3.1 puts the well-known part before the issuer's path, OpenID Discovery §4
    after it; for an issuer without a path they are the same."""
    path = urlsplit(issuer).path
    names = ("oauth-authorization-server", "openid-configuration")
    return list(dict.fromkeys([f"/.well-known/{name}{path}" for name in names] + [f"{path}/.well-known/{names[1]}"]))
