"""What operators watch: the audit log, health and metrics."""

from typing import get_args

from idp.endpoints.openapi.builders import Json, operation, query, record, response, schema
from idp.endpoints.openapi.paging import page, page_parameters
from idp.endpoints.openapi.problems import BY_TOKEN, REQUEST_ID
from idp.endpoints.openapi.security import ADMINISTRATOR
from idp.protocol.audit import Outcome

_ADMIN, _HEALTH = "Administration: keys and audit", "Health"
_INSTANT: Json = {"type": "string", "format": "date-time"}
_NAME: Json = {"type": ["string", "null"]}
_NUMBER: Json = {"type": "string", "pattern": "^[0-9]{1,18}$"}

SCHEMAS: Json = {
    "AuditEvent": record(
        {
            "id": {"type": "integer"},
            "at": _INSTANT,
            "event": {"type": "string"},
            "outcome": {"type": "string", "enum": list(get_args(Outcome))},
            "actor": {**_NAME, "description": "Who did it: a user's id, a client_id, or `operator`."},
            "subject": {**_NAME, "description": "To whom or what it was done."},
            "client_id": _NAME,
            "source": {"type": "string", "description": "The address that the request came from."},
            "request_id": {"type": "string"},
            "detail": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        examples=[
            {
                "id": 42,
                "at": "2025-01-31T08:30:00.000Z",
                "event": "login.succeeded",
                "outcome": "success",
                "actor": "5f0c6f0e-6a2c-4d6e-9d2b-0c2f8a1b7e34",
                "subject": "5f0c6f0e-6a2c-4d6e-9d2b-0c2f8a1b7e34",
                "client_id": "web-shop",
                "source": "192.0.2.7",
                "request_id": REQUEST_ID,
                "detail": {},
            }
        ],
    ),
    "AuditPage": page("events", schema("AuditEvent"), {**_NUMBER, "type": ["string", "null"]}),
    "Alive": record({"status": {"const": "alive"}}),
    "Readiness": record(
        {
            "status": {"enum": ["ready", "not ready"]},
            "checks": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "`ok`, or what is to be said of it: for `database`, `schema`, `keys` and `clock`.",
            },
        },
        examples=[{"status": "ready", "checks": {"database": "ok", "schema": "ok", "keys": "ok", "clock": "ok"}}],
    ),
}

PATHS: Json = {
    "/admin/audit": {
        "get": operation(
            "listAuditEvents",
            _ADMIN,
            "Read the audit log",
            "The newest events first, a page at a time.",
            security=ADMINISTRATOR,
            parameters=[
                *page_parameters(_NUMBER),
                query(
                    "event", "Only events of this name, such as `token.issued`.", {"type": "string"}, may_be_empty=True
                ),
                query(
                    "subject",
                    "Only events that this user or client did or underwent.",
                    {"type": "string"},
                    may_be_empty=True,
                ),
            ],
            answers={200: response("A page of events.", schema("AuditPage"))},
            refusals=[*BY_TOKEN, 422],
        )
    },
}

HEALTH_PATHS: Json = {
    "/healthz": {
        "get": operation(
            "isAlive",
            _HEALTH,
            "Is the process alive?",
            "Says nothing of the database: restart the process when this fails.",
            answers={200: response("It is.", schema("Alive"))},
        )
    },
    "/readyz": {
        "get": operation(
            "isReady",
            _HEALTH,
            "Can it issue tokens?",
            "Send no requests here while this fails.",
            answers={
                200: response("It can.", schema("Readiness")),
                503: response("It cannot, and `checks` says why.", schema("Readiness")),
            },
        )
    },
    "/metrics": {
        "get": operation(
            "getMetrics",
            _HEALTH,
            "What was counted",
            "In the text format of Prometheus, summed over all workers of the instance.",
            answers={200: response("The counters.", {"type": "string"}, media_type="text/plain")},
        )
    },
}
