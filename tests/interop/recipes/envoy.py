"""docs/verify/envoy.md"""

import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from tests.interop import programs
from tests.interop.pages import files_of, fitted
from tests.interop.recipes.gateway import gateway, service
from tests.interop.recipes.recipe import Place, Recipe, Verifier
from tests.rotation.installation import free_port

_PAGE = "envoy.md"

_OPTIONS = ("--use-dynamic-base-id", "--log-level", "error", "--concurrency", "1")


@contextlib.asynccontextmanager
async def _open(place: Place) -> AsyncIterator[Verifier]:
    program = programs.found("envoy")
    port = free_port()
    configuration = place.folder / "envoy.yaml"
    async with service() as service_port:
        issuer_port = urlsplit(place.issuer).port
        changes = {
            "https://id.example.com": place.issuer,
            "address: id.example.com, port_value: 443": f"address: 127.0.0.1, port_value: {issuer_port}",
            "id.example.com": "localhost",
            "https://api.example.com": place.audience,
            "/etc/ssl/certs/ca-certificates.crt": str(place.authority),
            "cache_duration: 300s": f"cache_duration: {place.cache}s",
            "address: 0.0.0.0, port_value: 8080": f"address: 127.0.0.1, port_value: {port}",
            "address: api.internal, port_value: 8000": f"address: 127.0.0.1, port_value: {service_port}",
        }
        configuration.write_text(fitted(files_of(_PAGE)["envoy.yaml"], changes))
        async with (
            programs.running(program, "-c", configuration, *_OPTIONS, cwd=place.folder) as process,
            gateway(port, lambda: process.returncode is None) as verifier,
        ):
            yield verifier


ENVOY = Recipe(
    name="Envoy",
    page=_PAGE,
    open=_open,
    blind=frozenset({"type: JWT"}),
    leeway=30,
    outlasts_cache=True,
    outlasts_restart=False,
    is_led_to_fetch=False,
    cheap=True,
)
