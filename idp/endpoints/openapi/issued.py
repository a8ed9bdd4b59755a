"""`POST /revoke` and `POST /introspect`: what can be done with a token once it is issued."""

from idp.endpoints.openapi.builders import Json, operation, record, request_body, response, schema
from idp.endpoints.openapi.security import CLIENT
from idp.endpoints.openapi.token import ANSWERS, BY_ASSERTION, refusal
from idp.protocol.tokens import BEARER, DPOP

_FORM = "application/x-www-form-urlencoded"

SCHEMAS: Json = {
    "TokenToCheck": {
        "type": "object",
        "required": ["token"],
        "properties": {
            "token": {"type": "string", "pattern": "^[!-~]+$", "description": "An access token or a refresh token."},
            "token_type_hint": {"type": "string", "description": "Not needed: tokens are told apart by their form."},
            "client_id": {"type": "string", "description": "The client, unless it is in the `Authorization` header."},
            "client_secret": {"type": "string", "format": "password", "description": "`client_secret_post`."},
            **BY_ASSERTION,
        },
    },
    "Introspection": record(
        {
            "active": {"type": "boolean", "description": "Whether the token is good now."},
            "token_type": {"enum": [BEARER, DPOP]},
            "scope": {"type": "string"},
            "client_id": {"type": "string"},
            "username": {"type": "string"},
            "sub": {"type": "string"},
            "aud": {"type": ["string", "array"], "items": {"type": "string"}},
            "iss": {"type": "string"},
            "exp": {"type": "integer"},
            "iat": {"type": "integer"},
            "jti": {"type": "string"},
            "auth_time": {"type": "integer"},
            "amr": {"type": "array", "items": {"type": "string"}},
            "roles": {"type": "array", "items": {"type": "string"}},
            "act": {"type": "object", "description": "Who acts for the subject (RFC 8693 §4.1)."},
            "cnf": record({"jkt": {"type": "string"}}, description="The key that it is bound to (RFC 9449 §6.2)."),
        },
        optional=[
            "token_type", "scope", "client_id", "username", "sub", "aud", "iss", "exp", "iat", "jti", "auth_time",
            "amr", "roles", "act", "cnf",
        ],
        description="What is known of a token (RFC 7662 §2.2).",
    ),
}  # fmt: skip

_REFUSALS = {status: ANSWERS[status] for status in (401, 405, 413, 503)}
_BAD = "The request is malformed, or this client may not ask this."

PATHS: Json = {
    "/revoke": {
        "post": operation(
            "revokeToken",
            "Tokens",
            "Give back a token",
            "RFC 7009. A refresh token ends with its family and the access tokens that go with it, an access "
            "token alone. A token that is none of ours, or has ended, counts as revoked.",
            security=CLIENT,
            body=request_body(schema("TokenToCheck"), media_type=_FORM, examples={"a token": {"token": "eyJhbGciOi"}}),
            answers={
                200: response("The revocation is durable.", carries=("Cache-Control",)),
                400: refusal(_BAD, "invalid_grant", "The token was issued to another client."),
                **_REFUSALS,
            },
        )
    },
    "/introspect": {
        "post": operation(
            "introspectToken",
            "Tokens",
            "Ask whether a token is good",
            "RFC 7662, for clients that were added with `--introspect`. Resource services can verify tokens "
            "offline; this is for those who must know of a revocation at once.",
            security=CLIENT,
            body=request_body(schema("TokenToCheck"), media_type=_FORM, examples={"a token": {"token": "eyJhbGciOi"}}),
            answers={
                200: response("What is known.", schema("Introspection"), carries=("Cache-Control",)),
                400: refusal(_BAD, "unauthorized_client", "This client is not registered for introspection."),
                **_REFUSALS,
            },
        )
    },
}
