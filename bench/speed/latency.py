"""B5: whoever asks for something cheap does not wait for the signatures of others."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from bench.benchmark import Benchmark, Figures, Measure, Promise, Round, at_least, at_most, typical
from bench.contestants import running
from bench.contestants.idp import IDP
from bench.contestants.inline import INLINE
from bench.ground import Ground
from bench.load import CONNECTIONS, ask, trickle
from bench.servers import Server
from bench.speed.figures import CHEAP_P50, CHEAP_P99, RATE, token_figures, warm_up

_TURNS = 5
"""How often, in a round, both are measured by turns, and the medians count: see B6."""
_SHARE = 0.5
"""Of the time that others measure for: what a turn takes."""
_WITHIN = 0.9
"""The share of the load's time for which the GETs come, so that none comes after it."""


@contextmanager
def _contest(ground: Ground) -> Iterator[Measure]:
    with running(ground, [IDP, INLINE]) as servers:
        for server in servers:
            warm_up(server)
        short = replace(ground, seconds=ground.seconds * _SHARE)

        def turn() -> Round:
            return Round({server.name: _figures(short, server) for server in servers})

        yield lambda: typical([turn() for _ in range(_TURNS)])


def _figures(ground: Ground, server: Server) -> Figures:
    """Full load alone first, so that the second client takes nothing from its figures."""
    alone = token_figures(ground, server)
    load = ask(server.port, [server.asked.token.text()] * CONNECTIONS, ground.seconds)
    cheap = trickle(server.port, server.asked.cheap, ground.seconds * _WITHIN).report()
    load.report()
    return {**alone, CHEAP_P50: cheap.p50, CHEAP_P99: cheap.p99}


B5 = Benchmark(
    "B5",
    "a cheap GET at full token load",
    "inline signing in 2 workers, without a database",
    (
        Promise("p99 of the GET", at_most(0.1), lambda of: of.ratio(CHEAP_P99, IDP.name, INLINE.name)),
        Promise("tokens/s", at_least(0.95), lambda of: of.ratio(RATE, IDP.name, INLINE.name)),
    ),
    _contest,
)
