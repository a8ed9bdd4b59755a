"""`/admin/clients`."""

from idp.directory.clients import GRANT_TYPES
from idp.endpoints.openapi.builders import (
    Json,
    array,
    closed,
    link,
    nullable,
    operation,
    record,
    request_body,
    response,
    schema,
)
from idp.endpoints.openapi.paging import page, page_parameters
from idp.endpoints.openapi.problems import BY_BODY, BY_TOKEN
from idp.endpoints.openapi.security import ADMINISTRATOR
from idp.protocol.client_authentication import METHODS

_TAG = "Administration: clients"

_ID: Json = {
    "type": "string",
    "pattern": "^[!-9;-~]{1,200}$",
    "description": "Visible ASCII characters but the colon. Never like a UUID: it could be taken for a person.",
}
_SECRET: Json = {"type": "string", "minLength": 43, "description": "256 random bits, shown this once."}
_METHOD: Json = {"type": "string", "enum": list(METHODS), "description": "`none` makes a public client."}
_GRANT: Json = {"type": "string", "enum": list(GRANT_TYPES)}
_URIS: Json = array({"type": "string", "format": "uri"}, maxItems=100)

_METADATA: Json = {
    "client_id": _ID,
    "client_name": {"type": "string", "minLength": 1, "maxLength": 200, "description": "For people."},
    "token_endpoint_auth_method": _METHOD,
    "grant_types": array(_GRANT, maxItems=100),
    "scope": {"type": "string", "maxLength": 4096, "description": "What the client may ask for, separated by spaces."},
    "audiences": {**_URIS, "description": "The resource servers that its tokens may be for; the first is the default."},
    "redirect_uris": {**_URIS, "description": "Compared letter by letter. https, or loopback, or a private scheme."},
    "post_logout_redirect_uris": _URIS,
    "origins": {**_URIS, "description": "The web origins whose pages may ask for tokens (CORS)."},
    "introspect": {"type": "boolean", "description": "Whether it may introspect tokens of others."},
    "jwks": nullable({"type": "object", "description": "Its public keys, as a JWK Set (RFC 7517 §5)."}),
    "jwks_uri": nullable({"type": "string", "format": "uri", "description": "Where its public keys are."}),
    "dpop_bound_access_tokens": {"type": "boolean", "description": "Whether it must prove a key (RFC 9449 §5.2)."},
    "impersonate": {
        "type": "boolean",
        "description": "Whether it may exchange tokens for some that do not name it as actor (RFC 8693 §1.1).",
    },
    "resource_ids": {**_URIS, "description": "The resource servers that it is: it may exchange tokens for these."},
}
_DEFAULTS = {
    "client_name": "The `client_id` by default.",
    "token_endpoint_auth_method": (
        "`client_secret_basic` by default; `private_key_jwt` needs keys, `none` makes a public client."
    ),
    "grant_types": "By default `client_credentials`, or for a public client `authorization_code` and `refresh_token`.",
}
_EXAMPLE: Json = {
    "client_id": "nightly-report",
    "client_name": "Nightly report",
    "token_endpoint_auth_method": "client_secret_basic",
    "grant_types": ["client_credentials"],
    "scope": "orders:read",
    "audiences": ["https://orders.example.com"],
    "redirect_uris": [],
    "post_logout_redirect_uris": [],
    "origins": [],
    "introspect": False,
    "jwks": None,
    "jwks_uri": None,
    "dpop_bound_access_tokens": False,
    "impersonate": False,
    "resource_ids": [],
}
_EXAMPLE_SECRET = "nPrzNtgOhAYm1TkUS4WmZk3jV9Cq0b7yXo2LdE6sFwI"  # noqa: S105 - nobody's


def _new_member(name: str, kind: Json) -> Json:
    if name == "client_id":
        return kind
    return nullable(kind | ({"description": _DEFAULTS[name]} if name in _DEFAULTS else {}))


SCHEMAS: Json = {
    "Client": record(_METADATA, description="A client's metadata (RFC 7591 §2). Its secret is not among it."),
    "RegisteredClient": record(
        _METADATA | {"client_secret": _SECRET},
        optional=["client_secret"],
        description="The new client, and its secret if it uses one.",
    ),
    "ClientPage": page("clients", schema("Client"), {"type": ["string", "null"]}),
    "ClientRegistration": closed(
        {name: _new_member(name, kind) for name, kind in _METADATA.items()},
        required=["client_id"],
        description="What is absent or null gets its default.",
    ),
    "ClientSecret": record({"client_id": _ID, "client_secret": _SECRET}),
}

_CLIENT_ID: Json = {"name": "client_id", "in": "path", "required": True, "schema": _ID}
_LINKS: Json = {
    name: link(operation_id, description, client_id="$response.body#/client_id")
    for name, operation_id, description in (
        ("show", "showClient", "The client's metadata."),
        ("rotate", "rotateClientSecret", "Makes a new secret."),
        ("remove", "removeClient", "Removes the client."),
    )
}

PATHS: Json = {
    "/admin/clients": {
        "get": operation(
            "listClients",
            _TAG,
            "List clients",
            "Ordered by client_id, a page at a time.",
            security=ADMINISTRATOR,
            parameters=page_parameters({"type": "string"}),
            answers={200: response("A page of clients.", schema("ClientPage"))},
            refusals=[*BY_TOKEN, 422],
        ),
        "post": operation(
            "addClient",
            _TAG,
            "Register a client",
            "The secret of a client that uses one is in the answer, and never shown again.",
            security=ADMINISTRATOR,
            body=request_body(
                schema("ClientRegistration"),
                examples={
                    "a machine": {"client_id": "nightly-report", "scope": "orders:read"},
                    "a machine with keys": {
                        "client_id": "robot",
                        "token_endpoint_auth_method": "private_key_jwt",
                        "jwks_uri": "https://robot.example.com/jwks.json",
                    },
                    "a public client": {
                        "client_id": "web-shop",
                        "token_endpoint_auth_method": "none",
                        "grant_types": ["password"],
                        "origins": ["https://shop.example.com"],
                    },
                },
            ),
            answers={
                201: response(
                    "The client.",
                    schema("RegisteredClient"),
                    examples={"a machine": _EXAMPLE | {"client_secret": _EXAMPLE_SECRET}},
                    links=_LINKS,
                )
            },
            refusals=[*BY_TOKEN, *BY_BODY, 409],
        ),
    },
    "/admin/clients/{client_id}": {
        "parameters": [_CLIENT_ID],
        "get": operation(
            "showClient",
            _TAG,
            "Show a client",
            "Its metadata, not its secrets.",
            security=ADMINISTRATOR,
            answers={200: response("The client.", schema("Client"), examples={"a machine": _EXAMPLE})},
            refusals=[*BY_TOKEN, 404],
        ),
        "delete": operation(
            "removeClient",
            _TAG,
            "Remove a client",
            "It gets no more tokens, from a second later at the latest. Those that it has are good until they expire.",
            security=ADMINISTRATOR,
            answers={204: response("It is gone.")},
            refusals=[*BY_TOKEN, 404],
        ),
    },
    "/admin/clients/{client_id}/secret": {
        "parameters": [_CLIENT_ID],
        "post": operation(
            "rotateClientSecret",
            _TAG,
            "Make a new secret",
            "The one before works beside it for seven days, so that the client can be changed over. A client that is "
            "public, or has keys of its own, has none (422).",
            security=ADMINISTRATOR,
            answers={
                200: response(
                    "The new secret.",
                    schema("ClientSecret"),
                    examples={"secret": {"client_id": "nightly-report", "client_secret": _EXAMPLE_SECRET}},
                )
            },
            refusals=[*BY_TOKEN, 404, 422],
        ),
    },
}
