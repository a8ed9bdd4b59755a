"""What verifiers and clients read about us: the keys, the metadata, and this document."""

from urllib.parse import urlsplit

from idp.endpoints.metadata import well_known_paths
from idp.endpoints.openapi.builders import Json, array, operation, query, record, response, schema
from idp.protocol.status import LIST_TYPE
from keys.algorithms import ALGORITHMS

_TAG = "Discovery"
_BASE64URL = {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}
_URI = {"type": "string", "format": "uri"}
_WORDS = array({"type": "string"})

SCHEMAS: Json = {
    "JwkSet": record(
        {"keys": array(schema("Jwk"), minItems=1)},
        description="The keys by which tokens verify (RFC 7517 §5). The next key is in it before it signs.",
    ),
    "Jwk": record(
        {
            "kty": {"enum": ["RSA", "EC", "OKP"]},
            "use": {"const": "sig"},
            "alg": {"enum": list(ALGORITHMS), "description": "The one algorithm that this key is for."},
            "kid": {"type": "string", "minLength": 1, "description": "Names the key: its thumbprint (RFC 7638)."},
            "n": {**_BASE64URL, "description": "RSA: the modulus."},
            "e": {**_BASE64URL, "description": "RSA: the exponent."},
            "crv": {"type": "string", "description": "EC, OKP: the curve."},
            "x": {**_BASE64URL, "description": "EC, OKP: the public key, or its x."},
            "y": {**_BASE64URL, "description": "EC: its y."},
        },
        optional=["n", "e", "crv", "x", "y"],
        description="The public half of a signing key.",
    ),
    "Metadata": record(
        {
            "issuer": {**_URI, "description": "The `iss` of every token, letter by letter."},
            "token_endpoint": _URI,
            "jwks_uri": _URI,
            "revocation_endpoint": _URI,
            "revocation_endpoint_auth_methods_supported": _WORDS,
            "revocation_endpoint_auth_signing_alg_values_supported": _WORDS,
            "introspection_endpoint": _URI,
            "introspection_endpoint_auth_methods_supported": _WORDS,
            "introspection_endpoint_auth_signing_alg_values_supported": _WORDS,
            "grant_types_supported": _WORDS,
            "response_types_supported": _WORDS,
            "token_endpoint_auth_methods_supported": _WORDS,
            "token_endpoint_auth_signing_alg_values_supported": _WORDS,
            "dpop_signing_alg_values_supported": _WORDS,
            "request_uri_parameter_supported": {"type": "boolean"},
            "service_documentation": _URI,
        },
        description="Authorization server metadata (RFC 8414): what works, and nothing else.",
    ),
}

_NOT_MODIFIED = response("It is still what `If-None-Match` names.", carries=("Cache-Control", "ETag"))
_IF_NONE_MATCH: Json = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The `ETag` of what you have.",
    "schema": {"type": "string"},
}

_JWKS = operation(
    "getJwks",
    _TAG,
    "The public keys",
    "Keep them for `max-age` seconds, and ask again when a token names a `kid` that you do not know.",
    parameters=[
        query("verifier", "What you call yourself, for whoever rotates the keys.", {"type": "string"}),
        _IF_NONE_MATCH,
    ],
    answers={200: response("The keys.", schema("JwkSet"), carries=("Cache-Control", "ETag")), 304: _NOT_MODIFIED},
    refusals=[503],
)

_STATUS_LIST = operation(
    "getStatusList",
    _TAG,
    "Which tokens were revoked",
    "A Token Status List (draft-ietf-oauth-status-list). The claim `status` of an access token names it, if there is "
    "one. Keep it for `max-age` seconds, and never beyond its `exp`.",
    parameters=[
        {
            "name": "list_id",
            "in": "path",
            "required": True,
            "description": "Which list.",
            "schema": {"type": "integer", "minimum": 0},
        },
        _IF_NONE_MATCH,
    ],
    answers={
        200: response(
            "The list, as a signed JWT.",
            {"type": "string"},
            media_type=f"application/{LIST_TYPE}",
            carries=("Cache-Control", "ETag"),
        ),
        304: _NOT_MODIFIED,
    },
    refusals=[404, 501, 503],
)

_DOCUMENT = operation(
    "getOpenApi",
    _TAG,
    "This document",
    "OpenAPI 3.1.",
    parameters=[_IF_NONE_MATCH],
    answers={
        200: response("The document.", {"type": "object"}, carries=("Cache-Control", "ETag")),
        304: _NOT_MODIFIED,
    },
)

_DOCS = operation(
    "getDocs",
    _TAG,
    "This document, to be read and tried",
    "Swagger UI, served from here: it loads nothing from anywhere else.",
    answers={200: response("The page.", {"type": "string"}, media_type="text/html")},
)


def _metadata(operation_id: str, summary: str) -> Json:
    described = operation(
        operation_id,
        _TAG,
        summary,
        "The same document at each well-known address (RFC 8414 §3.1, OpenID Connect Discovery §4).",
        answers={200: response("The metadata.", schema("Metadata"), carries=("Cache-Control",))},
    )
    return {"get": described}


_WELL_KNOWN = {
    "oauth-authorization-server": _metadata("getServerMetadata", "Metadata, where OAuth clients look"),
    "openid-configuration": _metadata("getOpenIdConfiguration", "Metadata, where OpenID Connect clients look"),
}
_BELOW_ISSUER = _metadata("getOpenIdConfigurationBelowIssuer", "Metadata, where OpenID Connect wants it")

PATHS: Json = {
    "/.well-known/jwks.json": {"get": _JWKS},
    "/status/{list_id}": {"get": _STATUS_LIST},
    "/openapi.json": {"get": _DOCUMENT},
    "/docs": {"get": _DOCS},
}


def metadata_paths(issuer: str) -> tuple[Json, Json]:
    """Where the metadata is: what is below the issuer, and what is outside, because the issuer has a path itself."""
    path = urlsplit(issuer).path
    below: Json = {}
    outside: Json = {}
    for place in well_known_paths(issuer):
        name = place.removeprefix(path).split("/")[2]
        if not path:
            below[place] = _WELL_KNOWN[name]
        elif place.startswith(f"{path}/"):
            below[place.removeprefix(path)] = _BELOW_ISSUER
        else:
            outside[place] = _WELL_KNOWN[name]
    return below, outside
