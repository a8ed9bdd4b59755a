"""B9: a protected endpoint is nearly as fast as an open one."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from bench.benchmark import Benchmark, Measure, Promise, Round, at_least, typical
from bench.contestants import AUDIENCE, SCOPE
from bench.ground import ROOT, Ground
from bench.load import Request
from bench.servers import Asked, Server, free_port, started
from bench.speed.figures import RATE, busy_figures, warm_up
from idp_verifier.testing import LocalIssuer

OPEN, PROTECTED = "open", "protected"

_TURNS = 8
"""How often, in a round, both are measured by turns, and the medians count: two open endpoints, one after the other,
differ by more than what the promise leaves, as the machine is now faster and now slower."""
_SHARE = 0.25
"""Of the time that others measure for: what a turn takes."""


@contextmanager
def _contest(ground: Ground) -> Iterator[Measure]:
    with LocalIssuer() as issuer, ExitStack() as stack:
        token = issuer.token(aud=AUDIENCE, scope=SCOPE)
        kinds = {OPEN: "", PROTECTED: issuer.url}
        servers = [stack.enter_context(_serving(ground, kind, url, token)) for kind, url in kinds.items()]
        for server in servers:
            warm_up(server)
        short = replace(ground, seconds=ground.seconds * _SHARE)

        def turn(number: int) -> Round:
            """Who goes first changes each time."""
            order = servers if number % 2 == 0 else servers[::-1]
            figures = {server.name: busy_figures(short, server, server.asked.token) for server in order}
            return Round({server.name: figures[server.name] for server in servers})

        yield lambda: typical([turn(number) for number in range(_TURNS)])


@contextmanager
def _serving(ground: Ground, kind: str, issuer: str, token: str) -> Iterator[Server]:
    """A process of its own for each, with a route of the same name. Both are sent the token."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "bench.contestants.programs.resource:app", "--port", str(port)]
    quiet = ["--no-access-log", "--log-level", "warning", "--app-dir", str(ROOT)]
    asking = Request("GET", "/things", {"Authorization": f"Bearer {token}"})
    with started(
        kind,
        [*command, *quiet],
        Asked(asking, asking, Request("GET", "/ready")),
        port=port,
        folder=ground.folder,
        environment={"ISSUER": issuer},
    ) as server:
        yield server


B9 = Benchmark(
    "B9",
    "a Starlette endpoint protected with idp-verifier, repeated tokens",
    "the same endpoint without any check",
    (Promise("requests/s", at_least(0.95), lambda of: of.ratio(RATE, PROTECTED, OPEN)),),
    _contest,
)
