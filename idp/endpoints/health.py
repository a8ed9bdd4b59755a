"""`/healthz`: the process answers. `/readyz`: it can serve. `/metrics`: what it counted."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from idp.clock import DatabaseClock
from idp.endpoints.answers import NO_STORE, json_answer
from idp.metrics import CONTENT_TYPE, Metrics
from idp.store import Store
from idp.store.database import DatabaseUnavailable
from idp.store.schema import SchemaMismatch, check
from keys.keyring import Keyring, NoSigningKeyError


async def alive(_: Request) -> Response:
    return json_answer({"status": "alive"})


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether tokens can be issued: the database answers, its schema is one for this version, and a key signs."""

    store: Store
    keyring: Keyring
    clock: DatabaseClock
    revision: str

    async def handle(self, _: Request) -> Response:
        database, schema = await self._database()
        checks = {"database": database, "schema": schema, "keys": self._keys(), "clock": self._clock()}
        ready = database == schema == checks["keys"] == "ok"
        body = {"status": "ready" if ready else "not ready", "checks": checks}
        return json_answer(body) if ready else json_answer(body, 503, {**NO_STORE, "Retry-After": "1"})

    async def _database(self) -> tuple[str, str]:
        """A newer version may have migrated the schema beyond this one while it was serving."""
        try:
            check(await self.store.schema_version(), self.revision)
        except DatabaseUnavailable:
            return "the database cannot be reached", "unknown"
        except SchemaMismatch as mismatch:
            return "ok", str(mismatch)
        return "ok", "ok"

    def _keys(self) -> str:
        try:
            self.keyring.signing_key(self.clock())
        except NoSigningKeyError as error:
            return str(error)
        return "ok"

    def _clock(self) -> str:
        """A step is an alarm, not a reason to stop: keys keep their phases, tokens are good."""
        step = self.clock.step
        return "ok" if step is None else f"the database's clock has stepped by {step:.0f} s; see the log"


@dataclass(frozen=True, slots=True)
class MetricsEndpoint:
    """Serves the counters. `depths` brings the gauges up to date first."""

    metrics: Metrics
    depths: Callable[[], None]

    async def handle(self, _: Request) -> Response:
        self.depths()
        return Response(self.metrics.text(), headers={"Cache-Control": "no-store", "Content-Type": CONTENT_TYPE})
