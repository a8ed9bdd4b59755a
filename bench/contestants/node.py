"""npm `oidc-provider`, in one process and in two of Node's own cluster. It keeps what it knows in memory."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from bench.contestants import AUDIENCE, CLIENT, SCOPE, Contestant
from bench.contestants.installing import NODE, npm_package
from bench.ground import ROOT, Ground
from bench.load import Request, form
from bench.servers import Asked, Server, free_port, started

_PACKAGE = ("oidc-provider", "9.13.3")
_PROGRAM = ROOT / "bench" / "contestants" / "programs" / "oidc_provider.mjs"
_KEYS = Request("GET", "/jwks")
_ASKED = Asked(
    token=form("/token", CLIENT, grant_type="client_credentials", scope=SCOPE, resource=AUDIENCE),
    keys=_KEYS,
    cheap=_KEYS,
)


@contextmanager
def _start(ground: Ground, name: str, processes: int) -> Iterator[Server]:
    port = free_port()
    orders = {
        "module": str(npm_package(*_PACKAGE) / "lib" / "index.js"),
        "port": port,
        "processes": processes,
        "client": CLIENT,
        "audience": AUDIENCE,
        "scope": SCOPE,
    }
    command = [str(NODE), str(_PROGRAM), json.dumps(orders)]
    with started(name, command, _ASKED, port=port, folder=ground.folder, processes=processes) as server:
        yield server


def version() -> str:
    """Of the package and of Node."""
    on = subprocess.run([str(NODE), "--version"], capture_output=True, text=True, check=True)
    return f"{'@'.join(_PACKAGE)} on Node {on.stdout.strip()}"


def _contestant(name: str, processes: int) -> Contestant:
    return Contestant(name, partial(_start, name=name, processes=processes))


NODE_1 = _contestant("node oidc-provider", 1)
NODE_2 = _contestant("node oidc-provider, 2 processes", 2)
