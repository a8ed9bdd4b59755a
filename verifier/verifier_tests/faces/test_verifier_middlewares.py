"""The middlewares in front of an application: what stays open, what does not, and WebSockets."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment
from wsgiref.util import setup_testing_defaults

import pytest
from verifier_tests.faces.asking import COOKIE

import idp_verifier.asgi
import idp_verifier.wsgi
from idp_verifier import Verifier
from idp_verifier.guard import CLAIMS
from idp_verifier.testing import LocalIssuer

OPEN = ["/", "/healthz", "/static/*"]


Ask = Callable[..., Awaitable[str]]


def asgi(verifier: Verifier) -> Ask:
    """What an ASGI application says at a path, which is not made simpler on the way to it."""

    async def app(scope: Any, _: Any, send: Any) -> None:
        await send({"type": "http.response.body", "body": b"token" if CLAIMS in scope else b"open"})

    async def ask(path: str, token: str = "", prefix: str = "") -> str:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"authorization", f"Bearer {token}".encode())]
        scope = {"type": "http", "method": "GET", "root_path": prefix, "path": prefix + path, "headers": headers}
        await middleware(scope, None, send)  # type: ignore[arg-type]
        return str(sent[0].get("status") or sent[0]["body"].decode())

    middleware = idp_verifier.asgi.BearerMiddleware(app, verifier, open_paths=OPEN)
    return ask


def wsgi(verifier: Verifier) -> Ask:
    """The same of a WSGI application."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("token" if CLAIMS in environ else "open", [])
        return []

    async def ask(path: str, token: str = "", prefix: str = "") -> str:
        environ: WSGIEnvironment = {"SCRIPT_NAME": prefix, "PATH_INFO": path, "HTTP_AUTHORIZATION": f"Bearer {token}"}
        setup_testing_defaults(environ)
        statuses: list[str] = []
        middleware(environ, lambda status, _: statuses.append(status))  # type: ignore[arg-type]
        return statuses[0].partition(" ")[0]

    middleware = idp_verifier.wsgi.BearerMiddleware(app, verifier, open_paths=OPEN)
    return ask


@pytest.fixture(params=[asgi, wsgi])
def ask(request: pytest.FixtureRequest, verifier: Verifier) -> Ask:
    made: Ask = request.param(verifier)
    return made


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_some_paths_stay_open(ask: Ask, issuer: LocalIssuer, prefix: str) -> None:
    for path in ("/", "/healthz", "/static/", "/static/a/b.css", "/static/..a/.b"):
        assert await ask(path, "x", prefix) == "open"
    assert await ask("/things", issuer.token(), prefix) == "token"


@pytest.mark.parametrize("prefix", ["", "/healthz", "/static"])
@pytest.mark.parametrize(
    "path",
    [
        "/things",
        "/healthz/",
        "/healthz/x",
        "/Healthz",
        "//healthz",
        "//",
        "/static",
        "/statics/x",
        "/static/../things",
        "/static/x/../../things",
        "/static/..\\things",
        "/static/./x",
        "/static/..",
    ],
)
async def test_others_do_not(ask: Ask, path: str, prefix: str) -> None:
    assert await ask(path, prefix=prefix) == "401"


@pytest.mark.parametrize("path", ["/*", "healthz", "", "*"])
def test_not_everything_can_be_open(verifier: Verifier, path: str) -> None:
    for middleware in (idp_verifier.asgi.BearerMiddleware, idp_verifier.wsgi.BearerMiddleware):
        with pytest.raises(ValueError, match="open paths"):
            middleware(None, verifier, open_paths=[path])  # type: ignore[arg-type]


async def connect(verifier: Verifier, scope: dict[str, Any], *fields: tuple[str, str]) -> list[dict[str, Any]]:
    """What is sent when a WebSocket opens."""
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, _: Any, send: Any) -> None:
        await send({"type": "websocket.accept", "sub": scope[CLAIMS].sub})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    headers = [(name.encode(), value.encode()) for name, value in fields]
    middleware = idp_verifier.asgi.BearerMiddleware(app, verifier, cookie=COOKIE)
    await middleware({"type": "websocket", "path": "/", "headers": headers, **scope}, receive, send)
    return sent


async def test_a_websocket_opens_with_a_token(verifier: Verifier, issuer: LocalIssuer) -> None:
    token = issuer.token(sub="ana")
    accepted = [{"type": "websocket.accept", "sub": "ana"}]
    assert await connect(verifier, {}, ("authorization", f"Bearer {token}")) == accepted
    own = (("sec-fetch-site", "same-origin"), ("origin", COOKIE.origin))
    assert await connect(verifier, {}, ("cookie", f"__Host-token={token}"), *own) == accepted


async def test_a_websocket_of_another_site_stays_shut(verifier: Verifier, issuer: LocalIssuer) -> None:
    """Browsers let any page open one, and read from it: the same-origin policy does not protect it."""
    cookie = ("cookie", f"__Host-token={issuer.token()}")
    closed = [{"type": "websocket.close", "code": 1008}]
    assert await connect(verifier, {}) == closed
    assert await connect(verifier, {}, cookie) == closed
    assert await connect(verifier, {}, cookie, ("origin", COOKIE.origin)) == closed
    start, body = await connect(verifier, {"extensions": {"websocket.http.response": {}}}, cookie)
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 403)
    assert body == {"type": "websocket.http.response.body", "body": b"Cross-site request"}


async def test_what_is_no_request_passes(verifier: Verifier) -> None:
    seen: list[str] = []

    async def app(scope: Any, _: Any, __: Any) -> None:
        seen.append(scope["type"])

    await idp_verifier.asgi.BearerMiddleware(app, verifier)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == ["lifespan"]
