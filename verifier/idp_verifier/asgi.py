"""Bearer tokens in front of any ASGI application.

    app = BearerMiddleware(app, verifier, scopes=["read"], open_paths=["/healthz", "/static/*"])

The application finds the Claims in `scope["idp_verifier.claims"]`, for WebSockets too.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote

from idp_verifier.bearer import PCHAR, Gateway, Refusal, Request, Target
from idp_verifier.guard import CLAIMS, Middleware, refused

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def _method(scope: Request) -> str:
    return scope.get("method", "CONNECT")  # type: ignore[no-any-return]  # ASGI has no word for a WebSocket's


def _header(scope: Request, name: str) -> list[str]:
    wanted, values = name.encode(), []
    for field, value in scope["headers"]:  # with each request: a comprehension would cost a call more
        if field == wanted:
            values.append(value.decode("latin-1"))
    return values


def _authorization(scope: Request) -> bytes | None:
    found: bytes | None = None
    for field, value in scope["headers"]:
        if field == b"authorization":
            if found is not None:
                return None
            found = value
    return found


def _target(scope: Request) -> Target:
    # What opens a WebSocket is a GET by http or https (RFC 6455 §4.1).
    method, scheme = scope.get("method", "GET"), scope.get("scheme", "http").replace("ws", "http")
    raw_path = scope.get("raw_path")
    path = quote(scope["path"], safe=PCHAR) if raw_path is None else raw_path.decode("latin-1")
    return Target(method, f"{scheme}://{''.join(_header(scope, 'host'))}", path)


ASGI = Gateway(_method, _header, _authorization, _target)

_POLICY_VIOLATION = 1008  # RFC 6455 §7.4.1


class BearerMiddleware(Middleware[App]):
    """Lets through what has a good token; see Middleware for what it can be told."""

    gateway = ASGI

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        instead = None
        if self._asks_for_metadata(scope):
            instead = self._metadata
        elif not self._is_open(scope):
            try:
                claims = self._guard.admit_at_once(scope, self._scopes, self._role)
                if claims is None:
                    claims = await self._guard.admit(scope, self._scopes, self._role)
                scope[CLAIMS] = claims
            except Refusal as refusal:
                instead = refused(refusal)
        if instead is None:
            await self._app(scope, receive, send)
        else:
            for message in _messages(scope, *instead):
                await send(message)

    def _asks_for_metadata(self, scope: Scope) -> bool:
        path = self._metadata_path
        return path is not None and scope.get("path") == path and _method(scope) in {"GET", "HEAD"}

    def _is_open(self, scope: Scope) -> bool:
        return scope["type"] == "lifespan" or scope["path"].removeprefix(scope.get("root_path", "")) in self._open


def _messages(scope: Scope, status: int, headers: Mapping[str, str], body: bytes) -> Iterator[dict[str, Any]]:
    kind = "http.response"
    if scope["type"] == "websocket":
        kind = "websocket.http.response"
        if kind not in scope.get("extensions", {}):
            yield {"type": "websocket.close", "code": _POLICY_VIOLATION}  # the server makes a bare 403 of it
            return
    fields = {"Content-Length": str(len(body)), **headers}
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields.items()]
    yield {"type": f"{kind}.start", "status": status, "headers": raw}
    yield {"type": f"{kind}.body", "body": body}
