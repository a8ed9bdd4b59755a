"""B7: refresh tokens rotate, each durably, beside tokens for which nothing is written."""

from collections.abc import Iterator
from contextlib import contextmanager

from bench.benchmark import Benchmark, Measure, Promise, Round, at_least
from bench.contestants.idp import IDP, PEOPLE, answered, logins_of_people, refreshing, serving
from bench.ground import Ground
from bench.load import CONNECTIONS
from bench.speed.figures import RATE, measured, token_figures, warm_up

REFRESH = "idp, refresh"

_BCRYPT_COST = "4"  # for the logins with which families begin: nobody measures them


@contextmanager
def _contest(ground: Ground) -> Iterator[Measure]:
    with serving(ground, IDP.name, people=PEOPLE, IDP_BCRYPT_COST=_BCRYPT_COST) as server:
        requests = [
            refreshing(answered(server, login)["refresh_token"]).text() for login in logins_of_people(CONNECTIONS)
        ]
        warm_up(server)

        def measure() -> Round:
            nonlocal requests
            clients = token_figures(ground, server)
            refreshes, report = measured(ground, server, requests)
            requests = list(report.requests)
            return Round({IDP.name: clients, REFRESH: refreshes})

        yield measure


B7 = Benchmark(
    "B7",
    "durable rotation of refresh tokens",
    "our own tokens for clients",
    (Promise("tokens/s", at_least(0.70), lambda of: of.ratio(RATE, REFRESH, IDP.name)),),
    _contest,
)
