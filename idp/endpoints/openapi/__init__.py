"""The OpenAPI document: what the service answers, written by hand and held to the truth by tests.

Each file describes what one endpoint or family of endpoints takes and answers; `builders` has the vocabulary.
"""

from importlib.metadata import version
from urllib.parse import urlsplit

from idp.endpoints.openapi import clients, discovery, issued, keys, operations, people, problems, token
from idp.endpoints.openapi.builders import Json, header
from idp.endpoints.openapi.security import security_schemes

_DESCRIPTION = """\
An identity provider: it authenticates people and machines, and signs access tokens (RFC 9068) that any service
verifies offline, with the keys of the JWK Set.

To try it here, press **Authorize**, sign in as a *person* or a *machine*, and execute any operation.

Refusals are problem details (RFC 9457), at the token endpoint OAuth errors (RFC 6749 §5.2). Every answer has an
`X-Request-Id`, under which the operator finds it in the log.
"""

_TAGS = {
    "Tokens": "Where clients get access tokens.",
    "People": "Your own account, and registering others.",
    "Discovery": "What clients and verifiers need to know, open to everybody.",
    "Administration: people": "Needs a token with the scope `idp:admin` whose audience is the issuer alone.",
    "Administration: clients": "What may ask for tokens, and how. Needs such a token too.",
    "Administration: keys and audit": "What signs, and what happened. Needs such a token too.",
    "Health": "For load balancers and monitoring.",
}

_HEADERS: Json = {
    "X-Request-Id": header("The id of this request.", {"type": "string", "pattern": "^[0-9a-f]{16}$"}),
    "Cache-Control": header("How long it may be kept.", {"type": "string"}),
    "ETag": header("Names this version, for `If-None-Match`.", {"type": "string", "pattern": '^"[^"]+"$'}),
    "WWW-Authenticate": header("The challenge: how to authenticate, and what was wrong.", {"type": "string"}),
    "DPoP-Nonce": {
        **header("What the next DPoP proof must hold. There when the last one lacks it.", {"type": "string"}),
        "required": False,
    },
    "Retry-After": header("The seconds to wait.", {"type": "integer", "minimum": 1}),
    "Allow": header("The methods that there are.", {"type": "string"}),
}


def openapi(issuer: str) -> Json:
    """The document for the service of this name."""
    below, outside = discovery.metadata_paths(issuer)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "idp",
            "version": version("idp"),
            "summary": "Tokens for people and machines.",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": issuer}],
        "tags": [{"name": name, "description": description} for name, description in _TAGS.items()],
        "paths": {
            **token.PATHS,
            **issued.PATHS,
            **people.PATHS,
            **discovery.PATHS,
            **below,
            **clients.PATHS,
            **keys.PATHS,
            **operations.PATHS,
            **{path: _outside(item, issuer) for path, item in (outside | operations.HEALTH_PATHS).items()},
        },
        "components": {
            "schemas": {
                name: kind
                for part in (token, issued, people, discovery, clients, keys, operations, problems)
                for name, kind in part.SCHEMAS.items()
            },
            "responses": problems.RESPONSES,
            "headers": _HEADERS,
            "securitySchemes": security_schemes(issuer),
        },
    }


def _outside(item: Json, issuer: str) -> Json:
    """A path that stays where it is: an issuer's own path is not before it."""
    parts = urlsplit(issuer)
    return {"servers": [{"url": f"{parts.scheme}://{parts.netloc}"}], **item} if parts.path else item
