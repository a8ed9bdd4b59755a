"""The document is valid and complete."""

from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest
import schemathesis
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route

from idp import app
from idp.endpoints.openapi import openapi
from idp.parts import Parts
from tests.service import settings_for

ISSUERS = ("https://id.example.com", "https://id.example.com/tenant", "http://localhost:8000")
METHODS = ("get", "post", "put", "patch", "delete")
UNDOCUMENTED = {"/docs/{asset}"}
"""Files of a page, for that page alone."""


@pytest.mark.parametrize("issuer", ISSUERS)
def test_it_is_valid_openapi(issuer: str) -> None:
    schemathesis.openapi.from_dict(openapi(issuer)).validate()


@pytest.mark.parametrize("issuer", ISSUERS)
def test_every_reference_leads_somewhere(issuer: str) -> None:
    document = openapi(issuer)
    for reference in found("$ref", document):
        target: Any = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
    operations = set(found("operationId", document["paths"]))
    assert operations == {operation["operationId"] for _, _, operation in operations_of(document)}


def test_names_are_unique_and_tags_are_declared() -> None:
    document = openapi(ISSUERS[1])
    names = [operation["operationId"] for _, _, operation in operations_of(document)]
    assert len(names) == len(set(names))
    assert {tag for *_, operation in operations_of(document) for tag in operation["tags"]} == {
        tag["name"] for tag in document["tags"]
    }


def test_every_schema_is_one_and_every_example_fits() -> None:
    document = openapi(ISSUERS[0])
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.Draft202012Validator(rooted(schema, document))
    for content in found("content", document):
        for media_type in content.values():
            validator = jsonschema_rs.Draft202012Validator(rooted(media_type["schema"], document))
            for example in media_type.get("examples", {}).values():
                validator.validate(example["value"])


@pytest.mark.parametrize("issuer", ISSUERS)
def test_every_route_is_in_it_and_nothing_else(issuer: str) -> None:
    document = openapi(issuer)
    described = set()
    for path, method, _ in operations_of(document):
        server = document["paths"][path].get("servers", document["servers"])[0]["url"]
        described.add((method, httpx.URL(server).path.rstrip("/") + path))
    settings = settings_for("postgresql://localhost/none", issuer=issuer)
    assert described == set(served(app.build(settings, Parts.of(settings))))


def served(application: Any) -> Iterator[tuple[str, str]]:
    """What the application's routes answer, but for HEAD, and for /token, which refuses all methods but one itself."""
    while not isinstance(application, Starlette):
        application = getattr(application, "_app", None) or application.app
    for prefix, route in routes(application.routes):
        if route.path in UNDOCUMENTED:
            continue
        methods = ["POST"] if route.path in ("/token", "/revoke", "/introspect") else route.methods or _handlers(route)
        yield from ((method.lower(), prefix + route.path) for method in methods if method != "HEAD")


def _handlers(route: Route) -> dict[str, Any]:
    """The handlers of a `resource`."""
    handlers: dict[str, Any] = vars(route.endpoint)["handlers"]
    return handlers


def routes(tree: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, Route]]:
    for route in tree:
        if isinstance(route, Mount):
            yield from routes(route.routes, prefix + route.path)
        else:
            assert isinstance(route, Route)
            yield prefix, route


def operations_of(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def rooted(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """The schema with what its references mean."""
    return {**schema, "components": document["components"]}


def found(key: str, tree: Any) -> Iterator[Any]:
    """Every value of this member, however deep."""
    for name, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        if name == key:
            yield value
        yield from found(key, value)
