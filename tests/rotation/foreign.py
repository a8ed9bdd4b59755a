"""Verifiers that others made, as their users run them, with their caches cut to the max-age of the installation.

Each raises Missing of tests.interop.programs, with a sentence, where it is not to be had.
"""

import asyncio
import contextlib
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt

from tests.interop import programs
from tests.interop.recipes.asked_program import Library
from tests.rotation.connections import Peer
from tests.rotation.installation import AUDIENCE, MAX_AGE, SKEW, Installation, free_port
from tests.rotation.verifiers import JWKS_PATH, Verifier

_HERE = Path(__file__).parent
_PATIENCE = 60.0


Opened = contextlib.AbstractAsyncContextManager[Verifier]


class _PyJwt:
    """`jwt.PyJWKClient`: it keeps the set for `lifespan`, and its own cooldown of 30 s keeps it from fetching early."""

    name = "PyJWT"

    def __init__(self, installation: Installation) -> None:
        self._issuer = installation.issuer
        self._keys = jwt.PyJWKClient(installation.issuer + JWKS_PATH, lifespan=MAX_AGE)

    async def objection(self, token: str) -> str | None:
        return await asyncio.to_thread(self._verify, token)

    def _verify(self, token: str) -> str | None:
        try:
            key = self._keys.get_signing_key_from_jwt(token)
            jwt.decode(token, key, algorithms=["RS256"], audience=AUDIENCE, issuer=self._issuer, leeway=SKEW)
        except jwt.PyJWTError as error:
            return repr(error)
        return None


@contextlib.asynccontextmanager
async def pyjwt(installation: Installation) -> AsyncIterator[Verifier]:
    yield _PyJwt(installation)


class _Jose(Library):
    """npm `jose` in a process of its own."""

    name = "jose"


@contextlib.asynccontextmanager
async def jose(installation: Installation) -> AsyncIterator[Verifier]:
    with tempfile.TemporaryDirectory(prefix="idp-jose-") as name:
        folder = Path(name)
        shutil.copy(_HERE / "jose_verifier.mjs", folder)
        (folder / "node_modules").symlink_to(await programs.node_modules())
        arguments = [installation.issuer + JWKS_PATH, installation.issuer, AUDIENCE, str(MAX_AGE), str(SKEW)]
        node = programs.found("node")
        async with programs.running(node, "jose_verifier.mjs", *arguments, cwd=folder, piped=True) as process:
            yield _Jose(process)


class _Envoy:
    """Envoy with the filter `jwt_authn` before a route that always answers 200."""

    name = "Envoy"

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def objection(self, token: str) -> str | None:
        answer = await self._peer.get("/", authorization=f"Bearer {token}")
        return None if answer.is_success else f"{answer.status} {answer.body.decode()}"


@contextlib.asynccontextmanager
async def envoy(installation: Installation) -> AsyncIterator[Verifier]:
    with tempfile.TemporaryDirectory(prefix="idp-envoy-") as name:
        port = free_port()
        configuration = Path(name) / "envoy.json"
        configuration.write_text(json.dumps(_envoy_configuration(installation.issuer, port)))
        options = ("--use-dynamic-base-id", "--log-level", "error", "--concurrency", "1")
        program = programs.found("envoy")
        async with programs.running(program, "-c", configuration, *options, cwd=Path(name)) as process:
            with contextlib.closing(Peer(f"http://127.0.0.1:{port}")) as peer:
                await _until_answered(peer, lambda: process.returncode is None)
                yield _Envoy(peer)


def _envoy_configuration(issuer: str, port: int) -> dict[str, Any]:
    issuer_port = urlsplit(issuer).port
    assert issuer_port
    provider = {
        "issuer": issuer,
        "audiences": [AUDIENCE],
        "clock_skew_seconds": SKEW,
        "remote_jwks": {
            "http_uri": {"uri": issuer + JWKS_PATH, "cluster": "issuer", "timeout": "5s"},
            "cache_duration": f"{MAX_AGE}s",
        },
    }
    authentication = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        "providers": {"idp": provider},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "idp"}}],
    }
    router = {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    manager = {
        "@type": (
            "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
        ),
        "stat_prefix": "verifier",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {"name": "envoy.filters.http.jwt_authn", "typed_config": authentication},
            {"name": "envoy.filters.http.router", "typed_config": router},
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    cluster = {
        "name": "issuer",
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": "issuer",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(issuer_port)}}]}],
        },
    }
    listener = {"name": "verifier", "address": _address(port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


async def _until_answered(peer: Peer, is_alive: Callable[[], bool]) -> None:
    async with asyncio.timeout(_PATIENCE):
        while is_alive():
            with contextlib.suppress(ConnectionError):
                await peer.get("/")
                return
            await asyncio.sleep(0.05)
    raise programs.Missing("Envoy does not start here")


VERIFIERS: dict[str, Callable[[Installation], Opened]] = {"PyJWT": pyjwt, "jose": jose, "Envoy": envoy}
