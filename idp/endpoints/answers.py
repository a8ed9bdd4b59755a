"""How answers are written: JSON, OAuth errors (RFC 6749 §5.2) and problem details (RFC 9457)."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from idp.endpoints.envelope import Fields, origin_of, problem_body
from idp.protocol.errors import OAuth2Error

Headers = Mapping[str, str]
NO_STORE = {"Cache-Control": "no-store"}


class Problem(Exception):  # noqa: N818 - named by RFC 9457
    """An answer with problem details. `detail` says what to do about it; `errors` names the faulty members."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Headers | None = None,
        errors: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        self.errors = errors or {}


def fields(headers: Headers) -> Fields:
    """As ASGI wants them."""
    return tuple((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items())


_JSON = fields({"Content-Type": "application/json"})
_UNSTORED_JSON = _JSON + fields(NO_STORE)


class Answer(Response):
    """A body, with all that the headers have to say but its length. Starlette's own constructor takes longer over these
    than all else does, and most are the same in answer after answer."""

    def __init__(self, body: bytes, status: int, fields: Fields) -> None:
        self.body, self.status_code, self.background = body, status, None
        self.fields = fields

    @property
    def raw_headers(self) -> Fields:  # type: ignore[override]
        """For Starlette, which cannot change them: a change would be lost."""
        return ((b"content-length", b"%d" % len(self.body)), *self.fields)


def json_answer(body: Any, status: int = 200, headers: Headers = NO_STORE) -> Response:
    return Answer(orjson.dumps(body), status, _UNSTORED_JSON if headers is NO_STORE else _JSON + fields(headers))


def problem_answer(request: Request, problem: Problem) -> Response:
    body = problem_body(problem.status, problem.detail, origin_of(request.scope).request_id, problem.errors)
    return Response(body, problem.status, {**NO_STORE, **problem.headers}, "application/problem+json")


def oauth_error_answer(error: OAuth2Error) -> Response:
    """The error as §5.2 wants it: never cached, and with the challenge or the wait that belongs to it."""
    return Response(orjson.dumps(dict(error.get_body())), error.status_code, dict(error.get_headers()))


def unavailable(detail: str, retry_after: int = 1) -> Problem:
    return Problem(503, detail, headers={"Retry-After": str(retry_after)})


async def on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_answer(request, error)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own refusals: no such path, no such method."""
    assert isinstance(error, HTTPException)
    details = {404: "There is nothing at this path.", 405: f"{request.method} is not for this path."}
    detail = details.get(error.status_code, error.detail)
    return problem_answer(request, Problem(error.status_code, detail, headers=error.headers))


async def on_database_unavailable(request: Request, _: Exception) -> Response:
    return problem_answer(request, unavailable("The database cannot be reached; try again."))
