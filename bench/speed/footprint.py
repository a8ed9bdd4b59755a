"""B11: what a worker takes in memory, and how long one waits for a start."""

from collections.abc import Iterator
from contextlib import contextmanager

from bench.benchmark import Benchmark, Figures, Measure, Promise, Round, at_most
from bench.contestants import running
from bench.contestants.idp import IDP, prepared, serving_on
from bench.contestants.node import NODE_1
from bench.ground import Ground
from bench.speed.figures import FIRST_START, MEMORY, START, token_figures


@contextmanager
def _contest(ground: Ground) -> Iterator[Measure]:
    """Starts twice in each round: on a database that was just migrated, which has no keys yet, and as ever after."""

    def measure() -> Round:
        installed = prepared(ground, IDP.name)
        figures: dict[str, Figures] = {}
        with serving_on(ground, IDP.name, installed) as server:
            first = {FIRST_START: server.start_seconds}
        with serving_on(ground, IDP.name, installed) as server:
            figures[server.name] = {**token_figures(ground, server), **first}
        with running(ground, [NODE_1]) as servers:
            for server in servers:
                figures[server.name] = token_figures(ground, server)
        return Round(figures)

    yield measure


B11 = Benchmark(
    "B11",
    "memory of a worker under load; `idp serve` from exec to ready, on a migrated database",
    "node oidc-provider",
    (
        Promise("memory per process, beside node", at_most(0.9), lambda of: of.ratio(MEMORY, IDP.name, NODE_1.name)),
        Promise("seconds to ready, after the first start", at_most(1), lambda of: of.of(IDP.name, START)),
    ),
    _contest,
)
