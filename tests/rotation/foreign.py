"""Verifiers that others made, as their users run them, with their caches cut to the max-age of the installation.

Each raises Missing, with a sentence, where it is not to be had.
"""

import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt

from tests.rotation.connections import Peer
from tests.rotation.installation import AUDIENCE, MAX_AGE, SKEW, Installation, free_port
from tests.rotation.verifiers import JWKS_PATH, Verifier

_BIN = Path(sys.executable).parent
_HERE = Path(__file__).parent
_INTEROP = _HERE.parent / "interop"
_PACKAGE = ("package.json", "package-lock.json", ".npmrc")
_PATIENCE = 60.0


class Missing(Exception):  # noqa: N818 - a fact about the machine
    """The verifier is not to be had here."""


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


class _Jose:
    """npm `jose` in a process of its own: a token in, a verdict out."""

    name = "jose"

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    async def objection(self, token: str) -> str | None:
        assert self._process.stdin
        assert self._process.stdout
        async with self._turn:
            self._process.stdin.write(token.encode() + b"\n")
            verdict = (await self._process.stdout.readline()).decode().strip()
        assert verdict, "jose_verifier.mjs has ended"
        return None if verdict == "accepted" else verdict


@contextlib.asynccontextmanager
async def jose(installation: Installation) -> AsyncIterator[Verifier]:
    """Installs jose in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="idp-jose-") as name:
        folder = Path(name)
        for file in (*(_INTEROP / name for name in _PACKAGE), _HERE / "jose_verifier.mjs"):
            shutil.copy(file, folder)
        await _npm_install(folder)
        arguments = [installation.issuer + JWKS_PATH, installation.issuer, AUDIENCE, str(MAX_AGE), str(SKEW)]
        async with _program(_found("node"), "jose_verifier.mjs", *arguments, cwd=folder, piped=True) as process:
            yield _Jose(process)


async def _npm_install(folder: Path) -> None:
    async with _program(_found("npm"), "ci", "--prefer-offline", "--loglevel=error", cwd=folder, piped=True) as process:
        try:
            said, _ = await asyncio.wait_for(process.communicate(), _PATIENCE)
        except TimeoutError:
            raise Missing(f"npm could not install jose within {_PATIENCE:g} s") from None
    if process.returncode:
        raise Missing(f"npm could not install jose: {said.decode()}")


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
        command = (_found("envoy"), "-c", str(configuration), *options)
        async with _program(*command, cwd=Path(name)) as process:
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
    raise Missing("Envoy does not start here")


def _found(program: str) -> str:
    path = shutil.which(program, path=os.pathsep.join([str(_BIN), os.environ["PATH"]]))
    if path is None:
        raise Missing(f"{program} is not installed")
    return path


@contextlib.asynccontextmanager
async def _program(*command: str, cwd: Path, piped: bool = False) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs a program while the block runs."""
    pipe = asyncio.subprocess.PIPE if piped else None
    path = os.pathsep.join([str(_BIN), os.environ["PATH"]])
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env={**os.environ, "PATH": path}, stdin=pipe, stdout=pipe
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        if process.stdin:
            process.stdin.close()
        await process.wait()


VERIFIERS: dict[str, Callable[[Installation], Opened]] = {"PyJWT": pyjwt, "jose": jose, "Envoy": envoy}
