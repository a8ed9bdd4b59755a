"""B4: what it costs to serve the JWK Set."""

from collections.abc import Iterator
from contextlib import contextmanager

from bench.benchmark import Benchmark, Measure, Promise, Round, at_most
from bench.contestants import running
from bench.contestants.glewlwyd import GLEWLWYD
from bench.contestants.idp import IDP
from bench.ground import Ground
from bench.speed.figures import CPU, busy_figures, warm_up


@contextmanager
def _contest(ground: Ground) -> Iterator[Measure]:
    with running(ground, [IDP, GLEWLWYD]) as servers:
        for server in servers:
            warm_up(server, server.asked.keys)
        yield lambda: Round({server.name: busy_figures(ground, server, server.asked.keys) for server in servers})


B4 = Benchmark(
    "B4",
    "the JWK Set",
    "glewlwyd (C)",
    (Promise("CPU per request", at_most(1.0), lambda of: of.ratio(CPU, IDP.name, GLEWLWYD.name)),),
    _contest,
)
