"""The short way to an endpoint.

Starlette tries its routes one after the other, and passes each request and each answer through six layers of its own.
Nearly all requests are for one of a few paths without parameters: those are found at once, and their endpoints asked
directly. Everything else, what is refused above all, goes Starlette's way.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from idp.endpoints.answers import Answer
from idp.endpoints.whole import ANSWER, takes_answers

Refusals = Mapping[type[Exception], Callable[[Request, Exception], Awaitable[Response]]]
"""What is answered when an endpoint raises one of these."""
Places = Mapping[tuple[str, str], Route]
"""Routes by path and method."""


def places(routes: Sequence[BaseRoute], prefix: str = "") -> Places:
    """Where those of the routes are whose path is one text, and whose endpoint a function of the request: Starlette
    knows the methods of these, and leaves them to endpoints that are applications."""
    found: dict[tuple[str, str], Route] = {}
    for route in routes:
        if isinstance(route, Route) and not route.param_convertors:
            for method in route.methods or ():
                found.setdefault((prefix + route.path, method), route)
    return found


class Dispatch:
    """Asks the endpoints at these places; `app` gets the rest."""

    def __init__(self, app: ASGIApp, found: Places, refusals: Refusals) -> None:
        self._app = app
        self._found = found
        self._refusals = refusals
        self._refused = tuple(refusals)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = scope["type"] == "http" and self._found.get((scope["path"], scope["method"]))
        if not route:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        request = Request(scope, receive, send)
        try:
            response = await route.endpoint(request)
        except self._refused as error:
            response = await self._refusal(request, error)
        if isinstance(response, Answer) and takes_answers(scope):
            answer = {"status": response.status_code, "headers": response.fields, "own": (), "body": response.body}
            await send({"type": ANSWER, **answer})
        else:
            await response(scope, receive, send)

    async def _refusal(self, request: Request, error: Exception) -> Response:
        kind = next(kind for kind in type(error).__mro__ if kind in self._refusals)
        return await self._refusals[kind](request, error)
