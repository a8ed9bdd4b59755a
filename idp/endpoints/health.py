"""`/healthz`: the process answers. `/readyz`: it can serve. `/metrics`: what it counted."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from idp.clock import DatabaseClock
from idp.endpoints.answers import json_answer
from idp.metrics import CONTENT_TYPE, Metrics
from idp.store import Store
from idp.store.database import DatabaseUnavailable
from keys.keyring import Keyring, NoSigningKeyError


async def alive(_: Request) -> Response:
    return json_answer({"status": "alive"})


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether tokens can be issued: the database answers, a key signs, the clock was read of late."""

    store: Store
    keyring: Keyring
    clock: DatabaseClock
    offline_signing: float

    async def handle(self, _: Request) -> Response:
        checks = {"database": await self._database(), "keys": self._keys(), "clock": self._clock()}
        ready = all(check == "ok" for check in checks.values())
        body = {"status": "ready" if ready else "not ready", "checks": checks}
        return json_answer(body, 200 if ready else 503)

    async def _database(self) -> str:
        try:
            await self.store.now()
        except DatabaseUnavailable:
            return "the database cannot be reached"
        return "ok"

    def _keys(self) -> str:
        try:
            self.keyring.signing_key(self.clock())
        except NoSigningKeyError as error:
            return str(error)
        return "ok"

    def _clock(self) -> str:
        return "ok" if self.clock.age < self.offline_signing else "the key table was not read for too long"


@dataclass(frozen=True, slots=True)
class MetricsEndpoint:
    """Serves the counters. `depths` brings the gauges up to date first."""

    metrics: Metrics
    depths: Callable[[], None]

    async def handle(self, _: Request) -> Response:
        self.depths()
        return Response(self.metrics.text(), headers={"Cache-Control": "no-store", "Content-Type": CONTENT_TYPE})
