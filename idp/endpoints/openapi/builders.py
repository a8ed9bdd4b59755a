"""Small builders for the objects of an OpenAPI document; each is named after the object that it makes (OAS 3.1 §4.8).

What many operations share stands once under `components`, and is referred to: an operation says only what is its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = dict[str, Any]


def reference(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def schema(name: str) -> Json:
    """A schema that stands under `components`."""
    return reference("schemas", name)


def record(members: Mapping[str, Json], *, optional: Sequence[str] = (), **keywords: Any) -> Json:
    """An object that we answer with: each member is there but the optional ones. More may come with later versions."""
    return {"type": "object", "required": [name for name in members if name not in optional], **_of(members, keywords)}


def closed(members: Mapping[str, Json], *, required: Sequence[str] = (), **keywords: Any) -> Json:
    """An object that we are sent: unknown members are refused."""
    needed = {"required": list(required)} if required else {}
    return {"type": "object", **needed, "additionalProperties": False, **_of(members, keywords)}


def _of(members: Mapping[str, Json], keywords: Mapping[str, Any]) -> Json:
    return {"properties": dict(members), **keywords}


def nullable(kind: Json) -> Json:
    """The schema, or null: of a member that we are sent, that counts as absent."""
    if isinstance(kind["type"], list):  # it may be null already
        return kind
    changed = {**kind, "type": [kind["type"], "null"]}
    return {**changed, "enum": [*kind["enum"], None]} if "enum" in kind else changed


def array(items: Json, **keywords: Any) -> Json:
    return {"type": "array", "items": items, **keywords}


def content(kind: Json, *, media_type: str = "application/json", examples: Mapping[str, Any] | None = None) -> Json:
    """One representation. `examples` are values by what they show."""
    shown = {name: {"value": value} for name, value in (examples or {}).items()}
    return {media_type: {"schema": kind, **({"examples": shown} if shown else {})}}


def request_body(kind: Json, *, media_type: str = "application/json", examples: Mapping[str, Any]) -> Json:
    return {"required": True, "content": content(kind, media_type=media_type, examples=examples)}


def header(description: str, kind: Json) -> Json:
    """A header that is always there."""
    return {"description": description, "required": True, "schema": kind}


def headers(*names: str) -> Json:
    """The headers of an answer: those named, and the one that every answer has."""
    return {name: reference("headers", name) for name in ("X-Request-Id", *names)}


def response(
    description: str,
    body: Json | None = None,
    *,
    media_type: str = "application/json",
    carries: Sequence[str] = (),
    examples: Mapping[str, Any] | None = None,
    links: Json | None = None,
) -> Json:
    """An answer; `carries` names its headers."""
    return {
        "description": description,
        "headers": headers(*carries),
        **({"content": content(body, media_type=media_type, examples=examples)} if body else {}),
        **({"links": links} if links else {}),
    }


def link(operation_id: str, description: str, **parameters: str) -> Json:
    """Where to go on from an answer, with what it holds."""
    return {"operationId": operation_id, "description": description, "parameters": parameters}


def query(name: str, description: str, kind: Json, *, may_be_empty: bool = False) -> Json:
    """A parameter of the query; an empty one, where it may be, counts as absent."""
    empty = {"allowEmptyValue": True} if may_be_empty else {}
    return {"name": name, "in": "query", "description": description, **empty, "schema": kind}


def operation(
    name: str,
    tag: str,
    summary: str,
    description: str,
    *,
    answers: Mapping[int, Json],
    refusals: Iterable[int] = (),
    parameters: Sequence[Json] = (),
    body: Json | None = None,
    security: Sequence[Json] = (),
) -> Json:
    """An operation. `refusals` are the statuses that it answers with problem details, in addition to its `answers`."""
    responses = dict(answers) | {status: problem(status) for status in refusals}
    return {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "description": description,
        "security": list(security),
        **({"parameters": list(parameters)} if parameters else {}),
        **({"requestBody": body} if body else {}),
        "responses": {str(status): responses[status] for status in sorted(responses)},
    }


def problem(status: int) -> Json:
    """An answer with problem details, from `components` (see `problems.py`)."""
    return reference("responses", f"Problem{status}")
