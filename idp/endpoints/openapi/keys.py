"""`/admin/keys`."""

from typing import get_args

from idp.endpoints.openapi.builders import (
    Json,
    array,
    closed,
    nullable,
    operation,
    record,
    request_body,
    response,
    schema,
)
from idp.endpoints.openapi.problems import BY_BODY, BY_TOKEN
from idp.endpoints.openapi.security import ADMINISTRATOR
from idp.signing.readers import State
from keys.schedule import Phase

_TAG = "Administration: keys and audit"
_INSTANT: Json = {"type": "string", "format": "date-time"}
_MAYBE: Json = nullable(_INSTANT)
_KID: Json = {"type": "string", "minLength": 1}

SCHEMAS: Json = {
    "Key": record(
        {
            "kid": _KID,
            "alg": {"type": "string"},
            "phase": {"type": "string", "enum": [phase.value for phase in Phase]},
            "publish_at": {**_INSTANT, "description": "From here on it is in the JWK Set."},
            "sign_from": _INSTANT,
            "sign_until": _INSTANT,
            "verify_until": {**_INSTANT, "description": "From here on it is no longer in the JWK Set."},
            "revoked_at": _MAYBE,
        },
        description="A signing key: its phase now, and the instants that decide it.",
    ),
    "KeyReader": record(
        {
            "name": {
                "type": "string",
                "description": "As it calls itself with `?verifier=`, or its software and address.",
            },
            "state": {"type": "string", "enum": list(get_args(State))},
            "seen_at": _INSTANT,
        },
        description="Who has fetched the JWK Set with the next key in it: a hint, never a proof.",
    ),
    "KeyList": record({"keys": array(schema("Key")), "readers": array(schema("KeyReader"))}),
    "KeyRotation": closed(
        {"now": nullable({"type": "boolean", "description": "Sign at once, though verifiers may notice."})}
    ),
    "KeyRotated": record(
        {
            "kid": {**_KID, "description": "The next key."},
            "sign_from": _INSTANT,
            "immediate": {"type": "boolean"},
            "noticed_until": {**_MAYBE, "description": "Until when verifiers may reject its tokens; null: none will."},
            "notice": {"type": "string", "description": "The same in words."},
        }
    ),
    "KeyRevoked": record(
        {
            "kid": _KID,
            "revoked_at": _INSTANT,
            "signing": {**_KID, "description": "The key that signs now."},
            "tokens_alive": {
                "type": "object",
                "additionalProperties": {"type": "integer", "minimum": 0},
                "description": "How many of its tokens had not expired, by client.",
            },
            "may_still_be_accepted": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "Until when, by what kind of verifier.",
            },
            "next_unseen_kid": {**_KID, "description": "The next key that no verifier has seen yet."},
        }
    ),
}

_ROTATED = schema("KeyRotated")

PATHS: Json = {
    "/admin/keys": {
        "get": operation(
            "listKeys",
            _TAG,
            "List the signing keys",
            "Their phases go by the database's clock, and are alike on every instance.",
            security=ADMINISTRATOR,
            answers={200: response("The keys.", schema("KeyList"))},
            refusals=BY_TOKEN,
        )
    },
    "/admin/keys/rotate": {
        "post": operation(
            "rotateKeys",
            _TAG,
            "Let the next key sign",
            "As early as no verifier that keeps to the rules can notice; with `now`, at once.",
            security=ADMINISTRATOR,
            body=request_body(schema("KeyRotation"), examples={"unnoticed": {}, "at once": {"now": True}}),
            answers={
                200: response("A rotation was under way; this is when it happens.", _ROTATED),
                202: response("It is planned.", _ROTATED),
            },
            refusals=[*BY_TOKEN, *BY_BODY],
        )
    },
    "/admin/keys/{kid}/revoke": {
        "post": operation(
            "revokeKey",
            _TAG,
            "Revoke a key",
            "It leaves the JWK Set, and another signs. Verifiers refuse its tokens once they fetch the set again.",
            security=ADMINISTRATOR,
            parameters=[{"name": "kid", "in": "path", "required": True, "schema": _KID}],
            answers={200: response("It is revoked, and this is what it means.", schema("KeyRevoked"))},
            refusals=[*BY_TOKEN, 404],
        )
    },
}
