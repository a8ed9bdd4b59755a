"""The refusals of everything but the token endpoint: problem details (RFC 9457), one answer for each status."""

from http import HTTPStatus
from typing import NamedTuple

from idp.endpoints.openapi.builders import Json, record, response, schema

REQUEST_ID = "9f86d081884c7d65"

SCHEMAS: Json = {
    "Problem": record(
        {
            "type": {
                "type": "string",
                "format": "uri-reference",
                "description": "`about:blank`: the status says what kind of problem it is.",
            },
            "title": {"type": "string", "description": "The status in words."},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string", "description": "What went wrong, and where possible what to do about it."},
            "request_id": {"type": "string", "description": "The same as in `X-Request-Id`; quote it to the operator."},
            "errors": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "Each member or parameter that is wrong, and why.",
            },
        },
        optional=["errors"],
        description="Problem details (RFC 9457).",
    ),
}


class _Refusal(NamedTuple):
    """What a status means here, the detail that shows it best, and the headers that it carries."""

    meaning: str
    detail: str
    carries: tuple[str, ...] = ()


_REFUSALS = {
    400: _Refusal(
        "The body is not a JSON object, or there is more than one `Authorization` header.",
        "The body is not valid JSON in UTF-8.",
    ),
    401: _Refusal(
        "No access token, or one that is not accepted: forged, expired, for another audience, or its user disabled. "
        "`WWW-Authenticate` has the reason (RFC 6750 §3, RFC 9449 §7.1).",
        "This needs an access token.",
        ("WWW-Authenticate", "DPoP-Nonce"),
    ),
    403: _Refusal("The token is good, but not for this.", "The admin API needs a token with the scope idp:admin."),
    404: _Refusal("There is no such thing.", "There is no such user."),
    409: _Refusal("The name belongs to somebody else.", "The email is taken."),
    413: _Refusal("The body is larger than 64 KiB.", "The body must not be larger than 65536 bytes."),
    415: _Refusal("The body is not declared as `application/json`.", "The body must be application/json."),
    422: _Refusal(
        "Something is wrong with the members or parameters; `errors` may say which.",
        "Some members of the object are wrong.",
    ),
    501: _Refusal("It asks for something of the past.", "There are no status lists of the past."),
    503: _Refusal(
        "Not now: the database or the keys cannot be reached, or too many passwords are being hashed. "
        "Try again after `Retry-After`.",
        "The database cannot be reached; try again.",
        ("Retry-After",),
    ),
}


def _response(status: int, refusal: _Refusal) -> Json:
    example = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": refusal.detail,
        "request_id": REQUEST_ID,
    }
    return response(
        refusal.meaning,
        schema("Problem"),
        media_type="application/problem+json",
        carries=refusal.carries,
        examples={"problem": example},
    )


RESPONSES: Json = {f"Problem{status}": _response(status, refusal) for status, refusal in _REFUSALS.items()}

BY_TOKEN = (400, 401, 403, 503)
"""How every operation refuses that needs an access token."""
BY_BODY = (413, 415, 422)
"""How every operation refuses that takes a JSON object, besides 400."""
