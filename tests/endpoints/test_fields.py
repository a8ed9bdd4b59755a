"""Header fields as requests bring them, and as answers carry them."""

import pytest
from starlette.requests import Request
from starlette.responses import Response

from idp.endpoints.answers import Answer, fields
from idp.endpoints.fields import FIELDS, field_values


def request(*headers: tuple[bytes, bytes]) -> Request:
    return Request({"type": "http", "headers": list(headers)})


def test_all_values_of_a_name_come_in_their_order() -> None:
    asked = request((b"dpop", b"first"), (b"accept", b"*/*"), (b"dpop", b"second"), (b"x-name", b"\xe9"))
    assert list(field_values(asked.scope, b"dpop")) == ["first", "second"]
    assert list(field_values(asked.scope, b"x-name")) == ["é"]
    assert list(field_values(asked.scope, b"authorization")) == []


def test_what_the_server_knows_by_name_is_not_looked_for() -> None:
    asked = Request({"type": "http", "headers": [], FIELDS: {b"x-name": b"\xe9", b"dpop": b""}})
    assert list(field_values(asked.scope, b"x-name")) == ["é"]
    assert list(field_values(asked.scope, b"dpop")) == [""]
    assert list(field_values(asked.scope, b"authorization")) == []


@pytest.mark.parametrize("headers", [{}, {"Cache-Control": "no-store", "X-Name": "é"}])
def test_an_answer_carries_what_starlettes_own_would(headers: dict[str, str]) -> None:
    ours = Answer(b"{}", 201, fields({"Content-Type": "application/json", **headers}))
    theirs = Response(b"{}", 201, headers, "application/json")
    assert sorted(ours.raw_headers) == sorted(theirs.raw_headers)
    assert (ours.status_code, ours.body, ours.background) == (theirs.status_code, theirs.body, theirs.background)
