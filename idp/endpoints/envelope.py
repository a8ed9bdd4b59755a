"""What every request and every answer carries: a request id, safe headers, a log line, a measurement."""

import logging
import os
import random
import time
from collections.abc import Awaitable, Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Protocol

import orjson
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from idp.endpoints.whole import ANSWER, HEADED
from idp.protocol.authorization import Origin

log = logging.getLogger("idp.access")

HeaderList = list[tuple[bytes, bytes]]
Fields = tuple[tuple[bytes, bytes], ...]

_SAFE: HeaderList = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
_CSP = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_HSTS = (b"strict-transport-security", b"max-age=31536000")


def safe_headers(request_id: str) -> HeaderList:
    """What an answer carries that brings nothing of its own."""
    return [*_SAFE, _CSP, (b"x-request-id", request_id.encode())]


def problem_body(status: int, detail: str, request_id: str, errors: Mapping[str, str] | None = None) -> bytes:
    """Problem details (RFC 9457 §3); `errors` says for each faulty member what is wrong with it."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }
    return orjson.dumps(body | ({"errors": dict(errors)} if errors else {}))


OTHER = "other"
"""The route, and the method, of what has none of ours."""


class Observer(Protocol):
    """Is told about every answer."""

    def observe(self, route: str, method: str, status: int, seconds: float, origin: Origin, /) -> None:
        """`route` is the pattern instead of the path, which is the requester's to choose: it may hold a secret (L1)."""


OBSERVE = "idp.observe"
"""Where the state of the lifespan has the `observe` of what hears of answers, for those that a server gives itself."""


_REQUEST_IDS = random.Random()
os.register_at_fork(after_in_child=_REQUEST_IDS.seed)


def new_origin(client: tuple[str, int] | None) -> Origin:
    """Of a request that comes from this address, which a Unix socket does not have."""
    return Origin(client[0] if client else "local", f"{_REQUEST_IDS.getrandbits(64):016x}")


def refused(scope: Scope, status: int) -> Origin:
    """Notes that the server has answered this request while the application was still at it, which will observe it
    as such. Gives the request's origin."""
    scope["idp.refused"] = status
    origin: Origin = scope.setdefault("idp.origin", new_origin(scope["client"]))
    return origin


def origin_of(scope: Scope) -> Origin:
    """Where the request of this scope comes from."""
    origin: Origin = scope["idp.origin"]
    return origin


class Envelope:
    """The outermost application. `observers` hear of each answer when it is complete."""

    def __init__(self, app: ASGIApp, *, https: bool, observers: Sequence[Observer] = ()) -> None:
        self._app = app
        self._defaults = (*([_HSTS] if https else []), *_SAFE)
        self.completed = lru_cache(256)(self._completed)
        self._observe = [observer.observe for observer in observers]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            scope.get("state", {})[OBSERVE] = self.observe
            await self._app(scope, receive, send)
            return
        origin = scope.setdefault("idp.origin", new_origin(scope.get("client")))
        exchange = _Exchange(self, scope, send, origin)
        try:
            await self._app(scope, receive, exchange.send)
        except Exception:
            log.exception("unhandled error", extra={"request_id": origin.request_id, "route": exchange.route})
            await exchange.fail()
        finally:
            exchange.conclude()

    def _completed(self, given: Fields) -> Fields:
        """An answer's headers, and those that it leaves to us."""
        return (*given, *self._defaults) if _CSP[0] in dict(given) else (*given, *self._defaults, _CSP)

    def observe(self, route: str, method: str, status: int, seconds: float, origin: Origin) -> None:
        for observe in self._observe:
            observe(route, method, status, seconds, origin)


class _Exchange:
    """One request and its answer."""

    def __init__(self, envelope: Envelope, scope: Scope, send: Send, origin: Origin) -> None:
        self._envelope = envelope
        self._scope = scope
        self._send = send
        self._origin = origin
        self._status = 0
        self._started = time.perf_counter()

    def send(self, message: Message) -> Awaitable[None]:
        """Sends on what the application sends."""
        kind = message["type"]
        if kind in HEADED:
            self._status = message["status"]
            own = (b"x-request-id", self._origin.request_id.encode())
            headers = self._envelope.completed(tuple(message["headers"]))
            if kind == ANSWER:
                message["headers"], message["own"] = headers, (*message["own"], own)
            else:
                message["headers"] = [*headers, own]
        return self._send(message)

    async def fail(self) -> None:
        """Answers 500, unless the answer has begun. The unknown is never shown: only the id under which the log has
        it."""
        if self._status:
            self._status = 500  # for the observers; the server cuts the answer off, or has not begun to send it
            return
        detail = "The service failed; its operator finds the cause in the log under this request id."
        body = problem_body(500, detail, self._origin.request_id)
        headers = [(b"content-type", b"application/problem+json"), (b"cache-control", b"no-store")]
        headers.append((b"content-length", str(len(body)).encode()))
        await self.send({"type": "http.response.start", "status": 500, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    def conclude(self) -> None:
        """Tells the observers how it ended."""
        seconds = time.perf_counter() - self._started
        status = self._scope.get("idp.refused", self._status)
        method = self._scope["method"]
        self._envelope.observe(self.route, method if method in _METHODS else OTHER, status, seconds, self._origin)

    @property
    def route(self) -> str:
        route = self._scope.get("route")
        return route.path if isinstance(route, Route) else OTHER


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
