"""One path and its methods. Starlette's own routes, one for each method, know nothing of each other: their refusal
names the methods of one of them, where RFC 9110 §15.5.6 wants all that the resource has."""

from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

Handler = Callable[[Request], Awaitable[Response]]


def resource(path: str, **handlers: Handler) -> Route:
    """A route by the handlers of its methods: `resource("/users", get=users.list, post=users.add)`."""
    return Route(path, _Resource({method.upper(): handler for method, handler in handlers.items()}))


class _Resource:
    """Being a class, it is given the requests of every method."""

    def __init__(self, handlers: dict[str, Handler]) -> None:
        head = {"HEAD": handlers["GET"]} if "GET" in handlers else {}
        self.handlers = {**handlers, **head}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self.handlers.get(scope["method"])
        if handler is None:
            raise HTTPException(405, headers={"Allow": ", ".join(self.handlers)})
        response = await handler(Request(scope, receive, send))
        await response(scope, receive, send)
