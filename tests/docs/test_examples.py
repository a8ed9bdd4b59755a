"""What the document shows works: whoever presses Execute on an example as it is gets what was promised."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from schemathesis.core.transport import Response

from idp.endpoints.openapi import openapi
from tests.docs.test_conformance import schema
from tests.docs.test_document import operations_of
from tests.service import Service

PATHS = openapi("http://localhost")["paths"]
PLACES = {operation["operationId"]: (path, method) for path, method, operation in operations_of({"paths": PATHS})}

Call = Callable[..., Response]


@pytest.fixture
def call(service: Service, administrator: dict[str, str]) -> Call:
    """Calls an operation as an administrator; the answer is a documented one."""

    def call(path: str, method: str, **parts: Any) -> Response:
        case = schema[path][method.upper()].Case(**parts)
        return case.call_and_validate(base_url=service.url, headers=administrator)

    return call


@pytest.mark.parametrize("path", ["/admin/users", "/admin/clients"])
def test_an_example_can_be_made_and_its_links_lead_on(call: Call, path: str) -> None:
    first, *others = examples(path, "post")
    made = call(path, "post", body=first)
    assert made.status_code == 201
    for place, method, parameter, member in links(path):
        for parts in [{"body": example} for example in examples(place, method)] or [{}]:
            answer = call(place, method, path_parameters={parameter: made.json()[member]}, **parts)
            assert answer.status_code in (200, 204)
    assert all(call(path, "post", body=example).status_code == 201 for example in others)


def test_keys_can_be_rotated_and_revoked(call: Call) -> None:
    rotated = [call("/admin/keys/rotate", "post", body=example) for example in examples("/admin/keys/rotate", "post")]
    assert all(answer.status_code in (200, 202) for answer in rotated)
    kid = call("/admin/keys", "get").json()["keys"][0]["kid"]
    assert call("/admin/keys/{kid}/revoke", "post", path_parameters={"kid": kid}).status_code == 200


def examples(path: str, method: str) -> list[Any]:
    content = PATHS[path][method].get("requestBody", {}).get("content", {})
    return [example["value"] for media_type in content.values() for example in media_type["examples"].values()]


def links(path: str) -> Iterator[tuple[str, str, str, str]]:
    """Where the answer to a POST leads: the path, the method, a parameter, and the member that fills it."""
    for link in PATHS[path]["post"]["responses"]["201"]["links"].values():
        ((parameter, value),) = link["parameters"].items()
        yield *PLACES[link["operationId"]], parameter, value.removeprefix("$response.body#/")
