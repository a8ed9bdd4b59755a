"""Bearer tokens in front of any ASGI application.

    app = BearerMiddleware(app, verifier, scopes=["read"], open_paths=["/healthz", "/static/*"])

The application finds the Claims in `scope["idp_verifier.claims"]`, for WebSockets too.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote

from idp_verifier.bearer import PCHAR, Gateway, Refusal, Request, Target, TokenCookie
from idp_verifier.guard import CLAIMS, TEXT, Guard, OpenPaths
from idp_verifier.resource import METADATA_HEADERS, ProtectedResource
from idp_verifier.verifier import Verifier

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def _method(scope: Request) -> str:
    return scope.get("method", "CONNECT")  # type: ignore[no-any-return]  # ASGI has no word for a WebSocket's


def _header(scope: Request, name: str) -> list[str]:
    wanted = name.encode()
    return [value.decode("latin-1") for field, value in scope["headers"] if field == wanted]


def _target(scope: Request) -> Target:
    # What opens a WebSocket is a GET by http or https (RFC 6455 §4.1).
    method, scheme = scope.get("method", "GET"), scope.get("scheme", "http").replace("ws", "http")
    raw_path = scope.get("raw_path")
    path = quote(scope["path"], safe=PCHAR) if raw_path is None else raw_path.decode("latin-1")
    return Target(method, f"{scheme}://{''.join(_header(scope, 'host'))}", path)


ASGI = Gateway(_method, _header, _target)

_POLICY_VIOLATION = 1008  # RFC 6455 §7.4.1


class BearerMiddleware:
    """Lets through what has a good token with all of `scopes`, and `role`; and what goes to one of `open_paths`.

    With `resource` it also answers at the path of its metadata (RFC 9728 §3). CORS belongs outside of it: a
    browser asks for permission without a token. `cookie` and `base_url` are those of Guard.
    """

    def __init__(
        self,
        app: App,
        verifier: Verifier,
        *,
        scopes: Collection[str] = (),
        role: str | None = None,
        open_paths: Iterable[str] = (),
        cookie: TokenCookie | None = None,
        resource: ProtectedResource | None = None,
        base_url: str | None = None,
    ) -> None:
        self._app = app
        self._guard = Guard(ASGI, verifier, cookie=cookie, resource=resource, base_url=base_url)
        self._scopes = tuple(scopes)
        self._role = role
        self._open = OpenPaths.parse(open_paths)
        self._metadata_path = resource and resource.metadata_path
        self._metadata = resource.document() if resource else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        instead = None if scope["type"] == "lifespan" else await self._instead(scope)
        if instead is None:
            await self._app(scope, receive, send)
        else:
            for message in _messages(scope, *instead):
                await send(message)

    async def _instead(self, scope: Scope) -> tuple[int, Mapping[str, str], bytes] | None:
        """What is answered in place of the application: status, header, body."""
        path = scope["path"]
        if path == self._metadata_path and _method(scope) in {"GET", "HEAD"}:
            return 200, METADATA_HEADERS, self._metadata
        if path.removeprefix(scope.get("root_path", "")) in self._open:
            return None
        try:
            scope[CLAIMS] = await self._guard.admit(scope, self._scopes, self._role)
        except Refusal as refusal:
            return refusal.status, TEXT | refusal.headers, refusal.detail.encode()
        return None


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
