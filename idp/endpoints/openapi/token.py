"""`POST /token`."""

from idp.endpoints.openapi.builders import Json, array, operation, record, request_body, response, schema
from idp.endpoints.openapi.security import CLIENT
from idp.grants import GRANTS
from idp.protocol.assertion import CLIENT_ASSERTION_TYPE, JWT_BEARER
from idp.protocol.token_exchange import ACCESS_TOKEN, TOKEN_EXCHANGE, TOKEN_TYPES
from idp.protocol.tokens import BEARER, DPOP

_ERRORS = (
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "invalid_scope",
    "invalid_target",
    "invalid_dpop_proof",
    "use_dpop_nonce",
    "unauthorized_client",
    "unsupported_grant_type",
    "temporarily_unavailable",
)
_EXAMPLE = "eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJuaWdodGx5LXJlcG9ydCJ9.c2lnbmF0dXJl"

BY_ASSERTION: Json = {
    "client_assertion_type": {
        "type": "string",
        "default": "",
        "description": f"`private_key_jwt`: `{CLIENT_ASSERTION_TYPE}`.",
    },
    "client_assertion": {
        "type": "string",
        "default": "",
        "format": "password",
        "description": "`private_key_jwt`: a JWT that the client signed (RFC 7523 §2.2). Its `iss` and `sub` are the "
        "`client_id`, its `aud` is our issuer alone; it has a `jti`, and is good once.",
    },
}
"""The parameters by which a client with keys of its own authenticates."""

_REQUEST: Json = {
    "type": "object",
    "required": ["grant_type"],
    "properties": {
        "grant_type": {
            "type": "string",
            "enum": [grant.grant_type for grant in GRANTS],
            "description": "How the token is earned. The client must be registered for it.",
        },
        "username": {
            "type": "string",
            "default": "",
            "description": "`password`: the person's e-mail address or username.",
        },
        "password": {
            "type": "string",
            "default": "",
            "format": "password",
            "description": "`password`: the person's password.",
        },
        "refresh_token": {
            "type": "string",
            "default": "",
            "format": "password",
            "description": "`refresh_token`: the token that came with the last answer. It is good once.",
        },
        "subject_token": {
            "type": "string",
            "default": "",
            "format": "password",
            "description": "Token exchange (RFC 8693): the access token of ours that was sent to the client.",
        },
        "subject_token_type": {
            "type": "string",
            "enum": list(TOKEN_TYPES),
            "default": ACCESS_TOKEN,
            "description": "Token exchange: what `subject_token` is. Required there.",
        },
        "requested_token_type": {
            "type": "string",
            "enum": list(TOKEN_TYPES),
            "default": ACCESS_TOKEN,
            "description": "Token exchange: what is wanted. An access token of ours is both.",
        },
        "audience": array(
            {"type": "string"},
            default=[],
            description="Token exchange: as `resource`; what both name counts. May be repeated.",
        ),
        "assertion": {
            "type": "string",
            "default": "",
            "format": "password",
            "description": f"`{JWT_BEARER}`: the token of a trusted outside issuer. It stands for the client's "
            "credentials; `client_id` is needed only if it stands for several clients.",
        },
        "scope": {
            "type": "string",
            "default": "",
            "description": "Values separated by single spaces. Without it: all that the client is registered for, "
            "but `idp:admin`, which must be asked for by name.",
        },
        "resource": array(
            {"type": "string", "format": "uri"},
            default=[],
            description="Whom the token is for (RFC 8707); may be repeated. Without it: the client's first audience.",
        ),
        "client_id": {
            "type": "string",
            "default": "",
            "description": "The client, unless it is in the `Authorization` header.",
        },
        "client_secret": {
            "type": "string",
            "default": "",
            "format": "password",
            "description": "`client_secret_post`. Never together with the `Authorization` header.",
        },
        **BY_ASSERTION,
    },
    "if": {"properties": {"grant_type": {"const": "password"}}, "required": ["grant_type"]},
    "then": {"required": ["username", "password"]},
    "description": "Parameters that we do not know are ignored, empty ones count as absent (RFC 6749 §3.2). None but "
    "`resource` and `audience` may be repeated.",
}

SCHEMAS: Json = {
    "TokenRequest": _REQUEST,
    "TokenResponse": record(
        {
            "access_token": {
                "type": "string",
                "pattern": r"^[\w-]+\.[\w-]+\.[\w-]+$",
                "description": "A JWT (RFC 9068) that verifies with the keys of the JWK Set, without asking us.",
            },
            "token_type": {"enum": [BEARER, DPOP], "description": "By which scheme it is presented."},
            "expires_in": {"type": "integer", "minimum": 1, "description": "The seconds for which it is good."},
            "refresh_token": {
                "type": "string",
                "description": "For a person, where the client has the grant `refresh_token`: replaces the one before.",
            },
            "issued_token_type": {"enum": list(TOKEN_TYPES), "description": "Token exchange (RFC 8693 §2.2.1)."},
            "scope": {"type": "string", "description": "What was granted; absent when it is nothing."},
        },
        optional=["scope", "refresh_token", "issued_token_type"],
        description="A token (RFC 6749 §5.1).",
    ),
    "TokenError": record(
        {
            "error": {"type": "string", "enum": list(_ERRORS)},
            "error_description": {
                "type": "string",
                "pattern": r"^[\x20-\x21\x23-\x5B\x5D-\x7E]*$",
                "description": "For the developer, not for the person in front of the screen.",
            },
        },
        optional=["error_description"],
        description="A refusal (RFC 6749 §5.2).",
    ),
}

_PROOF: Json = {
    "name": "DPoP",
    "in": "header",
    "description": "A proof (RFC 9449), if the token is to be bound to a key. It holds the `DPoP-Nonce` of the answer "
    "before; who has none gets one with the refusal `use_dpop_nonce`.",
    "schema": {"type": "string", "pattern": r"^[\w-]+\.[\w-]+\.[\w-]+$"},
}


def refusal(description: str, error: str, detail: str, *carries: str) -> Json:
    return response(
        description,
        schema("TokenError"),
        carries=("Cache-Control", *carries),
        examples={error: {"error": error, "error_description": detail}},
    )


ANSWERS: dict[int, Json] = {
    200: response(
        "The token.",
        schema("TokenResponse"),
        carries=("Cache-Control", "DPoP-Nonce"),
        examples={
            "token": {"access_token": _EXAMPLE, "token_type": "Bearer", "expires_in": 900, "scope": "orders:read"},
        },
    ),
    400: refusal(
        "The request is malformed, or the grant, the scope or the resource is refused. A wrong username and a wrong "
        "password look alike.",
        "invalid_grant",
        "The username or password is wrong.",
        "DPoP-Nonce",
    ),
    401: refusal(
        "Client authentication failed.", "invalid_client", "Client authentication failed.", "WWW-Authenticate"
    ),
    405: refusal("The method was not POST.", "invalid_request", "This endpoint takes POST only.", "Allow"),
    413: refusal("The body is larger than 64 KiB.", "invalid_request", "The body must not be larger than 65536 bytes."),
    429: refusal(
        "Too many failed logins for this account or from this place.",
        "temporarily_unavailable",
        "Too many failed logins; try again later.",
        "Retry-After",
    ),
    503: refusal(
        "The service is busy, or cut off from its database.",
        "temporarily_unavailable",
        "The database cannot be reached; try again.",
        "Retry-After",
    ),
}

PATHS: Json = {
    "/token": {
        "post": operation(
            "issueToken",
            "Tokens",
            "Exchange a grant for an access token",
            "RFC 6749 §3.2. A client authenticates by `client_secret_basic` or `client_secret_post`, or with a key of "
            "its own by `private_key_jwt`; a public client (`none`) sends its `client_id` alone. If the operator has "
            "set a default client, a password request may leave out the client and even `grant_type`, as FastAPI's "
            "`OAuth2PasswordRequestForm` does.",
            security=CLIENT,
            parameters=[_PROOF],
            body=request_body(
                schema("TokenRequest"),
                media_type="application/x-www-form-urlencoded",
                examples={
                    "a person": {
                        "grant_type": "password",
                        "username": "ada@example.com",
                        "password": "correct horse battery staple",
                        "client_id": "web-shop",
                    },
                    "a machine": {
                        "grant_type": "client_credentials",
                        "client_id": "nightly-report",
                        "client_secret": "the secret that was shown once",
                        "scope": "orders:read",
                    },
                    "an API that was sent a token": {
                        "grant_type": TOKEN_EXCHANGE,
                        "client_id": "orders",
                        "client_secret": "the secret that was shown once",
                        "subject_token": _EXAMPLE,
                        "subject_token_type": ACCESS_TOKEN,
                        "audience": ["https://stock.example.com"],
                    },
                },
            ),
            answers=ANSWERS,
        )
    }
}
