"""B6: logins as fast as bcrypt goes, and nobody else notices."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from bench.anchors import on_all_cores
from bench.benchmark import OURS, Benchmark, Figures, Measure, Promise, Round, at_least, at_most, typical
from bench.contestants import Contestant, running
from bench.contestants.idp import PEOPLE, logins_of_people, serving
from bench.contestants.tutorial import LOGIN, TUTORIAL
from bench.ground import Ground
from bench.load import Request, ask, trickle
from bench.servers import Server
from bench.speed.figures import CHEAP_P50, CHEAP_P99, P50, P99, RATE, raw_figures

AT_ONCE = 16
RAW = "raw bcrypt, cost 12"
SHED = "told to come again/s"
IDLE_P99 = "idle cheap GET p99 ms"

_IDP = Contestant(OURS, partial(serving, name=OURS, people=PEOPLE))
_TURNS = 3
"""How often, in a round, everything is measured by turns. The 99th percentile of one window is that of the moment, most
of all when idle: whoever else is on the machine makes it ten times what it was a moment ago. The medians count."""
_LOGINS = 2.0
"""Measurements of logins last so many times longer than others: each takes long, and at the end cores fall idle."""
_LEAD = 1.0
"""Seconds of logins before others ask meanwhile: so long may clients take to start."""


@contextmanager
def _contest(ground: Ground) -> Iterator[Measure]:
    with running(ground, [_IDP, TUTORIAL]) as servers:

        def turn() -> Round:
            raw = {RAW: raw_figures(on_all_cores("bcrypt", ground.seconds))}
            return Round(raw | {server.name: _figures(ground, server, _requests(server)) for server in servers})

        yield lambda: typical([turn() for _ in range(_TURNS)])


def _requests(server: Server) -> list[str]:
    asked = [LOGIN] * AT_ONCE if server.name == TUTORIAL.name else logins_of_people(AT_ONCE)
    return list(map(Request.text, asked))


def _figures(ground: Ground, server: Server, requests: list[str]) -> Figures:
    idle = trickle(server.port, server.asked.cheap, ground.seconds).report()
    logging_in = ask(server.port, requests, _LOGINS * ground.seconds, patient=True)
    time.sleep(_LEAD)
    meanwhile = trickle(server.port, server.asked.cheap, ground.seconds).report()
    logins = logging_in.report()
    return {
        RATE: logins.rate,
        P50: logins.p50,
        P99: logins.p99,
        SHED: logins.shed / logins.seconds,
        CHEAP_P50: meanwhile.p50,
        CHEAP_P99: meanwhile.p99,
        IDLE_P99: idle.p99,
    }


B6 = Benchmark(
    "B6",
    "password logins at bcrypt cost 12, 16 at once",
    "raw bcrypt on all cores; the service's own idle p99",
    (
        Promise("logins/s beside raw bcrypt", at_least(0.90), lambda of: of.ratio(RATE, _IDP.name, RAW)),
        Promise(
            "p99 of a cheap GET meanwhile, beside idle",
            at_most(1.5),
            lambda of: of.of(_IDP.name, CHEAP_P99) / of.of(_IDP.name, IDLE_P99),
        ),
    ),
    _contest,
)
