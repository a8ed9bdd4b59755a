"""Which web origins may call what (SECURITY.md R19): all read public documents, registered ones ask for tokens."""

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from idp.endpoints.fields import field_values
from idp.endpoints.whole import HEADED

IsRegistered = Callable[[str], Awaitable[bool]]

PUBLIC = ("/.well-known/", "/openapi.json", "/status/")
REGISTERED = ("/token", "/users/me")

_PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, POST"),
    (b"access-control-allow-headers", b"Authorization, Content-Type, DPoP, X-Requested-With"),
    (b"access-control-max-age", b"600"),
]


class Cors:
    """Answers preflights, and marks answers that a page of another origin may read. `prefix` is the issuer's path."""

    def __init__(self, app: ASGIApp, *, prefix: str, is_registered: IsRegistered) -> None:
        self._app = app
        self._prefix = prefix
        self._is_registered = is_registered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origins = field_values(scope, b"origin") if scope["type"] == "http" else ()
        if not origins:
            await self._app(scope, receive, send)
            return
        origin = origins[0]
        allowed = await self._allowed(scope["path"], origin)
        if allowed and scope["method"] == "OPTIONS":
            headers = [*self._marks(allowed), *_PREFLIGHT]
            await send({"type": "http.response.start", "status": 204, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return

        async def send_marked(message: Message) -> None:
            if allowed and message["type"] in HEADED:
                message["headers"] = (*message["headers"], *self._marks(allowed))
            await send(message)

        await self._app(scope, receive, send_marked)

    async def _allowed(self, path: str, origin: str) -> str | None:
        path = path.removeprefix(self._prefix) if path.startswith(self._prefix + "/") else path
        if path.startswith(PUBLIC):
            return "*"
        return origin if path in REGISTERED and await self._is_registered(origin) else None

    def _marks(self, allowed: str) -> list[tuple[bytes, bytes]]:
        exposed = (b"access-control-expose-headers", b"WWW-Authenticate, DPoP-Nonce, Retry-After, X-Request-Id, ETag")
        marks = [(b"access-control-allow-origin", allowed.encode("latin-1")), exposed]
        return marks if allowed == "*" else [*marks, (b"vary", b"Origin")]
