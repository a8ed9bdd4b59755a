"""The short way to an endpoint answers as Starlette's own way does."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from idp.endpoints.dispatch import Dispatch, Refusals, places


class Refusal(Exception):  # noqa: N818 - as what it stands for
    pass


class SpecialRefusal(Refusal):
    pass


async def first(request: Request) -> Response:
    return PlainTextResponse(f"first {request.method}")


async def second(_: Request) -> Response:
    return PlainTextResponse("second")


async def named(request: Request) -> Response:
    return PlainTextResponse(f"named {request.path_params['name']}")


async def refusing(_: Request) -> Response:
    raise SpecialRefusal


async def failing(_: Request) -> Response:
    raise RuntimeError


async def on_refusal(_: Request, error: Exception) -> Response:
    return PlainTextResponse(type(error).__name__, 403)


class Application:
    """An endpoint that is asked whatever the method."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(f"application {scope['method']}")(scope, receive, send)


ROUTES = [
    Route("/thing", first),
    Route("/thing", second),
    Route("/things/{name}", named),
    Route("/posted", first, methods=["POST"]),
    Route("/application", Application()),
    Route("/refusing", refusing),
    Route("/failing", failing),
]
REFUSALS: Refusals = {Refusal: on_refusal}

STARLETTE = Starlette(routes=ROUTES, exception_handlers=REFUSALS)
DISPATCH = Dispatch(STARLETTE, places(ROUTES), REFUSALS)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/thing"),
        ("HEAD", "/thing"),
        ("POST", "/thing"),
        ("GET", "/thing/"),
        ("GET", "/things/a"),
        ("POST", "/posted"),
        ("GET", "/posted"),
        ("PATCH", "/application"),
        ("GET", "/refusing"),
        ("GET", "/nowhere"),
    ],
)
async def test_both_ways_lead_to_the_same_answer(method: str, path: str) -> None:
    answers = []
    for app in (STARLETTE, DISPATCH):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as http:
            answer = await http.request(method, path)
            answers.append((answer.status_code, answer.text, sorted(answer.headers.items())))
    assert answers[0] == answers[1]


async def test_what_nobody_expected_is_left_to_whoever_is_outside() -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(DISPATCH), base_url="http://here") as http:
        with pytest.raises(RuntimeError):
            await http.get("/failing")


def test_only_paths_that_are_one_text_and_methods_that_are_known_are_found_at_once() -> None:
    found = places(ROUTES, "/prefix")
    assert set(found) == {
        ("/prefix/thing", "GET"),
        ("/prefix/thing", "HEAD"),
        ("/prefix/posted", "POST"),
        ("/prefix/refusing", "GET"),
        ("/prefix/refusing", "HEAD"),
        ("/prefix/failing", "GET"),
        ("/prefix/failing", "HEAD"),
    }
    assert found["/prefix/thing", "GET"] is ROUTES[0]
