"""`/users` and `/admin/users`: people as they see themselves, and as administrators see them."""

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
from idp.endpoints.openapi.security import ADMINISTRATOR, PERSON, REGISTRAR
from idp.passwords.rules import MAX_LENGTH, MIN_LENGTH
from idp.protocol.identity import EMAIL_LENGTH, USERNAME_LENGTH

_OWN, _ADMIN = "People", "Administration: people"

_ROLE: Json = {
    "type": "string",
    "minLength": 1,
    "maxLength": 64,
    "pattern": "^[A-Za-z0-9_-]*[A-Za-z0-9][A-Za-z0-9_-]*$",
}
_PASSWORD: Json = {
    "type": "string",
    "format": "password",
    "minLength": MIN_LENGTH,
    "maxLength": MAX_LENGTH,
    "description": "Hard to guess, and not made of the account's own words. The operator sets the least length, "
    "15 by default. No other rules.",
}
_REGISTRATION: Json = {
    "email": {"type": "string", "format": "email", "minLength": 1, "maxLength": EMAIL_LENGTH},
    "password": _PASSWORD,
    "username": nullable(
        {
            "type": "string",
            "maxLength": USERNAME_LENGTH,
            "description": "Letters and digits of one script, with `.`, `_` and `-` between them.",
        }
    ),
}
_ROLES = nullable(array(_ROLE, maxItems=100, description="`admin` makes an administrator."))

_PERSON: Json = {
    "id": {"type": "string", "format": "uuid", "description": "The `sub` of the person's tokens."},
    "email": {"type": "string", "format": "idn-email"},
    "username": {"type": ["string", "null"]},
    "roles": array(_ROLE),
    "is_active": {"type": "boolean", "description": "Whether the person may sign in."},
}
_EXAMPLE: Json = {
    "id": "5f0c6f0e-6a2c-4d6e-9d2b-0c2f8a1b7e34",
    "email": "ada@example.com",
    "username": "ada",
    "roles": ["admin"],
    "is_active": True,
}
_LISTED: Json = _EXAMPLE | {"created_at": "2025-01-31T08:30:00Z"}
_NEW: Json = {"email": "grace@example.com", "password": "a row of ponies at dusk", "username": "grace"}

SCHEMAS: Json = {
    "Person": record(_PERSON, description="A person, as they see themselves."),
    "PersonRecord": record(
        _PERSON | {"created_at": {"type": "string", "format": "date-time"}},
        description="A person, as administrators see them.",
    ),
    "PersonPage": page("users", schema("PersonRecord"), {"type": ["string", "null"], "format": "uuid"}),
    "Registration": closed(
        _REGISTRATION | {"roles": {**_ROLES, "description": "Only by the admin API: refused from a plain token."}},
        required=["email", "password"],
    ),
    "PersonChange": closed(
        {"is_active": nullable({"type": "boolean"}), "roles": _ROLES, "password": nullable(_PASSWORD)},
        description="What to change; what is absent or null stays.",
    ),
    "Dashboard": record({"message": {"type": "string"}, "user": schema("Person")}),
}

_USER_ID: Json = {
    "name": "user_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "format": "uuid"},
}
_LINKS: Json = {
    "show": link("showUser", "The person's record.", user_id="$response.body#/id"),
    "change": link("changeUser", "Changes the person.", user_id="$response.body#/id"),
}


def _created() -> Json:
    return response("The person.", schema("PersonRecord"), examples={"person": _LISTED}, links=_LINKS)


def _shown() -> Json:
    return response("The person.", schema("PersonRecord"), examples={"person": _LISTED})


def _registered(operation_id: str, tag: str, summary: str, description: str, security: list[Json]) -> Json:
    return operation(
        operation_id,
        tag,
        summary,
        description,
        security=security,
        body=request_body(schema("Registration"), examples={"person": _NEW}),
        answers={201: _created()},
        refusals=[*BY_TOKEN, *BY_BODY, 409],
    )


_OWN_PATHS: Json = {
    "/users": {
        "post": _registered(
            "registerUser",
            _OWN,
            "Register a person",
            "By an administrator. A person's everyday token will do, but gives no roles; the admin API gives them too.",
            REGISTRAR,
        )
    },
    "/users/me": {
        "get": operation(
            "showMe",
            _OWN,
            "Your own record",
            "Of the person who holds the token, as the database knows them now.",
            security=PERSON,
            answers={200: response("You.", schema("Person"), examples={"person": _EXAMPLE})},
            refusals=BY_TOKEN,
        )
    },
    "/admin/dashboard": {
        "get": operation(
            "showDashboard",
            _OWN,
            "A greeting for administrators",
            "For people with the role `admin`, whatever the scope of their token: a resource to try roles with.",
            security=PERSON,
            answers={200: response("Welcome.", schema("Dashboard"))},
            refusals=BY_TOKEN,
        )
    },
}

_ADMIN_PATHS: Json = {
    "/admin/users": {
        "get": operation(
            "listUsers",
            _ADMIN,
            "List people",
            "Ordered by id, a page at a time.",
            security=ADMINISTRATOR,
            parameters=page_parameters({"type": "string", "format": "uuid"}),
            answers={200: response("A page of people.", schema("PersonPage"))},
            refusals=[*BY_TOKEN, 422],
        ),
        "post": _registered(
            "addUser", _ADMIN, "Add a person", "The same as `POST /users`, by the admin API.", ADMINISTRATOR
        ),
    },
    "/admin/users/{user_id}": {
        "parameters": [_USER_ID],
        "get": operation(
            "showUser",
            _ADMIN,
            "Show a person",
            "As the database knows them now.",
            security=ADMINISTRATOR,
            answers={200: _shown()},
            refusals=[*BY_TOKEN, 404],
        ),
        "patch": operation(
            "changeUser",
            _ADMIN,
            "Change a person",
            "Enables or disables them, replaces their roles, sets their password.",
            security=ADMINISTRATOR,
            body=request_body(
                schema("PersonChange"), examples={"disable": {"is_active": False}, "promote": {"roles": ["admin"]}}
            ),
            answers={200: _shown()},
            refusals=[*BY_TOKEN, *BY_BODY, 404],
        ),
    },
}

PATHS: Json = _OWN_PATHS | _ADMIN_PATHS
