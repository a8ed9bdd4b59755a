"""docs/verify/haproxy.md, with the script that it names"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from tests.interop import programs
from tests.interop.pages import files_of, fitted
from tests.interop.recipes.gateway import gateway, service
from tests.interop.recipes.recipe import Place, Recipe, Verifier
from tests.rotation.installation import free_port

_PAGE = "haproxy.md"

_SCRIPT = Path(__file__).parents[3] / "deploy" / "haproxy-keys"


@contextlib.asynccontextmanager
async def _open(place: Place) -> AsyncIterator[Verifier]:
    program = programs.found("haproxy")
    port, reload = free_port(), place.folder / "reload"
    async with service() as service_port:
        changes = {
            "https://id.example.com": place.issuer,
            "https://api.example.com": place.audience,
            "bind :8080": f"bind 127.0.0.1:{port}",
            "api.internal:8000": f"127.0.0.1:{service_port}",
        }
        (place.folder / "2-api.cfg").write_text(fitted(files_of(_PAGE)["2-api.cfg"], changes))
        await _follow(place)
        async with programs.running(program, "-W", "-db", "-f", place.folder, cwd=place.folder) as process:
            reload.write_text(f"kill -USR2 {process.pid}")
            following = asyncio.create_task(_keep_following(place, "sh", str(reload)))
            try:
                async with gateway(port, lambda: process.returncode is None) as verifier:
                    yield verifier
            finally:
                following.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await following


async def _keep_following(place: Place, *reload: str) -> None:
    """What a timer does."""
    while True:
        await _follow(place, *reload)
        await asyncio.sleep(place.cache)


async def _follow(place: Place, *reload: str) -> None:
    jwks_uri = f"{place.issuer}/.well-known/jwks.json"
    trust = {"SSL_CERT_FILE": str(place.authority)}
    async with programs.running(
        sys.executable, _SCRIPT, jwks_uri, place.folder, *reload, cwd=place.folder, environment=trust
    ) as process:
        await process.wait()


HAPROXY = Recipe(
    name="HAProxy", page=_PAGE, open=_open, leeway=30, outlasts_cache=True, outlasts_restart=True, is_led_to_fetch=False
)
